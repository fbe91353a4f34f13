"""The policy of the Darwin Gödel Machine: open-ended generations, parents by score and few children.

Source: arXiv 2505.22954, appendix C.2. Parents are drawn with probability ∝ σ(λ(score − α₀)) / (1 + children); a
generation's children are measured in stages (a further stage only for those that did well on the one before) and the
next generation starts when all of them are. Scores are compared on the evidence an agent has, as there.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from archive import best_belief
from evolve.policies.base import Evaluate, Expand, Move, View


class DGM(BaseModel):
    """Generations of children, staged evaluation."""

    model_config = ConfigDict(extra="forbid", frozen=True)

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
    epsilon: float = Field(0.25, gt=0, lt=1)

    def choose(self, view: View, rng: np.random.Generator) -> Move | None:
        if view.may_evaluate:
            for agent in view.agents:
                if view.measured.get(agent.id, 0) < self.target(view, agent.id) and agent.id in view.open_tasks:
                    return Evaluate(agent.id, view.open_tasks[agent.id][0])
        attempts = view.expansions + view.expansions_in_flight
        waiting = view.expansions_in_flight + view.evaluations_in_flight
        within = attempts % self.generation != 0 and view.evaluations_in_flight == 0
        if view.may_expand and view.evaluations < view.budget and (within or not waiting):
            return Expand(self.parent(view, rng))
        return None

    def target(self, view: View, agent: int) -> int:
        """How many tasks the agent is to be measured on, by the stages it has earned."""
        own, total = view.clades[agent].own, 0
        for stage in self.stages:
            total += stage
            if own.n < total or own.passed < self.threshold * own.n:
                break
        return total

    def parent(self, view: View, rng: np.random.Generator) -> int:
        scores = np.array([view.clades[agent.id].own.mean or 0.0 for agent in view.agents])
        children = np.array([len(view.clades[agent.id].children) for agent in view.agents])
        weights = 1 / (1 + np.exp(-self.steepness * (scores - self.midpoint))) / (1 + children)
        weights[scores >= 1] = 0.0 if (scores < 1).any() else 1.0
        return view.agents[int(rng.choice(len(weights), p=weights / weights.sum()))].id

    def best(self, view: View) -> int | None:
        return best_belief(view.agents, {id: clade.own for id, clade in view.clades.items()}, self.epsilon)
