"""The exact test: against sums written out, and its critical values against itself."""

from __future__ import annotations

from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evolve.statistics.mcnemar import critical, exact, mid_p

FEW = st.integers(0, 60)


@settings(deadline=None)
@given(FEW, FEW)
def test_exact_is_the_sum_of_both_tails(only_a: int, only_b: int) -> None:
    n, least = only_a + only_b, min(only_a, only_b)
    both = 2 * sum(comb(n, k) for k in range(least + 1)) / 2**n
    assert exact(only_a, only_b) == pytest.approx(min(1.0, both))


@settings(deadline=None)
@given(FEW, FEW)
def test_mid_p_takes_half_of_the_split_itself(only_a: int, only_b: int) -> None:
    n, least = only_a + only_b, min(only_a, only_b)
    below = sum(comb(n, k) for k in range(least))
    assert mid_p(only_a, only_b) == pytest.approx(min(1.0, (2 * below + comb(n, least)) / 2**n))
    assert mid_p(only_a, only_b) <= exact(only_a, only_b) + 1e-12


def test_known_values() -> None:
    """Ten discordant tasks, one against nine: 2 · 11 / 1024."""
    assert exact(1, 9) == pytest.approx(22 / 1024)
    assert exact(9, 1) == pytest.approx(22 / 1024)
    assert exact(0, 0) == 1.0


@pytest.mark.parametrize("level", [0.5, 0.05, 0.0125, 0.001])
def test_critical_is_the_last_split_that_is_uneven_enough(level: float) -> None:
    of = np.arange(0, 400)
    for discordant, wins in zip(of.tolist(), critical(of, level).tolist(), strict=True):
        assert wins < 0 or exact(wins, discordant - wins) <= level
        if 2 * (wins + 1) <= discordant:
            assert exact(wins + 1, discordant - wins - 1) > level
