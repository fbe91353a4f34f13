"""Tables over seeds: hand-computed where it can be, and intervals that cover what they should."""

from __future__ import annotations

import numpy as np
import pytest

from evolve.simulate import Checkpoint, Trace, table
from evolve.simulate.outcome import estimate, evaluations_to


def trace(seed: int, skills: dict[int, float], best: float = 0.9, hours: float = 2.0) -> Trace:
    """A run whose chosen agent was so good after so many evaluations."""
    points = tuple(Checkpoint(at, 5, 6, hours, 1.0, 3, skill, skill + 0.1, best) for at, skill in skills.items())
    return Trace(seed, 0.4, 0, "the budget is spent", points)


def test_a_mean_has_students_interval():
    found = estimate([1.0, 2.0, 3.0, 4.0])
    assert found.mean == 2.5
    assert found.high is not None and found.low is not None
    assert found.high - 2.5 == pytest.approx(3.182446 * np.std([1, 2, 3, 4], ddof=1) / 2)
    assert found.low + found.high == pytest.approx(5.0)
    alone = estimate([0.5])
    assert (alone.mean, alone.low, alone.high) == (0.5, None, None)


def test_intervals_of_means_cover_the_truth_in_95_of_100():
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(2000):
        found = estimate(rng.beta(2, 3, 20))
        assert found.low is not None and found.high is not None
        covered += found.low <= 0.4 <= found.high
    assert 0.93 < covered / 2000 < 0.97


def test_a_table_by_hand():
    runs = {
        "hgm": [trace(0, {25: 0.4, 50: 0.5}, best=0.6), trace(1, {25: 0.5, 50: 0.6}, best=0.7)],
        "dgm": [trace(1, {25: 0.7, 50: 0.9}), trace(0, {25: 0.5, 50: 0.8}), trace(2, {25: 0.0, 50: 0.0})],
    }
    found = table("a world", runs, "hgm")
    first, second = found.rows
    assert (first.policy, first.runs, second.policy) == ("dgm", 2, "hgm"), "seed 2 is of one policy only"
    assert first.skill.mean == pytest.approx(0.85)
    assert first.gain.mean == pytest.approx(0.45)
    assert first.regret.mean == pytest.approx(0.05)
    assert second.regret.mean == pytest.approx(0.1)
    assert second.shortfall.mean == pytest.approx(0.35), "the best agent is in the other policy's tree"
    assert first.difference is not None and second.difference is None
    assert first.difference.mean == pytest.approx(0.3)
    assert (first.difference.low, first.difference.high) == pytest.approx((0.3, 0.3)), "paired by seed: no noise left"
    assert first.to_level is not None and first.to_level.mean == 25
    assert found.seed_skill.mean == pytest.approx(0.4)


def test_a_level_is_reached_between_checkpoints_or_never():
    traces = [trace(0, {100: 0.2, 200: 0.4}), trace(1, {100: 0.4, 200: 0.6})]
    half = evaluations_to(0.4, traces)
    assert half is not None
    assert half.mean == pytest.approx(150)
    assert half.low is not None and half.low <= 150
    assert evaluations_to(0.7, traces) is None
    early = evaluations_to(0.1, traces)
    assert early is not None and early.mean == 100
    open_above = evaluations_to(0.5, traces)
    assert open_above is not None and open_above.high is None, "a resample of the worse run alone never gets there"


def test_a_run_that_ended_early_stays_as_it_ended():
    traces = [trace(0, {100: 0.2, 120: 0.3}), trace(1, {100: 0.2, 200: 0.5})]
    found = evaluations_to(0.4, traces)
    assert found is not None and found.mean == 200


def test_no_seed_in_common_is_no_table():
    with pytest.raises(ValueError, match="no seed in common"):
        table("w", {"hgm": [trace(0, {1: 0.1})], "dgm": [trace(1, {1: 0.1})]}, "hgm")
