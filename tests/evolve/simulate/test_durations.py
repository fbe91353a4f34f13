"""Drawn times have the quantiles of the real ones, which this test reads where they are at hand."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from evolve.simulate.durations import (
    EXPANSION_MOST_SECONDS,
    LEVELS,
    OUR_SETUP_SECONDS,
    TASKS_SHARE,
    TIMINGS,
    agent_seconds,
    expansion_seconds,
    setup_seconds,
)

REAL = Path(__file__).parents[4] / "shared" / "data" / "dgm-seed-timings.csv"
NAMES = {"swe": "swe-bench-verified", "polyglot": "polyglot"}
MANY = 20_000


@pytest.mark.parametrize("benchmark", TIMINGS)
@pytest.mark.parametrize("passed", [True, False])
def test_draws_have_the_quantiles_of_the_table(benchmark, passed):
    rng = np.random.default_rng(1)
    timings = TIMINGS[benchmark]
    drawn = agent_seconds(timings, np.full(MANY, passed), *rng.standard_normal((2, MANY)))
    table = timings.solved if passed else timings.failed
    inner = slice(1, -1)
    assert np.quantile(drawn, LEVELS[inner]) == pytest.approx(table[inner], rel=0.08)
    assert table[0] <= drawn.min() and drawn.max() <= table[-1]


def test_two_agents_times_on_one_task_go_together():
    rng = np.random.default_rng(1)
    tasks = rng.standard_normal(MANY)
    failed = np.full(MANY, False)
    one, two = (agent_seconds(TIMINGS["swe"], failed, tasks, rng.standard_normal(MANY)) for _ in range(2))
    pearson_of_ranks = 6 / np.pi * np.arcsin(TASKS_SHARE / 2)  # of two normal scores with that correlation
    assert stats.spearmanr(one, two).statistic == pytest.approx(pearson_of_ranks, abs=0.03)


def test_set_up_is_the_peers_or_ours():
    shares = np.random.default_rng(1).random(MANY)
    assert set(setup_seconds(TIMINGS["swe"], "ours", shares)) == {OUR_SETUP_SECONDS}
    peers = setup_seconds(TIMINGS["polyglot"], "peers", shares)
    assert np.median(peers) == pytest.approx(293.1, rel=0.02)


def test_expansions_are_long_and_cut():
    drawn = np.array([expansion_seconds(score) for score in np.random.default_rng(1).standard_normal(4000)])
    assert np.median(drawn) == pytest.approx(900, rel=0.06)
    assert drawn.max() == EXPANSION_MOST_SECONDS


@pytest.mark.skipif(not REAL.exists(), reason=f"the real timings are not at {REAL}, so the tables are not checked")
@pytest.mark.parametrize("benchmark", TIMINGS)
def test_the_tables_are_those_of_the_real_timings(benchmark):
    with REAL.open() as file:
        rows = [row for row in csv.DictReader(file) if row["benchmark"] == NAMES[benchmark]]

    def quantiles(numbers, log=False):
        return np.exp(np.quantile(np.log(numbers), LEVELS)) if log else np.quantile(numbers, LEVELS)

    solved = [float(row["agent_s"]) for row in rows if row["outcome"] == "resolved"]
    failed = [float(row["agent_s"]) for row in rows if row["outcome"] != "resolved"]
    setup = [float(row["setup_s"]) + float(row["after_s"]) for row in rows]
    timings = TIMINGS[benchmark]
    assert timings.solved == pytest.approx(quantiles(solved, log=True), abs=0.06)
    assert timings.failed == pytest.approx(quantiles(failed, log=True), abs=0.06)
    assert timings.setup == pytest.approx(quantiles(setup), abs=0.06)
    assert timings.mean == pytest.approx(np.mean(solved + failed), abs=0.06)
