"""`sica`: one line, every agent measured in full, the base chosen by the best one's lower bound."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolve.board import Board
from evolve.events import Measured, Opened, Tried
from evolve.moves import Evaluate, Expand
from evolve.policies import SICA
from evolve.policies.sica import base

RNG = np.random.default_rng(0)


def seen(scores, tasks, *, more=()):
    """A line of agents that solved so many of all tasks; `more` are further events."""
    board = Board([f"t{number}" for number in range(tasks)], SICA(), budget=10**6, expansion_budget=100)
    number = 0
    for agent, solved in enumerate(scores):
        if agent:
            board.seen(Opened(Expand(agent - 1), number := number + 1))
            board.seen(Tried(agent - 1, agent, 1.0, 0.0))
        for task in range(tasks):
            board.seen(Opened(Evaluate(agent, task), number := number + 1))
            board.seen(Measured(agent, task, task < solved, 1.0, 0.0))
    for event in more:
        board.seen(event)
    return board.view()


def lower_bound(solved, n):
    """By the definition, from the scores one by one."""
    scores = [1.0] * solved + [0.0] * (n - solved)
    return float(np.mean(scores) - 1.96 * np.std(scores, ddof=1) / np.sqrt(n))


@given(scores=st.lists(st.integers(0, 20), min_size=1, max_size=8))
def test_the_base_is_the_latest_that_may_be_as_good_as_the_best(scores):
    bound = lower_bound(max(scores), 20)
    expected = max(agent for agent, solved in enumerate(scores) if solved / 20 >= bound)
    assert base(seen(scores, 20)) == expected
    assert SICA(sample=20).choose(seen(scores, 20), RNG) == Expand(expected)


def test_a_clear_loss_is_gone_back_on_and_an_unclear_one_is_not():
    assert lower_bound(12, 20) == pytest.approx(0.38, abs=0.01)
    assert base(seen([12, 8], 20)) == 1
    assert base(seen([12, 7], 20)) == 0
    assert base(seen([20, 19], 20)) == 0, "who solves all has no variance"


def test_every_agent_is_measured_on_the_whole_set_before_the_next_is_written():
    policy = SICA(sample=3)
    board = Board([f"t{number}" for number in range(5)], policy, budget=100, expansion_budget=10)
    moves = []
    for number in range(11):
        move = policy.choose(board.view(), RNG)
        moves.append(move)
        board.seen(Opened(move, number))
        if isinstance(move, Expand):
            child = None if number == 3 else board.view().agents
            board.seen(Tried(move.agent, child, 1.0, 0.0))
        else:
            board.seen(Measured(move.agent, move.task, True, 1.0, 0.0))
    first = [Evaluate(0, 0), Evaluate(0, 1), Evaluate(0, 2)]
    second = [Evaluate(1, 0), Evaluate(1, 1), Evaluate(1, 2)]
    assert moves == [*first, Expand(0), Expand(0), *second, Expand(1), Evaluate(2, 0), Evaluate(2, 1)]


def test_it_waits_for_what_is_under_way():
    opened = [Opened(Expand(0), 50)]
    assert SICA(sample=4).choose(seen([2], 4, more=opened), RNG) is None
    born = [*opened, Tried(0, 1, 1.0, 0.0), *(Opened(Evaluate(1, task), 51 + task) for task in range(4))]
    assert SICA(sample=4).choose(seen([2], 4, more=born), RNG) is None


def test_the_best_is_the_highest_mean_of_those_measured_in_full():
    lucky = [
        Opened(Expand(1), 50),
        Tried(1, 2, 1.0, 0.0),
        Opened(Evaluate(2, 0), 51),
        Measured(2, 0, True, 1.0, 0.0),
    ]
    assert SICA(sample=4).best(seen([2, 3], 4, more=lucky)) == 1
    assert SICA(sample=4).finalists(seen([3, 2, 3], 4), 3) == (0, 2, 1)
    assert SICA(sample=4).best(seen([], 4)) is None
    begun = [Opened(Evaluate(0, 0), 1), Measured(0, 0, False, 1.0, 0.0)]
    assert SICA(sample=4).best(seen([], 4, more=begun)) == 0, "while nobody is"
