"""The posterior of a difference: the conjugate one where there is one, and a task is a task however often measured."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special

from archive import Tally
from evolve.statistics.pairedbayes import common, difference, gains_and_losses, rates


def pairs_of(n11: int, n10: int, n01: int, n00: int) -> np.ndarray:
    return np.array([(1, 1)] * n11 + [(1, 0)] * n10 + [(0, 1)] * n01 + [(0, 0)] * n00, dtype=float).reshape(-1, 2)


CELLS = st.tuples(*[st.integers(0, 40)] * 4)


@settings(max_examples=40, deadline=None)
@given(CELLS)
def test_with_one_verdict_a_task_it_is_the_dirichlet_posterior(cells: tuple[int, int, int, int]) -> None:
    drawn = gains_and_losses(pairs_of(*cells))
    _, n10, n01, _ = cells
    n = sum(cells) + 2
    for column, count in ((0, n10), (1, n01)):
        mean = (count + 0.5) / n
        assert drawn[:, column].mean() == pytest.approx(mean, abs=4 * np.sqrt(mean * (1 - mean) / n / len(drawn)))
        assert drawn[:, column].var() == pytest.approx(mean * (1 - mean) / (n + 1), rel=0.06)
    # Which of the two wins a discordant task is independent of how many there are: Beta(n10 + ½, n01 + ½).
    better = 1 - float(special.betainc(n10 + 0.5, n01 + 0.5, 0.5))
    assert difference(pairs_of(*cells)).p_better == pytest.approx(better, abs=0.012)


def test_without_a_task_there_is_only_the_prior() -> None:
    nothing = difference(common({"a": 1.0}, {"b": 1.0}))
    assert (nothing.mean, nothing.p_better) == pytest.approx((0.0, 0.5), abs=0.01)
    assert nothing.low < -0.8
    assert nothing.high > 0.8


def test_repeats_narrow_only_what_a_task_is_not_between_tasks() -> None:
    """Ten tasks are ten tasks, whether each was measured once or a hundred times with the same result."""
    once = common({str(n): float(n < 6) for n in range(10)}, {str(n): float(n < 3) for n in range(10)})
    assert difference(once) == difference(once.copy())
    shares = common({str(n): 0.6 for n in range(10)}, {str(n): 0.3 for n in range(10)})
    assert difference(shares).mean == pytest.approx(0.25, abs=0.01)
    assert difference(shares).high - difference(shares).low < difference(once).high - difference(once).low


@pytest.mark.parametrize(("passed", "failed"), [(0, 0), (3, 1), (0, 12), (40, 60)])
def test_a_rate_has_the_posterior_that_tallies_have(passed: int, failed: int) -> None:
    drawn = rates(np.array([1.0] * passed + [0.0] * failed))
    assert np.quantile(drawn, (0.025, 0.975)) == pytest.approx(Tally(passed, failed).interval(), abs=0.005)
