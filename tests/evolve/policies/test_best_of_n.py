"""`best-of-n`: all children of the first agent, and a tournament that halves the field."""

from __future__ import annotations

import numpy as np
import pytest

from evolve.board import Board
from evolve.events import Measured, Opened, Tried
from evolve.moves import Evaluate, Expand
from evolve.policies import BestOfN
from evolve.policies.best_of_n import better_half

RNG = np.random.default_rng(0)


def played(policy, budget, tasks, solves, barren=lambda number: False):
    """A whole run in which agent `a` solves task `j` if `solves(a, j)`: its moves, and the board at the end."""
    board = Board([f"t{number}" for number in range(tasks)], policy, budget=budget, expansion_budget=30)
    moves = []
    while (move := policy.choose(board.view(), RNG)) is not None:
        board.seen(Opened(move, len(moves)))
        if isinstance(move, Expand):
            board.seen(Tried(move.agent, None if barren(len(moves)) else board.view().agents, 1.0, 0.0))
        else:
            board.seen(Measured(move.agent, move.task, solves(move.agent, move.task), 1.0, 0.0))
        moves.append(move)
    return moves, board.view()


def test_the_first_agent_then_its_children_then_the_tournament():
    moves, view = played(BestOfN(children=7), 100, 40, lambda agent, task: task < 5 * agent)
    kinds = [type(move) for move in moves]
    assert kinds == [Evaluate] * 25 + [Expand] * 7 + [Evaluate] * 75, "a quarter of the budget for each of 1 + 3 rounds"
    assert view.parent.tolist() == [-1, *[0] * 7]
    assert view.evaluations == 100


def test_the_field_is_halved_from_round_to_round():
    """8 agents, 25 a share: the first agent alone, the other 7 on 3 tasks, 4 on 6 more, 2 on 15 more.

    Agents 3 to 7 are equal on the first 3 tasks, and the older go on.
    """
    _, view = played(BestOfN(children=7), 100, 40, lambda agent, task: task % 10 < agent)
    measured = (view.passed + view.failed).tolist()
    assert measured == [25, 3, 3, 9, 9, 24, 24, 3]


def test_the_one_that_is_better_is_found():
    luck = np.random.default_rng(5).random((60, 60))
    _, view = played(BestOfN(), 800, 60, lambda agent, task: luck[agent, task] < (0.9 if agent == 13 else 0.4))
    assert BestOfN().best(view) == 13
    assert view.evaluations == 800


def test_without_refinement_all_are_measured_alike():
    _, view = played(BestOfN(children=4, refine=False), 100, 40, lambda agent, task: True)
    measured = (view.passed + view.failed).tolist()
    assert measured[0] >= 40
    assert max(measured[1:]) - min(measured[1:]) <= 4
    assert view.evaluations == 100


def test_failed_attempts_are_made_again_within_the_budget_of_attempts():
    _, view = played(BestOfN(children=3), 60, 20, lambda agent, task: True, barren=lambda number: number % 2)
    assert view.agents == 4
    barren, view = played(BestOfN(children=3), 60, 20, lambda agent, task: True, barren=lambda number: True)
    assert barren.count(Expand(0)) == 30
    assert (view.agents, view.evaluations) == (1, 20), "what remains goes to the first agent"


def test_a_round_waits_for_its_last_result():
    policy = BestOfN(children=1)
    board = Board([f"t{number}" for number in range(4)], policy, budget=12, expansion_budget=1)
    for task in range(4):
        board.seen(Opened(Evaluate(0, task), task))
    assert policy.choose(board.view(), RNG) is None
    for task in range(4):
        board.seen(Measured(0, task, True, 1.0, 0.0))
    assert policy.choose(board.view(), RNG) == Expand(0)
    board.seen(Opened(Expand(0), 5))
    assert policy.choose(board.view(), RNG) is None


def test_a_later_round_keeps_all_workers_busy():
    """What is in flight in a round does not hold up that round itself."""
    policy = BestOfN(children=3)
    board = Board([f"t{number}" for number in range(20)], policy, budget=60, expansion_budget=3)
    number, at_once = 0, []
    flying = []
    while True:
        while len(flying) < 6 and (move := policy.choose(board.view(), RNG)) is not None:
            board.seen(Opened(move, number := number + 1))
            flying.append(move)
        if not flying:
            break
        at_once.append(len(flying))
        move = flying.pop(0)
        if isinstance(move, Expand):
            board.seen(Tried(move.agent, board.view().agents, 1.0, 0.0))
        else:
            board.seen(Measured(move.agent, move.task, move.agent > 1, 1.0, 0.0))
    view = board.view()
    assert view.evaluations == 60
    assert np.mean(at_once) > 4.5
    assert (view.passed + view.failed).tolist()[1] < (view.passed + view.failed).tolist()[2]


def test_what_a_round_decided_stays_decided():
    """Only the first so many tasks count, whatever came later."""
    board = Board([f"t{number}" for number in range(4)], BestOfN(), budget=100, expansion_budget=1)
    board.seen(Opened(Expand(0), 0))
    board.seen(Tried(0, 1, 1.0, 0.0))
    for agent, passed in ((0, [True, True]), (1, [True, False])):
        for task, verdict in enumerate(passed):
            board.seen(Opened(Evaluate(agent, task), 1))
            board.seen(Measured(agent, task, verdict, 1.0, 0.0))
    assert better_half(board.view(), np.arange(2), 2).tolist() == [0]
    for task in (2, 3):
        board.seen(Opened(Evaluate(0, task), 1))
        board.seen(Measured(0, task, False, 1.0, 0.0))
    assert better_half(board.view(), np.arange(2), 2).tolist() == [0]
    assert better_half(board.view(), np.arange(2), 1).tolist() == [0], "of equals the older"


@pytest.mark.parametrize("budget", [1, 2, 5, 9])
def test_small_budgets_are_spent(budget):
    _, view = played(BestOfN(), budget, 6, lambda agent, task: agent == 1)
    assert view.evaluations == budget
