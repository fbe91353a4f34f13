"""Tables over seeds: hand-computed where it can be, and intervals that cover what they should."""

from __future__ import annotations

import numpy as np
import pytest

from evolve.simulate import Checkpoint, Trace, table
from evolve.simulate.outcome import amount_to, estimate, hours


def trace(seed: int, skills: dict[int, float], best: float = 0.9, hours: float = 2.0) -> Trace:
    """A run whose chosen agent was so good after so many evaluations."""
    last = max(skills)
    points = tuple(
        Checkpoint(at, 5, 6, hours * at / last, 1.0, 3, skill, skill + 0.1, best) for at, skill in skills.items()
    )
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
    assert (first.policy, first.runs, first.pairs) == ("dgm", 3, 2), "seed 2 is of one policy only"
    assert (second.policy, second.runs, second.pairs) == ("hgm", 2, 2)
    assert first.skill.mean == pytest.approx(1.7 / 3), "a policy's own numbers are over all its seeds"
    assert first.gain.mean == pytest.approx(0.5 / 3)
    assert first.regret.mean == pytest.approx(1.0 / 3)
    assert second.regret.mean == pytest.approx(0.1)
    assert second.shortfall is not None
    assert second.shortfall.mean == pytest.approx(0.35), "the best agent is in the other policy's tree"
    assert first.difference is not None and second.difference is None
    assert first.difference.mean == pytest.approx(0.3), "differences are over the seeds that both have"
    assert (first.difference.low, first.difference.high) == pytest.approx((0.3, 0.3)), "paired by seed: no noise left"
    assert first.to_level is not None and first.to_level.mean == 25
    assert (first.rival, second.rival) == ("hgm", "dgm")
    assert first.beyond_rival == first.difference
    assert second.beyond_rival is not None and second.beyond_rival.mean == pytest.approx(-0.3)
    assert found.seed_skill.mean == pytest.approx(0.4)


def test_at_equal_hours_who_is_slower_has_less():
    runs = {
        "hgm": [trace(seed, {50: 0.4, 100: 0.5 + seed / 100}, hours=1.0) for seed in range(3)],
        "dgm": [trace(seed, {25: 0.45, 50: 0.5, 100: 0.9}, hours=2.0) for seed in range(3)],
        "quick": [trace(seed, {25: 0.6, 50: 0.7}, hours=0.25) for seed in range(3)],
    }
    found = {row.policy: row for row in table("a world", runs, "hgm").rows}
    slow, quick, itself = found["dgm"].at_hours, found["quick"].at_hours, found["hgm"].at_hours
    assert slow.skill.mean == pytest.approx(0.5), "what it had after an hour"
    assert slow.difference is not None and slow.difference.mean == pytest.approx(-0.01)
    assert slow.to_level is not None and slow.to_level.mean == pytest.approx(1 + 0.01 / 0.4)
    assert quick.skill.mean == pytest.approx(0.7), "a run that is over stands as it ended"
    assert itself.difference is None and itself.skill.mean == pytest.approx(0.51)
    assert found["dgm"].rival == "quick" and found["quick"].rival == "dgm"


def test_a_run_begins_with_the_first_agent():
    runs = {"hgm": [trace(0, {25: 0.5}, hours=1.0)], "dgm": [trace(0, {25: 0.9}, hours=4.0)]}
    slow = next(row for row in table("a world", runs, "hgm").rows if row.policy == "dgm")
    assert slow.at_hours.skill.mean == pytest.approx(0.4 + 0.5 / 4), "a quarter of the way to its first checkpoint"
    assert slow.at_usd.skill.mean == 0.9


def test_a_level_is_reached_between_checkpoints_or_never():
    traces = [trace(0, {100: 0.2, 200: 0.4}), trace(1, {100: 0.4, 200: 0.6})]
    half = amount_to(np.full(2, 0.4), traces)
    assert half is not None
    assert half.mean == pytest.approx(150)
    assert half.low is not None and half.low <= 150
    assert amount_to(np.full(2, 0.7), traces) is None
    early = amount_to(np.full(2, 0.1), traces)
    assert early is not None and early.mean == 100
    open_above = amount_to(np.full(2, 0.5), traces)
    assert open_above is not None and open_above.high is None, "a resample of the worse run alone never gets there"


def test_a_run_that_ended_early_stays_as_it_ended():
    traces = [trace(0, {100: 0.2, 120: 0.3}), trace(1, {100: 0.2, 200: 0.5})]
    found = amount_to(np.full(2, 0.4), traces)
    assert found is not None and found.mean == 200


def test_the_level_is_resampled_with_the_runs_that_set_it():
    """A reference whose level varies from world to world as the runs do: pairs reach it at the same point always."""
    traces = [trace(seed, {100: 0.2 + seed / 10, 200: 0.4 + seed / 10}) for seed in range(5)]
    found = amount_to(np.array([0.3 + seed / 10 for seed in range(5)]), traces)
    assert found is not None and found.low is not None and found.high is not None
    assert (found.mean, found.low, found.high) == pytest.approx((150, 150, 150))


def test_many_amounts_are_thinned_out():
    """Hours are never the same twice; where a level is reached is found all the same."""
    traces = [trace(seed, {at: at / 1000 for at in range(25, 825, 25)}, hours=8 + seed / 100) for seed in range(40)]
    found = amount_to(np.full(40, 0.5), traces, hours)
    assert found is not None and found.mean == pytest.approx(0.5 / 0.8 * 8.195, abs=0.02)


def test_no_seed_in_common_is_no_table():
    with pytest.raises(ValueError, match="no seed in common"):
        table("w", {"hgm": [trace(0, {1: 0.1})], "dgm": [trace(1, {1: 0.1})]}, "hgm")
