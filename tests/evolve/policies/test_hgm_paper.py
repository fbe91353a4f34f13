"""`hgm-paper` makes the moves that computing by hand gives, from the paper's formulas and the same random numbers."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy.stats import beta

from evolve.board import Board
from evolve.events import Measured, Opened, Tried
from evolve.moves import Evaluate, Expand
from evolve.policies import HGM, HGMPaper

TASKS = tuple(f"task-{number}" for number in range(4))


class Uniforms:
    """In place of a generator: a Beta draw is the quantile of the next given uniform number.

    Beta(a, b) may also be drawn as the share of a Gamma(a) in it and a Gamma(b); then the two have that share here.
    """

    def __init__(self, numbers):
        self.numbers = list(numbers)

    def beta(self, a, b):
        drawn, self.numbers = self.numbers[: len(a)], self.numbers[len(a) :]
        return beta.ppf(drawn, a, b)

    def standard_gamma(self, shapes):
        a, b = shapes
        drawn, self.numbers = np.array(self.numbers[: len(a)]), self.numbers[len(a) :]
        return np.array([beta.ppf(drawn, a, b), beta.ppf(1 - drawn, b, a)])

    def integers(self, high):
        return int(self.numbers.pop(0) * high)


@st.composite
def trees(draw):
    """Up to six agents: parents, and by agent the verdicts on its first tasks; at least one verdict in all."""
    n = draw(st.integers(1, 6))
    parents = [None, *(draw(st.integers(0, child - 1)) for child in range(1, n))]
    verdicts = [draw(st.lists(st.booleans(), max_size=len(TASKS))) for _ in range(n)]
    if not any(verdicts):
        verdicts[0] = [draw(st.booleans())]
    under_way = draw(st.lists(st.integers(0, n - 1), max_size=2)), draw(st.lists(st.integers(0, n - 1), max_size=2))
    return parents, verdicts, under_way


def seen(parents, verdicts, under_way, budget=40):
    board, number = Board(TASKS, HGMPaper(), budget=budget, expansion_budget=20), 0
    for child, parent in enumerate(parents[1:], start=1):
        board.seen(Opened(Expand(parent), number := number + 1))
        board.seen(Tried(parent, child, 1.0, 0.0))
    for agent, own in enumerate(verdicts):
        for task, passed in enumerate(own):
            board.seen(Opened(Evaluate(agent, task), number := number + 1))
            board.seen(Measured(agent, task, passed, 1.0, 0.0))
    measured, expanded = under_way
    for agent in measured:
        if len(verdicts[agent]) < len(TASKS) - 1:
            board.seen(Opened(Evaluate(agent, len(TASKS) - 1), number := number + 1))
    for agent in expanded:
        board.seen(Opened(Expand(agent), number := number + 1))
    return board.view()


def by_hand(parents, verdicts, measuring, expanding, budget, uniforms):
    """The paper's decision: sums over clades by walking up from every agent, draws one by one."""
    n = len(parents)
    own = [[sum(verdicts[agent]), len(verdicts[agent]) - sum(verdicts[agent])] for agent in range(n)]
    clade = [[0, 0] for _ in range(n)]
    for agent in range(n):
        above = agent
        while above is not None:
            clade[above][0] += own[agent][0]
            clade[above][1] += own[agent][1]
            above = parents[above]
    done = sum(map(sum, own))
    tau = Fraction(budget, budget - done)
    open_ = [
        [
            task
            for task in range(len(verdicts[agent]), len(TASKS))
            if not (task == len(TASKS) - 1 and agent in measuring)
        ]
        for agent in range(n)
    ]
    expand = (done + len(set(measuring))) ** 0.6 >= n + len(expanding) or not any(open_)
    counts, agents = (clade, range(n)) if expand else (own, [agent for agent in range(n) if open_[agent]])
    draws = {
        agent: beta.ppf(uniforms.pop(0), float(tau * (1 + counts[agent][0])), float(tau * (1 + counts[agent][1])))
        for agent in agents
    }
    chosen = max(draws, key=lambda agent: (draws[agent], -agent))
    return Expand(chosen) if expand else Evaluate(chosen, open_[chosen][int(uniforms.pop(0) * len(open_[chosen]))])


@settings(deadline=None, max_examples=200)
@given(tree=trees(), uniforms=st.lists(st.floats(0.001, 0.999), min_size=7, max_size=7))
def test_the_move_is_the_one_computed_by_hand(tree, uniforms):
    parents, verdicts, (measuring, expanding) = tree
    measuring = sorted({agent for agent in measuring if len(verdicts[agent]) < len(TASKS) - 1})
    view = seen(parents, verdicts, (measuring, expanding))
    expected = by_hand(parents, verdicts, measuring, expanding, 40, list(uniforms))
    assert HGMPaper().choose(view, Uniforms(uniforms)) == expected


def test_both_kinds_of_moves_are_met():
    """Else the comparison would be of one half."""
    few, many = ([None], [[True]], ([], [])), ([None, 0, 0], [[True, False], [], []], ([], []))
    assert isinstance(HGMPaper().choose(seen(*few), np.random.default_rng(0)), Expand)
    assert isinstance(HGMPaper().choose(seen(*many), np.random.default_rng(0)), Evaluate)


def test_an_agent_that_nothing_is_known_of_may_be_expanded():
    view = seen([None, 0], [[False] * 4, []], ([], []))
    assert {HGMPaper().choose(view, np.random.default_rng(seed)) for seed in range(40)} == {Expand(0), Expand(1)}
    assert {HGM().choose(view, np.random.default_rng(seed)) for seed in range(40)} == {Expand(0)}


def test_failures_hold_nothing_back():
    board = Board(TASKS, HGMPaper(), budget=40, expansion_budget=20)
    board.seen(Opened(Evaluate(0, 0), 0))
    board.seen(Measured(0, 0, True, 1.0, 0.0))
    for number in range(1, 8):
        assert isinstance(HGMPaper().choose(board.view(), np.random.default_rng(0)), Expand)
        board.seen(Opened(Expand(0), number))
        board.seen(Tried(0, None, 1.0, 0.0))
    assert isinstance(HGM().choose(board.view(), np.random.default_rng(0)), Evaluate)


@pytest.mark.parametrize("option", [{"cooling": False}, {"unmeasured": False}, {"patience": 2}])
def test_the_letter_of_the_paper_has_no_options_about_it(option):
    with pytest.raises(ValidationError):
        HGMPaper(**option)
