"""What policies without a memory share: the best agent is the one with the highest quantile of its posterior.

Best belief is the ε-quantile of Beta(1 + passed, 1 + failed), after HGM (arXiv 2510.21614, section 3). The printed
formula with ε = 1 is 1 for every agent; ε = 0.25 is the lower quartile, so that an agent needs evidence and not only
luck.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from archive import ranking
from evolve.moves import Move
from evolve.policies.base import Fold, View


class ByBelief(BaseModel, ABC):
    """A policy that keeps no memory and takes the agent of the best belief away."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    epsilon: float = Field(0.25, gt=0, lt=1)
    """Best belief is the highest ε-quantile of the posterior of an agent's success rate."""

    def fold(self, tasks: int, budget: int) -> Fold | None:
        return None

    @abstractmethod
    def choose(self, view: View, rng: np.random.Generator) -> Move | None:
        """The next move."""

    def best(self, view: View) -> int | None:
        return next(iter(self.finalists(view, 1)), None)

    def finalists(self, view: View, k: int) -> tuple[int, ...]:
        return ranking(view.passed, view.failed, self.epsilon, k)
