"""A simulated run: repeatable, within its budgets, no more moves under way than workers, only births in the tree."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evolve.policies import HGM, AnyPolicy, Evaluate, Uniform
from evolve.seeds import generator
from evolve.settings import Settings
from evolve.simulate import Plan, Simulation, World, WorldSettings, simulate

POLICIES = [policy() for policy in get_args(get_args(AnyPolicy)[0])]
SMALL = WorldSettings(tasks=15, sealed=20, void=0.05)


def watched(policy, plan, seed=0, world=SMALL):
    """A finished simulation, and the number of moves under way before each event."""
    simulation = Simulation(World(world, seed), policy, plan, lambda number: generator(seed, number))
    under_way = []
    seen = simulation.board.seen

    def watching(event):
        view = simulation.board.view()
        under_way.append(view.evaluations_in_flight + view.expansions_in_flight)
        seen(event)

    simulation.board.seen = watching
    trace = simulation.run()
    return simulation, trace, under_way


@pytest.mark.parametrize("policy", POLICIES, ids=[policy.name for policy in POLICIES])
@pytest.mark.parametrize("workers", [1, 7])
def test_the_same_arguments_give_the_same_trace(policy, workers):
    plan = Plan(evaluations=60, workers=workers)
    first = simulate(SMALL, policy, plan, 5)
    assert first == simulate(SMALL, policy, plan, 5)
    assert first != simulate(SMALL, policy, plan, 6)


@pytest.mark.parametrize("policy", POLICIES, ids=[policy.name for policy in POLICIES])
@settings(max_examples=8, deadline=None)
@given(
    evaluations=st.integers(1, 60), workers=st.integers(1, 30), expansions=st.integers(0, 12), seed=st.integers(0, 999)
)
def test_budgets_and_workers_are_never_exceeded(policy, evaluations, workers, expansions, seed):
    plan = Plan(evaluations=evaluations, workers=workers, expansions=expansions)
    simulation, trace, under_way = watched(policy, plan, seed)
    view = simulation.board.view()
    assert max(under_way) <= workers
    assert view.evaluations_in_flight == view.expansions_in_flight == 0
    assert view.evaluations == trace.last.evaluations <= evaluations
    assert view.expansions == trace.last.expansions <= expansions
    assert view.evaluations + view.expansions + trace.voids == len(simulation.moves)


@pytest.mark.parametrize("policy", POLICIES, ids=[policy.name for policy in POLICIES])
def test_voids_leave_no_evidence_and_only_births_enter_the_tree(policy):
    world = WorldSettings(tasks=15, sealed=20, void=0.2, stillborn=0.25, duplicate=0.2, no_change=0.1, crashed=0.1)
    simulation, trace, _ = watched(policy, Plan(evaluations=60, workers=4), 2, world)
    view = simulation.board.view()
    assert trace.voids > 0
    assert int(view.passed.sum() + view.failed.sum()) == view.evaluations == trace.last.evaluations
    assert int((view.verdict >= 0).sum()) == view.evaluations
    evaluated = sum(isinstance(move, Evaluate) for move in simulation.moves)
    assert evaluated - view.evaluations + (len(simulation.moves) - evaluated - view.expansions) == trace.voids
    assert view.agents == len(simulation.world.agents) == trace.last.agents
    assert [hidden.parent for hidden in simulation.world.agents] == view.parent.tolist()
    assert view.agents - 1 == int(view.children.sum()) < view.expansions


def test_the_clock_is_the_longest_worker():
    """With one worker the hours of all moves add up; with twenty the same work is over in a fraction of them."""
    sure = SMALL.model_copy(update={"void": 0.0})
    simulation, one, _ = watched(Uniform(), Plan(evaluations=60, workers=1), world=sure)
    assert one.last.hours * 3600 == pytest.approx(simulation.board.view().seconds.sum())
    assert one.last.usd == pytest.approx(simulation.board.view().usd.sum())
    _, many, under_way = watched(Uniform(), Plan(evaluations=60, workers=20), world=sure)
    assert one.last.hours > 5 * many.last.hours
    assert max(under_way) == 20


def test_checkpoints_come_at_every_step_and_at_the_end():
    trace = simulate(SMALL, HGM(), Plan(evaluations=60, workers=3, every=25), 1)
    assert [point.evaluations for point in trace.checkpoints] == [25, 50, 60]
    assert [point.hours for point in trace.checkpoints] == sorted(point.hours for point in trace.checkpoints)
    assert all(point.best >= point.skill for point in trace.checkpoints)
    assert trace.regret == trace.last.best - trace.last.skill >= 0


def test_a_policy_without_moves_ends_the_run():
    trace = simulate(SMALL, HGM(), Plan(evaluations=60, workers=3, expansions=0), 1)
    assert trace.last.evaluations == 15
    assert trace.ending == "the policy has no further move"


def test_barren_worlds_and_dead_houses_end_as_in_the_loop():
    barren = WorldSettings(tasks=60, sealed=5, void=0, no_change=0, duplicate=0, stillborn=1.0, crashed=0)
    ended = simulate(barren, Uniform(patience=None), Plan(evaluations=400, workers=1), 0)
    assert ended.ending == "16 expansions in a row gave no child"
    dead = WorldSettings(tasks=60, sealed=5, void=0.99, no_change=0, duplicate=0, stillborn=0, crashed=0)
    assert "moves in a row could not be done" in simulate(dead, HGM(), Plan(evaluations=50, workers=2), 0).ending


def test_attempts_are_capped_as_in_a_run_and_equally_for_all():
    plan = Plan(evaluations=800)
    assert plan.expansion_budget == Settings.model_validate({"budget": {"evaluations": 800}}).expansion_budget


def test_the_seed_agent_is_chosen_while_nothing_is_measured():
    dead = WorldSettings(tasks=5, sealed=5, void=0.999, no_change=0, duplicate=0, stillborn=0, crashed=0)
    trace = simulate(dead, HGM(), Plan(evaluations=5, workers=1), 0)
    assert trace.last.evaluations == 0
    assert trace.last.chosen == 0 and trace.skill == trace.seed_skill
