"""The policy of the Darwin Gödel Machine: open-ended generations, parents by score and few children.

Source: arXiv 2505.22954, appendix C.2. Parents are drawn with probability ∝ σ(λ(score − α₀)) / (1 + children); a
generation's children are measured in stages (a further stage only for those that did well on the one before) and the
next generation starts when all of them are. Scores are compared on the evidence an agent has, as there.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from evolve.moves import Evaluate, Expand, Move
from evolve.policies.base import Ints, View
from evolve.policies.belief import ByBelief


class DGM(ByBelief):
    """Generations of children, staged evaluation."""

    name: Literal["dgm"] = "dgm"
    steepness: float = Field(10.0, gt=0)
    """λ of the paper."""
    midpoint: float = Field(0.5, ge=0, le=1)
    """α₀ of the paper."""
    generation: int = Field(2, ge=1)
    """Children attempted at a time (paper: 2 on SWE-bench, 4 on Polyglot)."""
    stages: tuple[int, ...] = (10, 50)
    """Tasks measured in each stage."""
    threshold: float = Field(0.4, ge=0, le=1)
    """Mean that an agent needs on what it has done to enter the next stage."""

    def choose(self, view: View, rng: np.random.Generator) -> Move | None:
        if view.may_evaluate:
            measured = view.passed + view.failed + view.in_flight
            due = np.flatnonzero((measured < self.targets(view)) & (view.left > 0))
            if due.size:
                agent = int(due[0])
                return Evaluate(agent, int(view.open_tasks(agent)[0]))
        attempts = view.expansions + view.expansions_in_flight
        waiting = view.expansions_in_flight + view.evaluations_in_flight
        within = attempts % self.generation != 0 and view.evaluations_in_flight == 0
        if view.may_expand and view.evaluations < view.budget and (within or not waiting):
            return Expand(self.parent(view, rng))
        return None

    def targets(self, view: View) -> Ints:
        """How many tasks each agent is to be measured on, by the stages it has earned."""
        own = view.passed + view.failed
        good = view.passed >= self.threshold * own
        targets = np.zeros(view.agents, dtype=np.int64)
        going, total = np.ones(view.agents, dtype=np.bool_), 0
        for stage in self.stages:
            total += stage
            targets[going] = total
            going &= good & (own >= total)
        return targets

    def parent(self, view: View, rng: np.random.Generator) -> int:
        scores = view.passed / np.maximum(1, view.passed + view.failed)
        weights = 1 / (1 + np.exp(-self.steepness * (scores - self.midpoint))) / (1 + view.children)
        weights[scores >= 1] = 0.0 if (scores < 1).any() else 1.0
        return int(rng.choice(len(weights), p=weights / weights.sum()))
