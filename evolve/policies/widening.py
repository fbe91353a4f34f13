"""What tree policies share: when to widen the tree, when to measure, and how to choose the best agent.

The rule is HGM's (arXiv 2510.21614, section 3, after UCB-Air): expand iff N^α ≥ |T|, moves in flight counted on both
sides. *Which* agent is expanded or measured is each policy's own. Departures from the released code:

- only a measured agent is expanded: without evidence there is nothing to diagnose (there, and in the paper, new agents
  may be expanded at once);
- failed expansions hold the next one back (there a broken set-up tries for ever);
- best belief is the ε-quantile of the posterior: the printed formula with ε = 1 is 1 for every agent. ε = 0.25 is the
  lower quartile, so that an agent needs evidence and not only luck.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from archive import best_belief
from evolve.policies.base import Evaluate, Expand, Move, View

FREE_FAILURES = 2
"""Failed expansions in a row that hold nothing back; each further one counts as one more agent in the tree."""


class Widening(BaseModel, ABC):
    """A policy that lets the tree hold N^α agents after N evaluations."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    alpha: float = Field(0.6, gt=0, lt=1)
    """How fast the tree may widen (paper: 0.6)."""
    epsilon: float = Field(0.25, gt=0, lt=1)
    """Best belief is the highest ε-quantile of the posterior of an agent's success rate."""

    @abstractmethod
    def parent(self, agents: Sequence[int], view: View, rng: np.random.Generator) -> int:
        """Which of these agents to expand."""

    @abstractmethod
    def candidate(self, agents: Sequence[int], view: View, rng: np.random.Generator) -> int:
        """Which of these agents to measure."""

    def choose(self, view: View, rng: np.random.Generator) -> Move | None:
        unspent = view.evaluations + view.evaluations_in_flight < view.budget
        parents = [agent.id for agent in view.agents if view.clades[agent.id].own.n]
        if parents and view.may_expand and unspent and (self.wants_child(view) or not view.open_tasks):
            return Expand(self.parent(parents, view, rng))
        if view.may_evaluate:
            agent = self.candidate(tuple(view.open_tasks), view, rng)
            tasks = view.open_tasks[agent]
            return Evaluate(agent, tasks[int(rng.integers(len(tasks)))])
        return None

    def wants_child(self, view: View) -> bool:
        evaluations = view.evaluations + view.evaluations_in_flight
        held_back = max(0, view.failed_in_a_row - FREE_FAILURES)
        return bool(evaluations**self.alpha >= len(view.agents) + view.expansions_in_flight + held_back)

    def best(self, view: View) -> int | None:
        return best_belief(view.agents, {id: clade.own for id, clade in view.clades.items()}, self.epsilon)
