"""What a policy is: a pure choice of the next move on a frozen view, and a pure choice of the best agent.

A policy holds its own settings and nothing else. It gets its random generator from the loop, made anew for every
decision from (run seed, number of the decision), so a decision depends on those and on the view alone, and a resumed
run decides as an uninterrupted one would have.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from archive import Agent, Clade


@dataclass(frozen=True, slots=True)
class Expand:
    """Move: let `agent` write a child."""

    agent: int


@dataclass(frozen=True, slots=True)
class Evaluate:
    """Move: measure `agent` on `task`."""

    agent: int
    task: str


Move = Expand | Evaluate


@dataclass(frozen=True, slots=True)
class View:
    """All that a policy may know when it decides."""

    agents: tuple[Agent, ...]
    """In order of birth; the seed first."""
    clades: Mapping[int, Clade]
    """Own and clade tallies of search evidence, by agent."""
    open_tasks: Mapping[int, tuple[str, ...]]
    """Tasks on which an agent is neither measured nor being measured, in the benchmark's order; no key for none."""
    measured: Mapping[int, int]
    """Evaluations of an agent that are closed with evidence or in flight."""
    evaluations: int
    """Evaluations closed with evidence, of all agents together."""
    evaluations_in_flight: int
    expansions: int
    """Expansions closed with any outcome but VOID."""
    expansions_in_flight: int
    failed_in_a_row: int
    """Expansions closed without a child since the last birth, VOID ones left out."""
    budget: int
    """Evaluations that the run may make in all."""
    expansion_budget: int
    """Expansions that the run may attempt in all, whatever comes of them."""

    @property
    def may_expand(self) -> bool:
        return self.expansions + self.expansions_in_flight < self.expansion_budget

    @property
    def may_evaluate(self) -> bool:
        return bool(self.open_tasks) and self.evaluations + self.evaluations_in_flight < self.budget


class Policy(Protocol):
    """How a run spends its budget."""

    name: str

    def choose(self, view: View, rng: np.random.Generator) -> Move | None:
        """The next move; None when there is none now (moves in flight may change that)."""
        ...

    def best(self, view: View) -> int | None:
        """The agent to take away; None while nothing is measured."""
        ...
