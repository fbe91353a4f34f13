"""What is kept of a simulated run: how it ended, and how good the agent it would have chosen was on the way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from evolve.settings import SettingsError


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The run at one moment."""

    evaluations: int
    """Closed with evidence."""
    expansions: int
    """Closed, void ones left out."""
    agents: int
    hours: float
    """Since the run began, of its own simulated time."""
    usd: float
    """Of the moves closed by then, void ones included."""
    chosen: int
    """The agent that the policy would take away now."""
    skill: float
    """Its true skill: the expected share of the sealed tasks it solves."""
    skill_search: float
    """The expected share of the search set's tasks that it solves."""
    best: float
    """The highest true skill in the tree, whether chosen or not."""


@dataclass(frozen=True, slots=True)
class Trace:
    """One simulated run."""

    seed: int
    """Of the world and of the policy's random choices."""
    seed_skill: float
    """True skill of the first agent."""
    voids: int
    """Moves that failed for the house's reasons."""
    ending: str
    """Why it ended, in one sentence."""
    checkpoints: tuple[Checkpoint, ...]
    """At every so many evaluations, and at the end."""

    @property
    def last(self) -> Checkpoint:
        return self.checkpoints[-1]

    @property
    def skill(self) -> float:
        """True skill of the agent chosen at the end."""
        return self.last.skill

    @property
    def regret(self) -> float:
        """What the best agent of the tree has more of it."""
        return self.last.best - self.last.skill

    def facts(self) -> dict[str, Any]:
        """As JSON values; `trace_of` reads them back."""
        return asdict(self)


def trace_of(facts: Mapping[str, Any]) -> Trace:
    """A trace from its facts. Raises: `SettingsError` if they are not those of one."""
    try:
        checkpoints = tuple(Checkpoint(**each) for each in facts["checkpoints"])
        rest = {name: value for name, value in facts.items() if name != "checkpoints"}
        return Trace(**rest, checkpoints=checkpoints)
    except (KeyError, TypeError, AttributeError) as error:
        raise SettingsError(f"this is not a simulated run of this version of Clade: {error}") from None
