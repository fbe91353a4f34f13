"""The greedy baseline: exploit only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from evolve.policies.base import View
from evolve.policies.widening import Widening


class Greedy(Widening):
    """Expands and measures the agent with the highest mean so far; agents not measured yet are measured first."""

    name: Literal["greedy"] = "greedy"

    def parent(self, agents: Sequence[int], view: View, rng: np.random.Generator) -> int:
        return self._highest(agents, view, rng)

    def candidate(self, agents: Sequence[int], view: View, rng: np.random.Generator) -> int:
        fresh = [id for id in agents if not view.measured.get(id)]
        return fresh[0] if fresh else self._highest(agents, view, rng)

    def _highest(self, agents: Sequence[int], view: View, rng: np.random.Generator) -> int:
        means = np.array([view.clades[id].own.mean or 0.0 for id in agents])
        return agents[int(rng.choice(np.flatnonzero(means == means.max())))]
