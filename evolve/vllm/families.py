"""Which parsers and flags a model's family needs, from the table families.toml."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files


@dataclass(frozen=True, slots=True)
class Family:
    """Models that `vllm serve` must be told the same things about."""

    name: str
    pattern: str
    """Regular expression, searched in the model's name without its owner, in small letters."""
    tool_parser: str | None = None
    """Value of `--tool-call-parser`. None: its models were not taught to call tools."""
    reasoning_parser: str | None = None
    """Value of `--reasoning-parser`."""
    flags: tuple[str, ...] = ()
    """What else it must be told."""
    since: str = ""
    """A version of vLLM that has these parsers; an earlier one may have them too."""
    note: str = ""
    """What its users should know, in one or two sentences."""


@cache
def families() -> tuple[Family, ...]:
    """The whole table, in the order in which it is searched."""
    table = tomllib.loads(files("evolve.vllm").joinpath("families.toml").read_text(encoding="utf-8"))
    return tuple(Family(**{**row, "flags": tuple(row.get("flags", ()))}) for row in table["family"])


def family_of(model: str) -> Family | None:
    """The family of a model, by `OWNER/NAME` or the path of its folder; None for one that the table does not know."""
    name = model.rstrip("/").rpartition("/")[2].lower()
    return next((family for family in families() if re.search(family.pattern, name)), None)
