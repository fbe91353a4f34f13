"""The uniform baseline: explore only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from evolve.policies.base import View
from evolve.policies.widening import Widening


class Uniform(Widening):
    """Expands and measures any agent with equal probability."""

    name: Literal["uniform"] = "uniform"

    def parent(self, agents: Sequence[int], view: View, rng: np.random.Generator) -> int:
        return agents[int(rng.integers(len(agents)))]

    def candidate(self, agents: Sequence[int], view: View, rng: np.random.Generator) -> int:
        return agents[int(rng.integers(len(agents)))]
