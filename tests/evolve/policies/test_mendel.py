"""`mendel`: HGM's choices, and what its operators ask for."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from evolve.board import Board
from evolve.events import Measured, Opened, Tried
from evolve.moves import ANY, Entry, Evaluate, Expand
from evolve.policies import HGM, Mendel
from evolve.policies.mendel import line

PARENTS = [0, 0, 1, 2]
"""0 has the children 1 and 2, 1 the child 3, 2 the child 4."""
VERDICTS = {
    0: {0: True, 1: False, 2: False},
    1: {0: True, 1: True, 2: False},
    2: {0: False, 1: True, 3: True},
    3: {2: True},
    4: {2: True, 3: False},
}


def view_of(verdicts=VERDICTS, parents=PARENTS, policy=None, tasks=6):
    board = Board([f"t{number}" for number in range(tasks)], policy or Mendel(), budget=100, expansion_budget=30)
    number = 0
    for child, parent in enumerate(parents, start=1):
        board.seen(Opened(Expand(parent), number := number + 1))
        board.seen(Tried(parent, child, 1.0, 0.0))
    for agent, own in verdicts.items():
        for task, passed in own.items():
            board.seen(Opened(Evaluate(agent, task), number := number + 1))
            board.seen(Measured(agent, task, passed, 1.0, 0.0))
    return board.view()


def asked(policy, parent, times=1500):
    view = view_of()
    return Counter(policy.entry(view, parent, np.random.default_rng(seed)) for seed in range(times))


def test_operators_are_drawn_by_their_weights():
    kinds = Counter()
    for entry, times in asked(Mendel(), 2).items():
        kinds[entry.kind] += times / 1500
    assert kinds["any"] == pytest.approx(0.1, abs=0.03)
    assert kinds["contrast"] == pytest.approx(0.45, abs=0.05)
    assert kinds["hybrid"] == pytest.approx(0.45, abs=0.05)


def test_a_contrast_is_one_task_solved_and_one_failed_evenly_drawn():
    found = asked(Mendel(weights=(0, 1, 0)), 1)
    assert set(found) == {Entry("contrast", (0, 2)), Entry("contrast", (1, 2))}
    assert found[Entry("contrast", (0, 2))] / 1500 == pytest.approx(0.5, abs=0.05)


def test_a_hybrid_is_a_failed_task_and_a_stranger_that_solved_it_by_posterior_means():
    """Agent 1 failed task 2, which its child 3 (of its line) and agent 4 solved: only 4 is a stranger."""
    assert set(asked(Mendel(weights=(0, 0, 1)), 1, 300)) == {Entry("hybrid", (2,), 4)}
    found = asked(Mendel(weights=(0, 0, 1)), 2)
    assert set(found) == {Entry("hybrid", (0,), 1)}, "an ancestor is no peer"
    found = asked(Mendel(weights=(0, 0, 1)), 4)
    assert set(found) == {ANY}, "task 3 was solved by its parent only"
    richer = view_of({**VERDICTS, 4: {2: False}, 1: {0: True, 1: True, 2: True}})
    policy = Mendel(weights=(0, 0, 1))
    peers = Counter(policy.entry(richer, 4, np.random.default_rng(seed)).peer for seed in range(1500))
    means = {1: 4 / 5, 3: 2 / 3}
    assert peers[1] / 1500 == pytest.approx(means[1] / sum(means.values()), abs=0.05)


@pytest.mark.parametrize(
    ("weights", "verdicts"),
    [((0, 1, 0), {0: {0: True}}), ((0, 1, 0), {0: {0: False}}), ((0, 0, 1), {0: {0: False}, 1: {0: True}})],
)
def test_where_an_operator_finds_nothing_any_takes_its_place(weights, verdicts):
    """Nothing failed, nothing solved; and the first agent has no strangers."""
    view = view_of(verdicts, [0])
    assert Mendel(weights=weights).entry(view, 0, np.random.default_rng(0)) == ANY


@given(seed=st.integers(0, 2**32), parents=st.lists(st.integers(0, 100), min_size=1, max_size=9))
def test_agents_are_chosen_as_hgm_does(seed, parents):
    parents = [parent % (child + 1) for child, parent in enumerate(parents)]
    verdicts = {agent: {task: (agent + task) % 3 > 0 for task in range(agent % 4)} for agent in range(len(parents) + 1)}
    view = view_of({0: {0: True}} | verdicts, parents)
    mine, theirs = (policy.choose(view, np.random.default_rng(seed)) for policy in (Mendel(), HGM()))
    assert type(mine) is type(theirs)
    assert mine.agent == theirs.agent
    if isinstance(mine, Evaluate):
        assert mine == theirs


@given(parents=st.lists(st.integers(0, 10**6), max_size=40), agent=st.integers(0, 10**6))
def test_a_line_is_ancestors_and_descendants(parents, agent):
    parents = [parent % (child + 1) for child, parent in enumerate(parents)]
    agent %= len(parents) + 1

    def above(child):
        return {child} if child == 0 else {child} | above(parents[child - 1])

    expected = [agent in above(other) or other in above(agent) for other in range(len(parents) + 1)]
    assert line(view_of({}, parents), agent).tolist() == expected


@pytest.mark.parametrize("weights", [(0, 0, 0), (1, -0.1, 0), (1, 1)])
def test_weights_are_shares_of_three(weights):
    with pytest.raises(ValidationError):
        Mendel(weights=weights)
