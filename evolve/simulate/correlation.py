"""How well what a policy believes of an agent foretells what its descendants reach: table 1 of the HGM paper.

Definitions of "Huxley-Gödel Machine" (arXiv 2510.21614), section 4.1 and appendix D, on the tree at the end of a run
and on the run's own verdicts:

- an agent's *empirical CMP* (clade metaproductivity) is the highest mean of any of its descendants, itself left out;
- HGM's estimate of it is the mean of all verdicts in its clade, less its own and less those of the child's clade that
  holds that highest mean: they would be on both sides;
- DGM's and SICA's estimate is the agent's own mean.

Agents of which either is not defined are left out: nobody measured below, or nothing left for the estimate.
Correlations are Pearson's, each agent weighing 1 or the number of verdicts that its estimate is made of.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from evolve.policies.base import Floats, Ints, View

FEWEST = 3
"""Agents; through two points there always is a line."""


@dataclass(frozen=True, slots=True)
class Correlation:
    """Of an estimate with the empirical CMP, over the agents of one run."""

    weighted: float | None
    """None: fewer than three agents, or no variance."""
    unweighted: float | None
    agents: int
    """For which both sides are defined."""


@dataclass(frozen=True, slots=True, eq=False)
class Below:
    """What lies below each agent, by id."""

    highest: Floats
    """Empirical CMP; nan if no descendant was measured."""
    through: Ints
    """The child in whose clade that is, the oldest one of equals; -1 if there is none."""


def below(view: View) -> Below:
    """The highest mean below each agent, and by which child it is reached."""
    mean = own_mean(view)
    highest, through = np.full(view.agents, np.nan), np.full(view.agents, -1)
    for child in range(view.agents - 1, 0, -1):  # children come after parents, so all below `child` is known by now
        parent, reached = int(view.parent[child]), np.fmax(mean[child], highest[child])
        if not np.isnan(reached) and not reached < highest[parent]:
            highest[parent], through[parent] = reached, child
    return Below(highest, through)


def own_mean(view: View) -> Floats:
    """Share of its verdicts that each agent passed; nan without any."""
    return _share(view.passed, view.passed + view.failed)


def of_own_mean(view: View) -> Correlation:
    """Of what DGM and SICA choose parents by."""
    return correlation(own_mean(view), view.passed + view.failed, below(view).highest)


def of_clade_mean(view: View) -> Correlation:
    """Of what HGM chooses parents by, less what is the target's own."""
    found = below(view)
    return correlation(*rest_of_clade(view, found), found.highest)


def rest_of_clade(view: View, found: Below) -> tuple[Floats, Ints]:
    """Mean and number of the verdicts in each agent's clade, less its own and those of the branch of the target."""
    none, best = found.through < 0, found.through
    passed = view.clade_passed - view.passed - np.where(none, 0, view.clade_passed[best])
    failed = view.clade_failed - view.failed - np.where(none, 0, view.clade_failed[best])
    return _share(passed, passed + failed), passed + failed


def correlation(estimate: Floats, weight: Ints, target: Floats) -> Correlation:
    """Pearson's, with these weights and without, over the places where neither side is nan."""
    both = ~(np.isnan(estimate) | np.isnan(target))
    x, y, w = estimate[both], target[both], weight[both].astype(np.float64)
    return Correlation(_pearson(x, y, w), _pearson(x, y, np.ones(len(x))), len(x))


def _share(part: Ints, whole: Ints) -> Floats:
    shares: Floats = np.divide(part, whole, out=np.full(len(whole), np.nan), where=whole > 0)
    return shares


def _pearson(x: Floats, y: Floats, weight: Floats) -> float | None:
    if len(x) < FEWEST:
        return None
    share = weight / weight.sum()
    x, y = x - share @ x, y - share @ y
    spread = float(share @ (x * x)) * float(share @ (y * y))
    # The variance of equal numbers comes out as a rounding error or so, not as zero.
    return float(share @ (x * y)) / spread**0.5 if spread > 1e-24 else None
