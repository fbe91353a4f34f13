"""What tree policies share: when to widen the tree, and when to measure.

The rule is HGM's (arXiv 2510.21614, section 3, after UCB-Air): expand iff N^α ≥ |T|, moves in flight counted on both
sides. *Which* agent is expanded or measured is each policy's own. Departures from the released code, by default:

- only a measured agent is expanded: without evidence there is nothing to diagnose (there, and in the paper, new agents
  may be expanded at once);
- failed expansions hold the next one back (there a broken set-up tries for ever).
"""

from __future__ import annotations

from abc import abstractmethod

import numpy as np
from pydantic import Field

from evolve.moves import Evaluate, Expand, Move
from evolve.policies.base import Ints, View
from evolve.policies.belief import ByBelief


class Widening(ByBelief):
    """A policy that lets the tree hold N^α agents after N evaluations."""

    alpha: float = Field(0.6, gt=0, lt=1)
    """How fast the tree may widen (paper: 0.6)."""
    unmeasured: bool = False
    """Whether an agent without evidence may be expanded."""
    patience: int | None = Field(2, ge=0)
    """Failed expansions in a row that hold nothing back; each further one counts as one more agent. None: none does."""

    @abstractmethod
    def parent(self, view: View, eligible: Ints, rng: np.random.Generator) -> int:
        """Which of these agents to expand."""

    @abstractmethod
    def candidate(self, view: View, eligible: Ints, rng: np.random.Generator) -> int:
        """Which of these agents to measure."""

    def choose(self, view: View, rng: np.random.Generator) -> Move | None:
        if view.evaluations + view.evaluations_in_flight >= view.budget:
            return None
        unfinished = view.left.nonzero()[0]
        if view.may_expand and (not unfinished.size or self.wants_child(view)):
            parents = self.parents(view)
            if parents.size:
                return Expand(self.parent(view, parents, rng))
        if not unfinished.size:
            return None
        agent = self.candidate(view, unfinished, rng)
        tasks = view.open_tasks(agent)
        return Evaluate(agent, int(tasks[rng.integers(len(tasks))]))

    def parents(self, view: View) -> Ints:
        """The agents that may be expanded."""
        return np.arange(view.agents) if self.unmeasured else (view.passed + view.failed).nonzero()[0]

    def wants_child(self, view: View) -> bool:
        evaluations = view.evaluations + view.evaluations_in_flight
        held_back = 0 if self.patience is None else max(0, view.failed_in_a_row - self.patience)
        return bool(evaluations**self.alpha >= view.agents + view.expansions_in_flight + held_back)
