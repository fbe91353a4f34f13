"""What a policy is: a pure choice of the next move on a frozen view, and a pure choice of the best agent.

A policy holds its own settings and nothing else. It gets its random generator from the loop, made anew for every
decision from (run seed, number of the decision), so a decision depends on those and on the view alone, and a resumed
run decides as an uninterrupted one would have. What a policy must remember beyond the view's sums is a fold over the
run's events (`Fold`): the view carries it, and choosing never changes it.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from archive import Tally
from evolve.moves import Move

if TYPE_CHECKING:
    from evolve.events import Event

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Verdicts = npt.NDArray[np.int8]


class Fold(Protocol):
    """A policy's memory: a fold over the run's events in their order, and over nothing else.

    It sees every event from the run's beginning, each exactly once, after the board took it in. Two folds that saw the
    same events must be equal (`==`).
    """

    def seen(self, event: Event) -> None: ...


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """All that a policy may know when it decides.

    Arrays are read-only, indexed by agent id (0 is the seed) unless said otherwise, and valid until the next event of
    the board that made the view. Only what the policy asked for counts: neither what a person measured, nor moves that
    were cut off, nor VOID ones.
    """

    tasks: tuple[str, ...]
    """The search split in the benchmark's order: the columns of `open` and `verdict`. (Tasks that only rows know, of a
    split that has changed since, come after them and are never open.)"""
    parent: Ints
    """-1 for the seed."""
    children: Ints
    """How many were born."""
    passed: Ints
    failed: Ints
    """Own evidence."""
    clade_passed: Ints
    clade_failed: Ints
    """Evidence about the agent and all its descendants."""
    in_flight: Ints
    """Evaluations under way, by agent."""
    expanding: Ints
    """Expansions under way, by parent."""
    attempts: Ints
    """Expansions closed with any outcome but VOID, by parent."""
    left: Ints
    """How many tasks are open, by agent."""
    open: Bools
    """Agents × tasks: neither measured, nor being measured, nor left alone."""
    verdict: Verdicts
    """Agents × tasks: 1 passed, 0 failed, -1 not measured."""
    task_passed: Ints
    task_failed: Ints
    """By task, all agents together."""
    fold: Fold | None
    """The policy's own memory, if it keeps one (`Policy.fold`)."""
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
    seconds: Floats
    """Two sums, not by agent: of the `evaluations`, and of the `expansions`."""
    usd: Floats
    """As `seconds`."""

    @property
    def agents(self) -> int:
        """How many there are; their ids are 0 to `agents` - 1, in the order of birth."""
        return len(self.parent)

    @property
    def may_expand(self) -> bool:
        return self.expansions + self.expansions_in_flight < self.expansion_budget

    @property
    def may_evaluate(self) -> bool:
        return self.evaluations + self.evaluations_in_flight < self.budget and bool(self.left.any())

    def own(self, agent: int) -> Tally:
        """Evidence about the agent itself."""
        return Tally(int(self.passed[agent]), int(self.failed[agent]))

    def whole(self, agent: int) -> Tally:
        """Evidence about the agent and all its descendants."""
        return Tally(int(self.clade_passed[agent]), int(self.clade_failed[agent]))

    def measured(self, agent: int) -> int:
        """Evaluations of the agent that are closed with evidence or in flight."""
        return int(self.passed[agent] + self.failed[agent] + self.in_flight[agent])

    def open_tasks(self, agent: int) -> Ints:
        """Columns of the agent's open tasks, in the benchmark's order."""
        columns: Ints = self.open[agent].nonzero()[0]
        return columns

    def same(self, other: View) -> bool:
        """Whether all fields are equal, arrays by their values. (`==` is identity.)"""
        pairs = ((getattr(self, field.name), getattr(other, field.name)) for field in fields(self))
        return all(np.array_equal(a, b) if isinstance(a, np.ndarray) else a == b for a, b in pairs)


class Policy(Protocol):
    """How a run spends its budget."""

    @property
    def name(self) -> str:
        """What run.toml calls it."""
        ...

    def fold(self, tasks: int, budget: int) -> Fold | None:
        """A new memory of a run with so many tasks (columns of the view) and evaluations; None if none is kept."""
        ...

    def choose(self, view: View, rng: np.random.Generator) -> Move | None:
        """The next move; None when there is none now (moves in flight may change that)."""
        ...

    def best(self, view: View) -> int | None:
        """The agent to take away; None while nothing is measured."""
        ...

    def finalists(self, view: View, k: int) -> tuple[int, ...]:
        """Up to `k` measured agents, the most promising first: the ones to measure in full before the last choice."""
        ...
