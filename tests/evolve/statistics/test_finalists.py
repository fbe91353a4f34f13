"""Finalists: who they are, what they lack, who is chosen; and what is left of the winner's curse."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

import numpy as np
import pytest

from archive import Agent, Evaluation, History, Outcome, Tally, ranking, tallies
from evolve.statistics.finalists import Finalist, affordable, choose, first_verdicts, select

NOW = datetime(2026, 1, 1, tzinfo=UTC)
TASKS = tuple(f"t{n}" for n in range(6))


def history_of(results: Iterable[tuple[int, str, bool]], *, asked: Iterable[tuple[int, str, bool]] = ()) -> History:
    """`results` are what a policy chose to measure, `asked` what a person did."""
    rows = [(number, *row) for number, row in enumerate(results)] + [(None, *row) for row in asked]
    evaluations = tuple(
        Evaluation(
            id, decision, agent, "repair", "search", task, 0, 0, NOW,
            Outcome.RESOLVED if passed else Outcome.UNRESOLVED, closed=NOW,
        )
        for id, (decision, agent, task, passed) in enumerate(rows, 1)
    )  # fmt: skip
    last = max((row.agent for row in evaluations), default=0)
    agents = tuple(Agent(id, id - 1 if id else None, f"{id:040x}", "", "", NOW) for id in range(last + 1))
    return History(agents, (), evaluations)


def test_each_is_to_be_measured_on_what_it_lacks() -> None:
    results = [(0, "t0", False), (1, "t0", True), (1, "t1", True), (1, "t2", True), (2, "t3", True), (3, "t3", False)]
    history = history_of(results, asked=[(1, "t3", True)])
    few = select(history, TASKS, (1, 2), benchmark="repair")
    assert [(each.agent, each.before) for each in few] == [(1, Tally(3, 0)), (2, Tally(1, 0))]
    assert few[0].open == ("t4", "t5")
    assert few[1].open == ("t0", "t1", "t2", "t4", "t5")
    short = select(history, TASKS, (1, 2), benchmark="repair", budget=3)
    assert [each.open for each in short] == [(), ("t0", "t1", "t2")]
    assert select(history, TASKS, (4,), benchmark="repair") == (Finalist(4, Tally(), TASKS),)
    assert select(History(), TASKS, (), benchmark="repair") == ()


@pytest.mark.parametrize(
    ("budget", "tasks"),
    [(None, {"a", "b", "c"}), (0, set()), (1, {"a"}), (2, {"a"}), (3, {"a", "b"}), (9, {"a", "b", "c"})],
)
def test_a_budget_buys_whole_tasks_in_their_order(budget: int | None, tasks: set[str]) -> None:
    assert affordable([{"a", "b", "c"}, {"b"}], ("a", "b", "c"), budget) == tasks


def test_the_choice_is_made_on_common_tasks() -> None:
    """Agent 1 solved four easy tasks; where both were measured, agent 2 is better."""
    ones = [(1, f"t{n}", n < 4) for n in range(6)]
    twos = [(2, f"t{n}", True) for n in (3, 4)]
    choice = choose(history_of([*ones, *twos]), [1, 2], benchmark="repair")
    assert (choice.agent, choice.tasks) == (2, ("t3", "t4"))
    assert choice.results == {1: Tally(1, 1), 2: Tally(2, 0)}
    tied = choose(history_of([(1, "t0", True), (2, "t0", True)]), [2, 1], benchmark="repair")
    assert tied.agent == 2
    assert choose(history_of([(1, "t0", True)]), [1, 0], benchmark="repair").agent == 1


def test_only_the_first_verdict_of_a_task_counts() -> None:
    history = history_of([(1, "t0", False)], asked=[(1, "t0", True), (1, "t1", True)])
    assert first_verdicts(history.evaluations, "repair") == {1: {"t0": False, "t1": True}}
    assert first_verdicts(history.evaluations, "polyglot") == {}


def test_the_naive_best_flatters_and_the_sealed_result_does_not() -> None:
    """150 runs of 30 agents of nearly the same skill, 12 verdicts each: the best one's own mean is far above its skill.

    Its five finalists' full results flatter less, the sealed ones not at all.
    """
    rng = np.random.default_rng(11)
    naive, full, sealed = [], [], []
    for _ in range(150):
        skills = np.clip(rng.normal(0.4, 0.05, 30), 0, 1)
        verdicts = rng.random((30, 60)) < skills[:, None]
        seen = [(agent, str(task), bool(verdicts[agent, task])) for agent in range(30) for task in range(12)]
        history = history_of(seen)
        tasks = tuple(map(str, range(60)))
        own = tallies(history.evaluations)
        passed, failed = (np.array([getattr(own[agent], name) for agent in range(30)]) for name in ("passed", "failed"))
        few = select(history, tasks, ranking(passed, failed, 0.25, 5), benchmark="repair")
        first = few[0]
        naive.append((first.before.mean or 0.0) - skills[first.agent])
        asked = [(each.agent, task, bool(verdicts[each.agent, int(task)])) for each in few for task in each.open]
        choice = choose(history_of(seen, asked=asked), [each.agent for each in few], benchmark="repair")
        full.append((choice.results[choice.agent].mean or 0.0) - skills[choice.agent])
        sealed.append(rng.binomial(60, skills[choice.agent]) / 60 - skills[choice.agent])
    error = np.std(sealed) / np.sqrt(150)
    assert np.mean(naive) > 0.2
    assert 0.02 < np.mean(full) < np.mean(naive) / 2
    assert abs(np.mean(sealed)) < 3 * error < 0.02
