"""`hgm-released`: the fault of the released code as it is, number by number, and the choices made on it."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evolve.board import Board
from evolve.events import Measured, Opened, Tried, Voided
from evolve.moves import Evaluate, Expand
from evolve.policies import HGMReleased
from evolve.policies.hgm_released import Stored, memory

RNG = np.random.default_rng(0)


def told(events):
    fold = Stored()
    for event in events:
        fold.seen(event)
    return fold


def grown(parents, results):
    """Events: births of these parents' children, then each agent's results."""
    events, number = [], 0
    for child, parent in enumerate(parents, start=1):
        events += [Opened(Expand(parent), number := number + 1), Tried(parent, child, 1.0, 0.0)]
    for agent, own in enumerate(results):
        for task, passed in enumerate(own):
            events.append(Opened(Evaluate(agent, task), number := number + 1))
            events.append(Measured(agent, task, passed, 1.0, 0.0))
    return events


def expansions(times, agent=0):
    return [Opened(Expand(agent), 1000 + number) for number in range(times)]


class TestTheFault:
    def test_three_expansions_make_eleven_results_of_two(self):
        """The audit: a first agent [1, 0] with one child [1, 1, 1]."""
        fold = told(grown([0], [[True, False], [True, True, True]]) + expansions(3))
        assert (fold.passed, fold.total) == ([10, 3], [11, 3])
        assert fold.passed[0] / fold.total[0] == pytest.approx(0.909, abs=0.001)

    def test_four_results_become_seven_ten_and_thirteen(self):
        events = grown([0], [[True, True, False, False], [True, True, True]])
        lengths = [told(events + expansions(times)).total[0] for times in range(4)]
        assert lengths == [4, 7, 10, 13]
        assert told(events + expansions(3)).passed[0] / 13 == pytest.approx(0.846, abs=0.001)

    def test_a_line_takes_over_from_the_lists_as_they_were_before(self):
        """Ancestors come first, so a grandparent gets what its child had before that took over in the same step."""
        fold = told(grown([0, 1], [[True], [True], [False, True]]) + expansions(2))
        assert fold.total == [9, 5, 2]
        assert fold.passed == [6, 3, 1]

    def test_agents_that_solved_nothing_take_over_nothing(self):
        fold = told(grown([0, 1], [[True], [False], [True, True]]) + expansions(1))
        assert (fold.passed, fold.total) == ([3, 0, 2], [4, 1, 2])

    def test_a_long_list_grows_no_more_and_stands_for_ten_thousand_of_its_mean(self):
        fold = told(grown([0], [[True, False], [True, True, False]]))
        fold.passed[0], fold.total[0] = 9_000, 12_000
        fold.seen(Opened(Expand(0), 99))
        assert fold.total == [12_000, 3]
        passed, failed = fold.gathered()
        assert (passed[0], failed[0]) == (7_502, 2_501)

    def test_a_failed_or_void_expansion_leaves_what_it_did(self):
        events = grown([0], [[True], [True]])
        for ending in (Tried(0, None, 1.0, 0.0), Voided(Expand(0))):
            assert told([*events, Opened(Expand(0), 99), ending]).total == [2, 1]

    @settings(deadline=None, max_examples=60)
    @given(
        parents=st.lists(st.integers(0, 100), max_size=7),
        results=st.lists(st.lists(st.booleans(), max_size=4), min_size=8, max_size=8),
        times=st.integers(0, 3),
    )
    def test_lists_kept_as_lists_come_out_the_same(self, parents, results, times):
        """The same walk, with the lists themselves: who hands out its own list has it extended."""
        parents = [parent % (child + 1) for child, parent in enumerate(parents)]
        lists = [list(own) for own in results[: len(parents) + 1]]
        fold = told(grown(parents, lists))
        below = {
            agent: [d for d in range(len(lists)) if agent in line(d, parents) and d != agent]
            for agent in range(len(lists))
        }
        for _ in range(times):
            seen = {}
            for agent, own in enumerate(lists):
                if sum(own) > 0:
                    seen[agent] = own
                    for descendant in below[agent]:
                        own += lists[descendant]
            passed, failed = fold.gathered()
            for agent, gathered in seen.items():
                assert (passed[agent], failed[agent]) == (sum(gathered), len(gathered) - sum(gathered))
            fold.seen(Opened(Expand(0), 99))
            assert (fold.passed, fold.total) == ([sum(own) for own in lists], [len(own) for own in lists])


def line(agent, parents):
    found = [agent]
    while agent:
        agent = parents[agent - 1]
        found.append(agent)
    return found


def board_of(policy, events, tasks=12, budget=10**6):
    board = Board([f"t{number}" for number in range(tasks)], policy, budget=budget, expansion_budget=10**6)
    for event in events:
        board.seen(event)
    return board


class TestTheChoices:
    def test_the_first_agent_on_all_tasks_then_five_children_then_the_rest(self):
        policy, moves = HGMReleased(), []
        board = board_of(policy, [], tasks=3)
        for number in range(12):
            move = policy.choose(board.view(), RNG)
            moves.append(move)
            board.seen(Opened(move, number))
            if isinstance(move, Expand):
                board.seen(Tried(move.agent, board.view().agents, 1.0, 0.0))
            else:
                board.seen(Measured(move.agent, move.task, True, 1.0, 0.0))
        assert moves[:8] == [Evaluate(0, 0), Evaluate(0, 1), Evaluate(0, 2), *[Expand(0)] * 5]
        assert all(isinstance(move, Evaluate) and move.agent for move in moves[8:])

    def test_nothing_is_measured_before_the_five_have_ended(self):
        events = grown([], [[True] * 3])
        busy = board_of(HGMReleased(), [*events, *expansions(5)], tasks=3).view()
        assert HGMReleased().choose(busy, RNG) is None

    def test_the_first_agent_and_its_results_do_not_count_for_the_width(self):
        parents = [0] * 5
        fifteen = grown(parents, [[True] * 12, *[[True] * 3] * 5])
        assert isinstance(HGMReleased().choose(board_of(HGMReleased(), fifteen).view(), RNG), Expand)
        fourteen = grown(parents, [[True] * 12, *[[True] * 3] * 4, [True] * 2])
        assert isinstance(HGMReleased().choose(board_of(HGMReleased(), fourteen).view(), RNG), Evaluate)
        assert 15**0.6 >= 5 > 14**0.6

    def test_a_first_agent_that_solves_nothing_ends_the_run(self):
        view = board_of(HGMReleased(), grown([], [[False] * 12])).view()
        assert HGMReleased().choose(view, RNG) is None

    def test_parents_by_what_is_gathered_agents_to_measure_by_what_is_stored(self):
        """Of a first agent [0.5 of 12] and a child that solved all: the clade pulls the parent's choice."""
        events = grown([0], [[True, False] * 6, [True] * 11])
        policy = HGMReleased(first=2)
        parents = Counter(
            policy.choose(board_of(policy, events).view(), np.random.default_rng(seed)).agent for seed in range(300)
        )
        draws = np.random.default_rng(1).beta([18, 12], [7, 1], (20_000, 2)).argmax(axis=1)
        assert parents[0] / 300 == pytest.approx((draws == 0).mean(), abs=0.05)
        view = board_of(policy, events).view()
        passed, failed = memory(view).results()
        assert (passed.tolist(), failed.tolist()) == ([6, 11], [6, 0])
        assert memory(view).gathered()[0].tolist() == [17, 11]

    def test_mended_it_keeps_no_memory_and_real_results(self):
        events = [*grown([0], [[True, False] * 6, [True] * 11]), *expansions(9)]
        view = board_of(HGMReleased(mended=True), events).view()
        assert view.fold is None
        assert HGMReleased(mended=True).best(view) == 1

    def test_the_stored_results_choose_another_agent_than_the_real_ones(self):
        """Many expansions later the first agent looks as good as its child, and surer."""
        events = [*grown([0], [[True, False] * 6, [True] * 11]), *expansions(60)]
        stored = board_of(HGMReleased(epsilon=0.05), events).view()
        assert HGMReleased(epsilon=0.05).best(stored) == 0
        assert HGMReleased(epsilon=0.05, judge="real").best(stored) == 1
