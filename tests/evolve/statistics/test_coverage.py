"""Do 95 % intervals hold what they say 95 times in 100, and false positives 5 times at most?

Where tasks are drawn without looking at results (as `clade evaluate`, `compare` and `final` measure). What a policy
chose to measure is another matter: see docs/statistics.md.
"""

from __future__ import annotations

import numpy as np
import pytest

from archive import Tally
from evolve.statistics.mcnemar import exact
from evolve.statistics.pairedbayes import difference

PAIRS = 900
DRAWS = 1000
"""Posterior draws an interval is read from here; 40,000 are no more than smoother."""


@pytest.mark.parametrize("n", [5, 20, 60, 200])
def test_the_interval_of_a_rate_covers_what_it_says(n: int) -> None:
    """Averaged over its prior exactly 95 %, up to the simulation's own error (0.3 points)."""
    rng = np.random.default_rng(n)
    truths = rng.random(6000)
    passed = rng.binomial(n, truths)
    ends = {count: Tally(count, n - count).interval() for count in range(n + 1)}
    covered = np.mean([ends[int(k)][0] <= truth <= ends[int(k)][1] for k, truth in zip(passed, truths, strict=True)])
    assert 0.94 <= covered <= 0.96


@pytest.mark.parametrize("n", [15, 40, 120])
def test_the_interval_of_a_difference_covers_what_it_says(n: int) -> None:
    """Over kinds of tasks drawn from the prior; 0.7 points of simulation error."""
    rng = np.random.default_rng(n)
    truths = rng.dirichlet([0.5] * 4, PAIRS)
    assert 0.93 <= np.mean([covers(truth, n, rng) for truth in truths]) <= 0.97


@pytest.mark.parametrize("truth", [(0.3, 0.2, 0.1, 0.4), (0.4, 0.1, 0.1, 0.4), (0.2, 0.35, 0.05, 0.4)])
def test_it_does_so_for_agents_as_one_meets_them(truth: tuple[float, ...]) -> None:
    rng = np.random.default_rng(int(1000 * truth[0]))
    assert 0.93 <= np.mean([covers(np.array(truth), 60, rng) for _ in range(PAIRS)]) <= 0.97


def covers(truth: np.ndarray, n: int, rng: np.random.Generator) -> bool:
    kinds = np.array([(1, 1), (1, 0), (0, 1), (0, 0)], dtype=float)
    pairs = kinds[rng.choice(4, n, p=truth)]
    found = difference(pairs, draws=DRAWS, seed=int(rng.integers(2**31)))
    return found.low <= truth[1] - truth[2] <= found.high


def test_an_agent_beside_itself_is_found_different_in_one_case_of_twenty_at_most() -> None:
    """A/A: 4,000 pairs of runs of one agent, 20 to 200 tasks, each task a coin of its own; 0.35 points of error."""
    rng = np.random.default_rng(0)
    found = 0
    for _ in range(4000):
        chances = 1 / (1 + np.exp(-rng.normal(0, rng.choice([0.5, 1.5, 3.0]), rng.integers(20, 201))))
        first, second = rng.random((2, len(chances))) < chances
        found += exact(int((first & ~second).sum()), int((second & ~first).sum())) <= 0.05
    assert found / 4000 <= 0.05
    assert found > 20  # it is a test, and not one that never finds anything
