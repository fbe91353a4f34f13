"""The policy of the Huxley-Gödel Machine: expand the most promising clade, measure the most promising agent.

Source: "Huxley-Gödel Machine", arXiv 2510.21614, section 3 and algorithm 1. Departures from the released code:
statistics are sums over frozen rows (there, each look at a clade adds to the ancestor's own record); τ = B/b is on, as
in the paper (there it is off by default); agents without a success stay eligible (there a weak seed is stranded).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from archive import Tally
from evolve.policies.base import View
from evolve.policies.widening import Widening


class HGM(Widening):
    """Thompson sampling over clades (to expand) and over agents (to measure)."""

    name: Literal["hgm"] = "hgm"
    cooling: bool = True
    """Sharpen the posteriors by τ = budget / what remains of it."""

    def parent(self, agents: Sequence[int], view: View, rng: np.random.Generator) -> int:
        """One draw per agent from the posterior of its clade; the largest wins."""
        return agents[self._thompson([view.clades[id].whole for id in agents], view, rng)]

    def candidate(self, agents: Sequence[int], view: View, rng: np.random.Generator) -> int:
        """The same over an agent's own results, among agents with tasks left."""
        return agents[self._thompson([view.clades[id].own for id in agents], view, rng)]

    def _thompson(self, tallies: Sequence[Tally], view: View, rng: np.random.Generator) -> int:
        remaining = max(1, view.budget - view.evaluations)
        tau = view.budget / remaining if self.cooling else 1.0
        passed = np.array([tally.passed for tally in tallies], dtype=float)
        failed = np.array([tally.failed for tally in tallies], dtype=float)
        return int(np.argmax(rng.beta(tau * (1 + passed), tau * (1 + failed))))
