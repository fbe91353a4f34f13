"""One small change to a Python source: the operators of mutation testing, used to repair instead of to break.

The operators are the usual ones (relational, arithmetic, logical, constant, variable, statement), as in Offutt et al.,
"An experimental determination of sufficient mutant operators" (TOSEM 1996), and Debroy and Wong, "Using mutation to
automatically suggest fixes for faulty programs" (ICST 2010).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal[
    "compare", "arithmetic", "boolean", "constant", "scale", "switch", "name", "negate", "call", "subscript", "offset",
    "order", "text", "insert", "delete", "swap", "duplicate", "move",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Mutation:
    """Replace `source[start:end]` by `text`."""

    kind: Kind
    line: int
    """Line, from 1, of the place."""
    start: int
    end: int
    text: str
    grows: bool | None = None
    """Of a changed number: whether it is larger than before."""

    def apply(self, source: str) -> str:
        return source[: self.start] + self.text + source[self.end :]
