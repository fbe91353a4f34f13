"""The uniform baseline: explore only."""

from __future__ import annotations

from typing import Literal

import numpy as np

from evolve.policies.base import Ints, View
from evolve.policies.widening import Widening


class Uniform(Widening):
    """Expands and measures any agent with equal probability."""

    name: Literal["uniform"] = "uniform"

    def parent(self, view: View, eligible: Ints, rng: np.random.Generator) -> int:
        return int(eligible[rng.integers(len(eligible))])

    def candidate(self, view: View, eligible: Ints, rng: np.random.Generator) -> int:
        return int(eligible[rng.integers(len(eligible))])
