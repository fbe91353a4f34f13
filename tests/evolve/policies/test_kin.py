"""Kin's choices: pure, legal, and the reasons it gives for them hold."""

import math
import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evolve.board import Board
from evolve.events import Measured, Opened, Tried, Voided
from evolve.moves import Evaluate, Expand
from evolve.policies import HGM, Kin
from evolve.policies.kin import improvement, pair, price
from evolve.policies.kin_outlook import Outlook, expected_second
from evolve.policies.kin_posterior import Posterior, Prior, answer
from evolve.simulate import (
    Plan,
    Simulation,
    Study,
    Trace,
    World,
    WorldSettings,
    chunks,
    perform,
    preset,
    processors,
    table,
)

SMALL = WorldSettings(tasks=12, sealed=20)


def board(parents=(), verdicts=(), *, tasks=8, policy=None, budget=100, seconds=None):
    """Births with these parents, then verdicts: (agent, task, passed)."""
    made = Board([f"task-{n}" for n in range(tasks)], policy or Kin(), budget=budget, expansion_budget=40)
    numbers = iter(range(1000))
    for child, parent in enumerate(parents, 1):
        made.seen(Opened(Expand(parent), next(numbers)))
        made.seen(Tried(parent, child, 1.0, 0.0))
    for agent, task, passed in verdicts:
        made.seen(Opened(Evaluate(agent, task), next(numbers)))
        made.seen(Measured(agent, task, passed, seconds[task] if seconds else 1.0, 0.0))
    return made


def choice(made, policy=None, seed=0):
    return (policy or Kin()).choose(made.view(), np.random.default_rng(seed))


@given(evaluations=st.integers(5, 40), workers=st.integers(1, 8), seed=st.integers(0, 99))
@settings(max_examples=15, deadline=None)
def test_choosing_changes_nothing_and_gives_the_same_again(evaluations, workers, seed):
    """In whole runs: each decision is asked twice, and only what is open is asked for."""

    class Twice(Kin):
        def choose(self, view, rng):
            state = rng.bit_generator.state
            first = super().choose(view, rng)
            rng.bit_generator.state = state
            assert super().choose(view, rng) == first
            if isinstance(first, Evaluate):
                assert view.open[first.agent, first.task]
            if isinstance(first, Expand):
                assert view.own(first.agent).n > 0
            return first

    rng = np.random.default_rng(seed)
    plan = Plan(evaluations=evaluations, workers=workers)
    run = Simulation(World(SMALL, seed), Twice(), plan, lambda _: rng)
    run.run()
    again = Kin().fold(12, evaluations)
    rng = np.random.default_rng(seed)
    other = Simulation(World(SMALL, seed), Kin(), plan, lambda _: rng)
    seen = other.board.seen
    other.board.seen = lambda event: (seen(event), again.seen(event))
    other.run()
    assert run.moves == other.moves
    assert run.board.view().fold == again


def test_the_first_move_measures_the_seed_and_nothing_is_best_before():
    made = board()
    assert isinstance(choice(made), Evaluate)
    assert Kin().best(made.view()) is None
    assert Kin().finalists(made.view(), 3) == ()


def test_what_is_best_was_measured_and_is_not_flattered_by_easy_tasks():
    known = [(0, task, task < 4) for task in range(8)]
    # Agent 1 solved three easy tasks; agent 2 two easy and two hard ones, and failed one.
    verdicts = [(1, task, True) for task in (0, 1, 2)] + [(2, 0, True), (2, 1, True), (2, 4, True), (2, 5, True)]
    made = board([0, 0, 0], [*known, *verdicts, (2, 6, False)])
    assert Kin().best(made.view()) == 2
    assert set(Kin().finalists(made.view(), 9)) == {0, 1, 2}
    assert Kin().finalists(made.view(), 2)[0] == 2


def test_an_agent_with_its_expansions_under_way_is_passed_over_in_time():
    verdicts = [(agent, task, (task + agent) % 2 > 0) for agent in (0, 1) for task in range(8)]
    made = board([0], verdicts)
    policy, parents = Kin(), []
    for number in range(100, 106):
        view = made.view()
        parents.append(policy.parent(view, policy.parents(view), np.random.default_rng(0)))
        made.seen(Opened(Expand(parents[-1]), number))
    assert len(set(parents)) == 2


def test_an_agent_that_bears_nothing_is_passed_over_in_time():
    verdicts = [(agent, task, (task + agent) % 2 > 0) for agent in (0, 1) for task in range(8)]
    made = board([0], verdicts)
    policy, parents = Kin(), []
    for number in range(100, 140, 2):
        view = made.view()
        parents.append(policy.parent(view, policy.parents(view), np.random.default_rng(0)))
        made.seen(Opened(Expand(parents[-1]), number))
        made.seen(Tried(parents[-1], None, 1.0, 0.0))
    assert len(set(parents)) == 2


def test_a_seed_that_solves_nothing_is_still_expanded():
    made = board((), [(0, task, False) for task in range(5)], budget=100)
    assert choice(made) == Expand(0)


def test_no_child_is_born_too_late():
    verdicts = [(0, task, task % 2 > 0) for task in range(8)]
    early, late = (board([0], verdicts, budget=budget) for budget in (100, 9))
    assert isinstance(choice(early), Expand)
    assert isinstance(choice(late, Kin(reserve=0.2)), Evaluate)
    assert isinstance(choice(late, Kin(reserve=0.0)), Expand)


def test_workers_do_not_all_ask_the_same():
    """Of one agent more is known than of the two others, which are alike: both get their share at once."""
    verdicts = [(0, task, task % 2 > 0) for task in range(8)] + [(1, 0, True), (2, 0, True)]
    made = board([0, 0], verdicts, policy=(policy := Kin(alpha=0.01)))
    asked = []
    for number in range(100, 108):
        move = choice(made, policy)
        asked.append(move.agent)
        made.seen(Opened(move, number))
    assert min(asked.count(1), asked.count(2)) >= 2


def test_moves_under_way_count_as_answered_in_variances_and_void_ones_do_not():
    made = board([0, 0], [(0, 0, True), (1, 1, False)])
    before = Outlook(made.view().fold)
    made.seen(Opened(Evaluate(1, 2), 100))
    during = Outlook(made.view().fold)
    assert (during.variance <= before.variance).all()
    assert during.variance[1] < before.variance[1] - 0.1
    assert during.ability == pytest.approx(before.ability)
    made.seen(Voided(Evaluate(1, 2)))
    assert Outlook(made.view().fold).variance == pytest.approx(before.variance)


def test_variances_with_moves_under_way_are_those_of_conditioning_one_by_one():
    made = board([0, 1], [(0, 0, True), (1, 1, False)])
    asked = [(1, 2), (2, 2), (2, 3)]
    fold = made.view().fold
    index = {**{("a", a): int(p) for a, p in enumerate(fold.agents.place)}}
    for number, (agent, task) in enumerate(asked, 100):
        made.seen(Opened(Evaluate(agent, task), number))
    # A dense covariance of agents and tasks.
    size = 3 + 8
    wanted = np.zeros((size, size))
    wanted[:3, :3] = fold.covariance[np.ix_(*[[index["a", a] for a in range(3)]] * 2)]
    easiness = fold.marginals(fold.tasks)
    wanted[range(3, 11), range(3, 11)] = easiness[1]
    for task, place in enumerate(fold.tasks.place):
        for a in range(3):
            wanted[a, 3 + task] = wanted[3 + task, a] = fold.covariance[index["a", a], place]
        for other, at in enumerate(fold.tasks.place):
            wanted[3 + task, 3 + other] = fold.covariance[place, at]
    mean = np.array([*fold.ability()[0], *easiness[0]])
    start = wanted.copy()
    for agent, task in asked:
        pick = np.zeros(size)
        pick[[agent, 3 + task]] = 1
        # The information of each is the one it has now, before the others are answered.
        now = float(pick @ start @ pick)
        noise = 1 / float(expected_second(np.array([pick @ mean]), np.array([now]), Prior())[0]) - now
        wanted -= np.outer(wanted @ pick, wanted @ pick) / (pick @ wanted @ pick + noise)
    outlook = Outlook(fold)
    assert outlook.variance == pytest.approx(wanted.diagonal()[:3])
    assert outlook.contrast(0, np.arange(3)) == pytest.approx(
        [wanted[a, a] + wanted[0, 0] - 2 * wanted[a, 0] for a in range(3)], abs=1e-9
    )


def test_the_worth_of_a_question_is_what_its_answers_take_from_the_variance_on_average():
    verdicts = [(0, task, task % 2 > 0) for task in range(5)] + [(1, 0, True), (1, 5, False)]
    made = board([0], verdicts)
    fold, prior = made.view().fold, Prior()
    worth = Outlook(fold).worth(1, 0, np.arange(1, 5))
    for task, found in zip(range(1, 5), worth, strict=True):
        mean = fold.ability()[0][1] + fold.marginals(fold.tasks)[0][task]
        expected = 0.0
        for passed in (True, False):
            after = board([0], [*verdicts, (1, task, passed)]).view().fold
            shrunk = Outlook(fold).contrast(0, np.array([1]))[0] - Outlook(after).contrast(0, np.array([1]))[0]
            place = [fold.agents.place[1], fold.tasks.place[task]]
            variance = fold.covariance[np.ix_(place, place)].sum()
            at = mean / math.sqrt(prior.noise + variance) * (1 if passed else -1)
            expected += (prior.lapse + (1 - 2 * prior.lapse) * math.erfc(-at / math.sqrt(2)) / 2) * shrunk
        assert found == pytest.approx(expected, rel=1e-6)


@given(mean=st.floats(-6, 6), variance=st.floats(0, 20))
def test_the_expected_second_derivative(mean, variance):
    prior = Prior()
    at = mean / math.sqrt(prior.noise + variance)
    passing = prior.lapse + (1 - 2 * prior.lapse) * math.erfc(-at / math.sqrt(2)) / 2
    pair_ = [answer(mean, variance, passed, prior)[1] for passed in (True, False)]
    wanted = passing * pair_[0] + (1 - passing) * pair_[1]
    assert expected_second(np.array([mean]), np.array([variance]), prior)[0] == pytest.approx(wanted, abs=1e-9)


def test_improvement_is_the_mean_of_what_lies_above_zero():
    draws = np.random.default_rng(0).normal(size=200_000)
    for mean, deviation in ((-1.0, 1.0), (0.5, 2.0), (-2.0, 0.7), (0.0, 0.0)):
        wanted = np.maximum(0, mean + deviation * draws).mean()
        assert improvement(np.array([mean]), np.array([deviation]))[0] == pytest.approx(wanted, abs=0.01)


def test_the_leader_and_who_may_be_better_are_compared():
    full = [(0, task, task < 6) for task in range(8)]
    made = board([0, 0], [*full, (1, 0, False), (1, 1, False), (1, 2, False), (2, 0, True)])
    agent, other = pair(made.view(), Outlook(made.view().fold))
    assert (agent, other) == (2, 0)


def test_of_equal_tasks_the_cheaper_one_is_asked_if_cost_counts():
    verdicts = [(0, task, task % 2 > 0) for task in range(8)]
    made = board([0], verdicts, seconds=[100.0] * 4 + [1.0] * 4)
    asked = {choice(made, Kin(alpha=0.01, cost="seconds"), seed).task for seed in range(20)}
    assert asked <= {4, 5, 6, 7}
    spent = np.array([[0.0, 0.0], [30.0, 3.0], [2.0, 1.0]])
    assert price(spent) == pytest.approx([8.0, 46 / 5, 18 / 3])
    assert (price(np.zeros((3, 2))) == price(np.zeros((3, 2)))[0]).all()


def test_agents_at_rest_still_compete():
    """More agents than seats, and the good one is at rest."""

    class Tight(Kin):
        def fold(self, tasks, budget):
            return Posterior(tasks, Prior(), seats=4)

    policy = Tight()
    made = board([0] * 7, [(agent, 0, True) for agent in range(8)], policy=policy)
    fold = made.view().fold
    resting = [agent for agent in range(8) if fold.agents.place[agent] < 0]
    assert len(resting) == 4
    best = resting[0]
    for number, task in enumerate(range(1, 7), 200):
        made.seen(Opened(Evaluate(best, task), number))
        made.seen(Measured(best, task, True, 1.0, 0.0))
    assert policy.best(made.view()) == best
    agent, other = pair(made.view(), Outlook(made.view().fold))
    assert best in (agent, other)
    assert isinstance(choice(made, policy), Expand | Evaluate)


MOVES = """
import numpy as np
from evolve.policies import Kin
from evolve.simulate import Plan, Simulation, World, preset
rng = np.random.default_rng(0)
run = Simulation(World(preset("heavy").settings, 0), Kin(), Plan(evaluations=250, workers=50), lambda _: rng)
run.run()
print(*run.moves, sep="\\n")
"""


@pytest.mark.slow
def test_the_number_of_threads_changes_no_move():
    """Of numpy's and scipy's OpenBLAS, which read it when they are loaded."""
    found = []
    for threads in ("1", "4"):
        asked = [sys.executable, "-c", MOVES]
        done = subprocess.run(
            asked, env={**os.environ, "OPENBLAS_NUM_THREADS": threads}, capture_output=True, text=True
        )
        found.append(done.stdout.splitlines())
    assert len(found[0]) > 250
    assert found[0] == found[1]


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("world", ["swe", "polyglot"])
def test_its_chosen_agent_is_truly_better_than_that_of_hgm(world):
    """The same worlds for both, on seeds that nothing was tuned on. The table of docs/choosing.md has 1,000."""
    settings, plan = preset(world).settings, Plan()
    runs: dict[str, list[Trace]] = {"hgm": [], "kin": []}
    studies = [(Study(world, settings, policy, plan), range(9_000, 9_060)) for policy in (HGM(), Kin())]
    perform(chunks(studies), processors(), lambda chunk, found: runs[chunk.study.policy.name].extend(found))
    difference = next(row.difference for row in table(world, runs, "hgm").rows if row.policy == "kin")
    assert difference.low > 0
