"""How often chance turns a verdict."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archive import Tally
from evolve.statistics.noise import flipped, halves, noise
from evolve.statistics.power import found


@settings(deadline=None)
@given(st.lists(st.booleans(), min_size=2, max_size=9))
def test_flips_are_the_share_of_pairs_that_differ(passes: list[bool]) -> None:
    pairs = list(combinations(passes, 2))
    assert flipped(passes) == pytest.approx(sum(a != b for a, b in pairs) / len(pairs))


def test_two_verdicts_a_task_have_the_beta_interval() -> None:
    verdicts = {str(n): [True, n >= 5] for n in range(30)} | {"once": [True]}
    measured = noise(verdicts)
    assert measured is not None
    assert (measured.tasks, measured.verdicts, measured.flips) == (30, 60, pytest.approx(5 / 30))
    assert measured.base == pytest.approx(55 / 60)
    assert (measured.low, measured.high) == pytest.approx(Tally(5, 25).interval(), abs=0.005)
    assert measured.deviation == pytest.approx(np.sqrt(5 / 30 / 30))
    assert measured.smallest is None  # the tasks it fails are too few to show a better agent
    assert noise({"once": [True]}) is None
    assert noise({}) is None


def test_the_flip_rate_is_right_whatever_the_number_of_repeats() -> None:
    """Tasks with chances of their own: 2p(1 - p) on average; 0.3 points of error."""
    rng = np.random.default_rng(4)
    chances = rng.beta(0.5, 0.5, 20_000)
    truth = float((2 * chances * (1 - chances)).mean())
    for repeats in (2, 5):
        verdicts = {str(n): list(rng.random(repeats) < p) for n, p in enumerate(chances)}
        measured = noise(verdicts)
        assert measured is not None
        assert measured.flips == pytest.approx(truth, abs=0.01)
        assert measured.low < truth < measured.high


def test_the_noise_floor_is_what_equal_agents_differ_by() -> None:
    rng = np.random.default_rng(5)
    chances = rng.beta(1, 1, 40)
    rate = float((2 * chances * (1 - chances)).mean())
    differences = [(rng.random(40) < chances).mean() - (rng.random(40) < chances).mean() for _ in range(4000)]
    assert np.std(differences) == pytest.approx(np.sqrt(rate / 40), rel=0.04)


def test_what_is_told_from_it() -> None:
    measured = noise({str(n): [n % 2 == 0, n % 2 == 0] for n in range(40)})
    assert measured is not None
    assert measured.smallest is not None
    assert found(40, measured.smallest, measured.flips) >= 0.8


def test_a_and_a_are_its_first_and_second_verdicts() -> None:
    assert halves({"a": [True, False, True], "b": [False]}) == ({"a": 1.0}, {"a": 0.0})
