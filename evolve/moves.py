"""The moves that a policy can choose: let an agent write a child, or measure an agent on a task."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Entry:
    """What an expansion is to be about, as far as the policy has a say."""

    kind: Literal["any", "contrast", "hybrid"] = "any"
    """`any` leaves it to `evolve.entry`; `contrast` and `hybrid` are Mendel GM's operators."""
    tasks: tuple[int, ...] = ()
    """Columns of the view."""
    peer: int | None = None
    """Of a hybrid, the agent of another line whose success is shown."""


ANY = Entry()


@dataclass(frozen=True, slots=True)
class Expand:
    """Move: let `agent` write a child."""

    agent: int
    entry: Entry = ANY


@dataclass(frozen=True, slots=True)
class Evaluate:
    """Move: measure `agent` on a task."""

    agent: int
    task: int
    """The task's column in the view; `view.tasks[task]` is its id."""


Move = Expand | Evaluate
