"""Table 1 of the HGM paper on small trees: by hand, and against its formulas written out plainly."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolve.board import Board
from evolve.events import Measured, Opened, Tried
from evolve.moves import Evaluate, Expand
from evolve.policies import Uniform, View
from evolve.simulate.correlation import below, correlation, of_clade_mean, of_own_mean, own_mean

TASKS = 12


def seen(parents: list[int], results: list[tuple[int, int]]) -> View:
    """A view of agents, the first being the seed, and how many tasks each passed and failed."""
    board = Board([f"t{number}" for number in range(TASKS)], Uniform(), budget=10_000, expansion_budget=10_000)
    number = 0
    for child, parent in enumerate(parents, start=1):
        board.seen(Opened(Expand(parent), number))
        board.seen(Tried(parent, child, 1.0, 0.0))
        number += 1
    for agent, (passed, failed) in enumerate(results):
        for task in range(passed + failed):
            board.seen(Opened(Evaluate(agent, task), number))
            board.seen(Measured(agent, task, task < passed, 1.0, 0.0))
            number += 1
    return board.view()


def test_by_hand():
    """0 has the children 1 and 2, 1 has 3 and 4, 2 has 5."""
    view = seen([0, 0, 1, 1, 2], [(4, 6), (2, 2), (3, 1), (1, 1), (1, 3), (1, 0)])
    found = below(view)
    assert found.highest[:3].tolist() == [1.0, 0.5, 1.0] and np.isnan(found.highest[3:]).all()
    assert found.through.tolist() == [2, 3, 5, -1, -1, -1]
    # 0: all but its own and those of 2 and 5; 1: those of 4 only; 2: nothing is left, so it is no point.
    assert of_clade_mean(view).agents == 2
    assert of_clade_mean(view).weighted is None, "two points are on a line"
    estimates = of_own_mean(view)
    assert estimates.agents == 3
    x, y, w = np.array([0.4, 0.5, 0.75]), np.array([1.0, 0.5, 1.0]), np.array([10, 4, 4])
    assert estimates.unweighted == pytest.approx(np.corrcoef(x, y)[0, 1])
    covariance = np.cov(x, y, aweights=w)
    assert estimates.weighted == pytest.approx(covariance[0, 1] / math.sqrt(covariance[0, 0] * covariance[1, 1]))


@st.composite
def trees(draw):
    agents = draw(st.integers(1, 9))
    parents = [draw(st.integers(0, child - 1)) for child in range(1, agents)]
    count = st.integers(0, TASKS // 2)
    return parents, [(draw(count), draw(count)) for _ in range(agents)]


@given(trees())
def test_as_the_paper_writes_it(tree):
    """Appendix D: max over C(a) less a, and n^C(a) - n(a) - n^C(b*), b* the child whose clade holds the maximum."""
    parents, results = tree
    view = seen(*tree)
    above = [-1, *parents]

    def clade(agent: int) -> set[int]:
        return {agent}.union(*(clade(child) for child in range(len(above)) if above[child] == agent))

    def mean(agents: set[int]) -> float | None:
        passed, failed = (sum(results[each][side] for each in agents) for side in (0, 1))
        return passed / (passed + failed) if passed + failed else None

    points = []
    for agent in range(len(above)):
        means = {each: mean({each}) for each in clade(agent) - {agent} if mean({each}) is not None}
        target = max(means.values(), default=None)
        assert below(view).highest[agent] == pytest.approx(math.nan if target is None else target, nan_ok=True)
        if target is None:
            continue
        children = [child for child in range(len(above)) if above[child] == agent]
        best = min(child for child in children if any(means.get(each) == target for each in clade(child)))
        rest = clade(agent) - {agent} - clade(best)
        if (estimate := mean(rest)) is not None:
            points.append((estimate, target, sum(sum(results[each]) for each in rest)))
    found = of_clade_mean(view)
    assert found.agents == len(points)
    if len(points) < 3:
        assert found.weighted is None and found.unweighted is None
    elif found.weighted is not None:
        covariance = np.cov(*np.array(points).T[:2], aweights=[weight for *_, weight in points])
        assert found.weighted == pytest.approx(covariance[0, 1] / math.sqrt(covariance[0, 0] * covariance[1, 1]))


def test_what_cannot_be_correlated_is_said_so():
    assert of_own_mean(seen([], [(1, 1)])).agents == 0
    constant = correlation(np.full(5, 0.1), np.arange(1, 6), np.arange(5.0))
    assert constant.weighted is None and constant.unweighted is None and constant.agents == 5
    assert np.isnan(own_mean(seen([0], [(0, 2), (0, 0)]))).tolist() == [False, True]


def test_equal_weights_change_nothing():
    view = seen([0, 1, 2], [(4, 6), (5, 5), (3, 7), (6, 4)])
    found = of_own_mean(view)
    assert found.agents == 3 and found.weighted == pytest.approx(found.unweighted)
