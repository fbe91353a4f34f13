"""Power by exact sums: against every outcome written out, and the searches against themselves."""

from __future__ import annotations

from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evolve.statistics.mcnemar import exact
from evolve.statistics.power import (
    LEVEL,
    MOST_TASKS,
    found,
    most_flips,
    plan,
    power_of,
    room,
    smallest,
    tasks_needed,
    to_decide,
)


def written_out(tasks: int, gain: float, loss: float, level: float) -> float:
    """The probability of every split that the test finds different enough."""
    total = 0.0
    for a in range(tasks + 1):
        for b in range(tasks + 1 - a):
            if exact(a, b) <= level:
                ways = comb(tasks, a) * comb(tasks - a, b)
                total += ways * gain**a * loss**b * (1 - gain - loss) ** (tasks - a - b)
    return total


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 25), st.floats(0, 0.6), st.floats(0, 0.4), st.sampled_from([0.05, 0.01, 0.3]))
def test_it_is_the_sum_over_all_outcomes(tasks: int, gain: float, loss: float, level: float) -> None:
    assert power_of(tasks, gain, loss, level) == pytest.approx(written_out(tasks, gain, loss, level), abs=1e-9)


def test_equal_agents_are_found_different_less_often_than_the_level() -> None:
    for tasks in (10, 44, 300, 20_000):
        assert power_of(tasks, 0.1, 0.1) <= LEVEL


def test_many_tasks_are_summed_as_few_are() -> None:
    """A hundred thousand tasks: the normal formula is right to a few thousandths there."""
    z = (100_000 * 0.004 - 1) / np.sqrt(100_000 * 0.2)  # one discordant task is the test's own coarseness
    from scipy.special import ndtr

    assert power_of(100_000, 0.102, 0.098) == pytest.approx(float(ndtr(z - 1.96)), abs=0.005)
    assert power_of(MOST_TASKS, 0.11, 0.09) == pytest.approx(1.0)


@pytest.mark.parametrize(("gain", "loss"), [(0.36, 0.05), (0.2, 0.1), (0.12, 0.08), (1.0, 0.0)])
def test_the_tasks_needed_are_where_the_power_is_reached(gain: float, loss: float) -> None:
    tasks = tasks_needed(gain, loss)
    assert tasks is not None
    assert power_of(tasks, gain, loss) >= 0.8 > power_of(tasks - 1, gain, loss)


def test_what_no_number_of_tasks_decides() -> None:
    assert tasks_needed(0.1, 0.1) is None
    assert tasks_needed(0.1001, 0.1) is None
    with pytest.raises(ValueError, match="not two shares"):
        power_of(10, 0.7, 0.4)


def test_the_smallest_difference_is_where_the_power_is_reached() -> None:
    least = smallest(100, 0.4, 0.1)
    assert least is not None
    assert found(100, least, 0.1) >= 0.8 > found(100, least - 0.0002, 0.1)
    assert smallest(5, 0.4, 0.1) is None
    assert smallest(100, 1.0, 0.0) is None


def test_more_tasks_show_less() -> None:
    shown = [smallest(tasks, 0.4, 0.2) for tasks in (50, 100, 200, 400, 1600)]
    assert None not in shown
    assert shown == sorted(shown, reverse=True)  # type: ignore[type-var]


def test_a_plan_is_of_one_piece() -> None:
    made = plan(0.4, 0.12, 103, comparisons=4, wanted=0.1)
    assert made.level == 0.05 / 4
    assert made.deviation == pytest.approx(np.sqrt(0.12 / 103))
    assert made.needed is not None
    assert found(made.needed, 0.1, 0.12, made.level) >= 0.8
    assert dict(made.curve)[0.2] == found(103, 0.2, 0.12, made.level)
    alone = plan(0.4, 0.12, 103)
    assert alone.smallest is not None
    assert made.smallest is not None
    assert alone.smallest < made.smallest
    assert alone.needed is None
    with pytest.raises(ValueError, match=r"flips 0\.48 at most"):
        plan(0.4, 0.5, 100)
    with pytest.raises(ValueError, match=r"0\.55 at most"):
        plan(0.4, 0.1, 100, wanted=0.6)


@settings(deadline=None)
@given(st.floats(0, 1))
def test_no_tasks_flip_more_than_one_coin(base: float) -> None:
    rng = np.random.default_rng(int(1e6 * base))
    chances = np.clip(rng.normal(base, 0.2, 50), 0, 1)
    mean = float(chances.mean())
    assert (2 * chances * (1 - chances)).mean() <= most_flips(mean) + 1e-12
    assert room(mean, most_flips(mean)) <= 1 - mean + 1e-12


def test_how_many_tasks_would_decide() -> None:
    pairs = np.array([(1, 0)] * 16 + [(0, 1)] * 2 + [(1, 1)] * 15 + [(0, 0)] * 11, dtype=float)
    needed = to_decide(pairs)
    assert needed.tasks == tasks_needed(16.5 / 46, 2.5 / 46) or abs((needed.tasks or 0) - 35) <= 2
    assert needed.low is not None
    assert needed.tasks is not None
    assert needed.high is not None
    assert needed.low < needed.tasks < needed.high
    even = to_decide(np.array([(1, 0), (0, 1)] * 20, dtype=float))
    assert even.tasks is None or even.tasks > 10_000
