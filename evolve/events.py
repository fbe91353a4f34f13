"""What happens in a run, as pure values: the only thing that a board and a policy's memory are made from.

A move is `Opened`, and closes as exactly one of `Measured`, `Tried` and `Voided`. What was cut off (by a kill, or by an
outage of a model service) gives no event at all. `evolve.state.events_of` reads a run's events off its rows.
"""

from __future__ import annotations

from dataclasses import dataclass

from evolve.moves import Move


@dataclass(frozen=True, slots=True)
class Opened:
    """A move that the policy chose was begun."""

    move: Move
    decision: int
    """Its number."""


@dataclass(frozen=True, slots=True)
class Measured:
    """An evaluation closed with evidence."""

    agent: int
    task: int
    """The task's column in the view."""
    passed: bool
    seconds: float
    usd: float


@dataclass(frozen=True, slots=True)
class Tried:
    """An expansion closed with any outcome but VOID."""

    parent: int
    child: int | None
    """The agent born, if one was; ids are given in the order of birth."""
    seconds: float
    usd: float


@dataclass(frozen=True, slots=True)
class Voided:
    """A move closed as the house's fault: it says nothing about agents."""

    move: Move


Event = Opened | Measured | Tried | Voided
