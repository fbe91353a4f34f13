"""The policy of the Huxley-Gödel Machine: expand the most promising clade, measure the most promising agent.

Source: "Huxley-Gödel Machine", arXiv 2510.21614, section 3 and algorithm 1. Departures from the released code:
statistics are sums over frozen rows (there, each look at a clade adds to the ancestor's own record); τ = B/b is on, as
in the paper (there it is off by default); agents without a success stay eligible (there a weak seed is stranded).
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from evolve.policies.base import Ints, View
from evolve.policies.thompson import thompson
from evolve.policies.widening import Widening


class HGM(Widening):
    """Thompson sampling over clades (to expand) and over agents (to measure)."""

    name: Literal["hgm"] = "hgm"
    cooling: bool = True
    """Sharpen the posteriors by τ = budget / what remains of it."""

    def parent(self, view: View, eligible: Ints, rng: np.random.Generator) -> int:
        """One draw per agent from the posterior of its clade; the largest wins."""
        return thompson(view.clade_passed, view.clade_failed, self.tau(view), eligible, rng)

    def candidate(self, view: View, eligible: Ints, rng: np.random.Generator) -> int:
        """The same over an agent's own results."""
        return thompson(view.passed, view.failed, self.tau(view), eligible, rng)

    def tau(self, view: View) -> float:
        """How much the posteriors are sharpened now."""
        return view.budget / max(1, view.budget - view.evaluations) if self.cooling else 1.0
