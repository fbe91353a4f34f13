"""Calibration: the search finds what can be found, and the calibrated worlds give the orders that were published."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest

from evolve.board import Board
from evolve.events import Measured as Verdict
from evolve.events import Opened, Tried
from evolve.moves import Evaluate, Expand
from evolve.policies import Uniform
from evolve.simulate import calibrate, preset
from evolve.simulate.calibrate import FIXED, FREE, SLOWER, TARGETS, Measured, Reading
from evolve.simulate.durations import Benchmark, Floats

WORLDS: dict[str, Benchmark] = {"swe-a": "swe", "swe-b": "swe", "polyglot-a": "polyglot", "polyglot-b": "polyglot"}
NUMBERS = len(TARGETS["swe"])


def readings(world: str, seeds: Sequence[int]) -> dict[str, list[Reading]]:
    protocols = calibrate.protocols(WORLDS[world])
    settings = preset(world).settings
    return {name: [calibrate.reading(settings, each, seed) for seed in seeds] for name, each in protocols.items()}


def known(truth: Floats, points: Floats, runs: float = 8.0, sd: float = 0.1) -> list[Measured]:
    """Points measured without noise in a world whose read-outs are quadratic and are the targets at `truth`."""
    wanted, rng = np.array(list(TARGETS["swe"].values())), np.random.default_rng(0)
    slopes, bends = rng.standard_normal((2, NUMBERS, len(FREE)))
    full, spread = np.full(NUMBERS, runs), np.full(NUMBERS, sd)

    def means(point: Floats) -> Floats:
        away = point - truth
        found: Floats = wanted + 0.3 * slopes @ away + 0.1 * bends @ (away * away)
        return found

    return [Measured(point, full, means(point), spread) for point in points]


def test_both_benchmarks_have_the_same_numbers():
    assert list(TARGETS["swe"]) == list(TARGETS["polyglot"])
    assert all(name.split()[0] in ("hgm", "dgm", "sica") for each in TARGETS.values() for name in each)


def test_the_design_fills_the_cube():
    points = calibrate.design(64)
    assert points.shape == (64, len(FREE))
    for share in points.T:
        assert np.histogram(share, bins=8, range=(0, 1))[0].tolist() == [8] * 8
    corner = calibrate.world_at("polyglot", np.ones(len(FREE)))
    assert {name: getattr(corner, name) for name in FREE} == {name: high for name, (_, high) in FREE.items()}
    assert (corner.seed_skill, corner.timings) == (FIXED["polyglot"].seed_skill, "polyglot")


def test_the_search_finds_where_the_targets_are():
    truth = np.array([0.3, 0.7, 0.5, 0.4, 0.6, 0.2])
    found = known(truth, calibrate.design(64))
    first, second = calibrate.proposals("swe", found)
    assert np.linalg.norm(first - truth) < 0.25, "as near as candidates lie"
    assert np.linalg.norm(second - first) >= calibrate.APART
    near, far = calibrate.distances("swe", calibrate.surface(found, np.array([first, second])), found)
    assert near < far


def test_the_second_world_can_be_asked_to_keep_the_order_of_gains():
    found = known(np.full(len(FREE), 0.5), calibrate.design(64))
    gains = [list(TARGETS["swe"]).index(f"{policy} gain") for policy in ("hgm", "dgm", "sica")]
    points = calibrate.proposals("swe", found), calibrate.proposals("swe", found, ordered=True)
    assert (points[0][0] == points[1][0]).all()
    free, ordered = (calibrate.surface(found, second[None])[0][gains] for _, second in points)
    assert (ordered[:-1] - ordered[1:] >= calibrate.ORDERED).all()
    assert np.linalg.norm(points[1][1] - points[1][0]) >= calibrate.APART
    assert not (free[:-1] - free[1:] >= calibrate.ORDERED).all(), "else this asks for nothing"


def test_flat_directions_are_named():
    """Where nothing moves with a parameter, it is the flattest direction."""
    points = calibrate.design(64)
    blind = points.copy()
    blind[:, 3] = 0.5
    found = [
        Measured(point, each.runs, each.means, each.spreads)
        for point, each in zip(points, known(np.full(len(FREE), 0.5), blind), strict=True)
    ]
    pinned = calibrate.directions("swe", found)
    assert [value for value, _ in pinned] == sorted((value for value, _ in pinned), reverse=True)
    flattest, mixture = pinned[-1]
    assert abs(mixture[3]) > 0.99 and flattest < 1e-3 * pinned[0][0]


def test_read_outs_that_are_not_there_do_not_count():
    found = {name: np.array([0.1, 0.3, math.nan]) for name in TARGETS["swe"]}
    found["sica unweighted"] = np.full(3, math.nan)
    point = calibrate.measured("swe", np.full(len(FREE), 0.5), found)
    assert point.runs.tolist() == [2.0] * (NUMBERS - 1) + [0.0]
    assert point.means[0] == pytest.approx(0.2) and math.isnan(point.means[-1])
    whole = known(np.full(len(FREE), 0.5), calibrate.design(64))
    assert np.isfinite(calibrate.surface([*whole, point], point.point[None])).all()
    one = Measured(point.point, np.full(NUMBERS, 3.0), np.zeros(NUMBERS), np.full(NUMBERS, 0.2))
    two = Measured(point.point, np.full(NUMBERS, 2.0), np.zeros(NUMBERS), np.full(NUMBERS, 0.5))
    assert calibrate.tolerances([one, two]) == pytest.approx(math.sqrt((2 * 0.04 + 0.25) / 3))


def test_residuals_by_hand():
    runs = {
        policy: [Reading(gain, gain, gain, gain, hours, 9) for gain, hours in ((0.1, 2.0 * slow), (0.3, 4.0 * slow))]
        for policy, slow in (("hgm", 1.0), ("dgm", 3.0), ("sica", 2.0))
    }
    found = calibrate.residuals("polyglot", calibrate.values(runs))
    assert set(found) == {*TARGETS["polyglot"], *SLOWER["polyglot"]}
    gain = found["hgm gain"]
    assert (gain.published, gain.simulated) == (0.102, pytest.approx(0.2))
    assert gain.tolerance == pytest.approx(math.sqrt(0.02)) and gain.error == pytest.approx(0.1)
    assert gain.score == pytest.approx((0.2 - 0.102) / math.sqrt(0.02))
    assert math.exp(found["dgm slower"].simulated) == pytest.approx(3.0)


def test_the_highest_mean_counts_however_few_its_verdicts():
    board = Board(["a", "b", "c"], Uniform(), budget=9, expansion_budget=9)
    for number, child in enumerate((1, 2, 3)):
        board.seen(Opened(Expand(0), number))
        board.seen(Tried(0, child, 1.0, 0.0))
    verdicts = ((0, 0, True), (0, 1, False), (2, 0, True), (3, 1, True), (3, 2, True))
    for number, (agent, task, passed) in enumerate(verdicts, start=3):
        board.seen(Opened(Evaluate(agent, task), number))
        board.seen(Verdict(agent, task, passed, 1.0, 0.0))
    assert calibrate.highest_mean(board.view()) == 3


@pytest.mark.parametrize("world", WORLDS)
def test_calibrated_worlds_are_points_of_the_search(world):
    settings, fixed = preset(world).settings, FIXED[WORLDS[world]]
    assert settings.model_copy(update={name: getattr(fixed, name) for name in FREE}) == fixed
    assert all(low <= getattr(settings, name) <= high for name, (low, high) in FREE.items())


@pytest.mark.parametrize("benchmark", ["swe", "polyglot"])
def test_the_two_worlds_of_a_benchmark_lie_apart(benchmark):
    first, second = (preset(f"{benchmark}-{letter}").settings for letter in "ab")
    away = [(getattr(first, name) - getattr(second, name)) / (high - low) for name, (low, high) in FREE.items()]
    assert np.linalg.norm(away) >= calibrate.APART - 0.02  # what rounding takes


def orders(found: dict[str, Floats], benchmark: Benchmark) -> None:
    """What the paper's table says of which is more. Not that HGM gains more than DGM on Polyglot, which these worlds do
    not show: there they are within 5 points of each other (docs/calibration.md)."""
    mean = {name: float(np.nanmean(values)) for name, values in found.items()}
    assert min(mean["hgm gain"], mean["dgm gain"]) > mean["sica gain"] > 0
    assert mean["hgm weighted"] > max(mean["dgm weighted"], mean["sica weighted"])
    assert mean["hgm unweighted"] > max(mean["dgm unweighted"], mean["sica unweighted"])
    assert mean["dgm slower"] > math.log(1.5)
    if benchmark == "swe":
        assert mean["hgm gain"] > mean["dgm gain"]
    else:
        assert abs(mean["hgm gain"] - mean["dgm gain"]) < 0.05
        assert mean["dgm slower"] > mean["sica slower"] > 0


def test_orders_in_little():
    """Gains and hours of a few runs; correlations need more of them."""
    found = calibrate.values(readings("swe-a", range(20_000, 20_006)))
    assert np.mean(found["hgm gain"]) > np.mean(found["sica gain"])
    assert (found["dgm slower"] > 0).all()
    assert np.nanmean(found["hgm weighted"]) > np.nanmean(found["sica weighted"])


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("world", WORLDS)
def test_orders_and_rough_sizes(world):
    """Over seeds that nothing was chosen with; a published number is one run, so 2.5 of those is "rough size"."""
    benchmark = WORLDS[world]
    found = calibrate.values(readings(world, range(20_000, 20_100)))
    orders(found, benchmark)
    for name, each in calibrate.residuals(benchmark, found).items():
        if name in TARGETS[benchmark]:
            assert abs(each.score) < 2.5, (name, each)
