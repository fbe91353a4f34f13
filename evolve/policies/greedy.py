"""The greedy baseline: exploit only."""

from __future__ import annotations

from typing import Literal

import numpy as np

from evolve.policies.base import Ints, View
from evolve.policies.widening import Widening


class Greedy(Widening):
    """Expands and measures the agent with the highest mean so far; agents not measured yet are measured first."""

    name: Literal["greedy"] = "greedy"

    def parent(self, view: View, eligible: Ints, rng: np.random.Generator) -> int:
        return self._highest(view, eligible, rng)

    def candidate(self, view: View, eligible: Ints, rng: np.random.Generator) -> int:
        fresh = eligible[view.passed[eligible] + view.failed[eligible] + view.in_flight[eligible] == 0]
        return int(fresh[0]) if fresh.size else self._highest(view, eligible, rng)

    def _highest(self, view: View, eligible: Ints, rng: np.random.Generator) -> int:
        passed, failed = view.passed[eligible], view.failed[eligible]
        means = passed / np.maximum(1, passed + failed)
        highest = (means == means.max()).nonzero()[0]
        return int(eligible[highest[rng.integers(len(highest))]])
