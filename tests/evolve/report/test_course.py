"""The course of a run: chosen anew at each verdict as the policy would have then, over honest scales."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as brief
from hypothesis import strategies as st

from archive import INTERRUPTED, Agent, Bill, Evaluation, Expansion, History, Outcome
from evolve.policies import HGM, Kin
from evolve.report.course import at_work, course, places
from evolve.settings import Settings
from evolve.state import view_of

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
TASKS = tuple(f"t{number}" for number in range(8))


def moment(seconds: float) -> datetime:
    return BEGIN + timedelta(seconds=seconds)


def measured(id: int, agent: int, task: int, outcome: Outcome, *, at: float, usd: float = 0.0) -> Evaluation:
    return Evaluation(
        id, id, agent, "repair", "search", TASKS[task], 0, 1, moment(at), outcome, closed=moment(at + 10),
        bill=Bill(1, 100, 0, 10, usd),
    )  # fmt: skip


def grown(parents: list[int], verdicts: list[tuple[int, int, bool]]) -> History:
    """Every child is born in the first second of its own; then verdicts, one after the other."""
    agents = [Agent(0, None, "c0", "t", "s", BEGIN)]
    births = []
    for number, parent in enumerate(parents):
        agents.append(Agent(number + 1, parent, f"c{number + 1}", "t", "s", moment(number + 1)))
        births.append(
            Expansion(
                number + 1,
                1000 + number,
                parent,
                "task:x",
                1,
                moment(number),
                Outcome.BORN,
                child=number + 1,
                closed=moment(number + 0.5),
            )
        )
    rows = [
        measured(number + 1, agent, task, Outcome.RESOLVED if good else Outcome.UNRESOLVED, at=100 + 20 * number)
        for number, (agent, task, good) in enumerate(verdicts)
    ]
    return History(tuple(agents), tuple(births), tuple(rows))


@st.composite
def histories(draw: st.DrawFn) -> History:
    parents = [draw(st.integers(0, child)) for child in range(draw(st.integers(0, 4)))]
    pairs = st.tuples(st.integers(0, len(parents)), st.integers(0, len(TASKS) - 1))
    chosen = draw(st.lists(pairs, unique=True, max_size=14))
    return grown(parents, [(agent, task, draw(st.booleans())) for agent, task in chosen])


@pytest.mark.parametrize("policy", [HGM(), Kin()])
@brief(max_examples=15)
@given(history=histories())
def test_at_each_verdict_it_is_what_the_policy_would_have_taken_away_then(history: History, policy: HGM | Kin) -> None:
    settings = Settings(policy=policy)
    found = course(history, TASKS, settings)
    assert len(found.agent) == len(history.evaluations)
    for place in range(len(found.agent)):
        then = History(history.agents, history.expansions, history.evaluations[: place + 1])
        view = view_of(then, TASKS, settings)
        best = policy.best(view)
        assert best == found.agent[place]
        tally = view.own(best)
        assert found.belief[place] == pytest.approx(tally.belief)
        assert (found.low[place], found.high[place]) == pytest.approx(tally.interval())


def test_a_run_with_nothing_but_the_seed_has_an_empty_course() -> None:
    found = course(grown([], []), TASKS, Settings())
    assert not len(found.agent)
    assert not len(found.hours)
    assert not len(found.changes())


def test_the_clock_goes_only_while_something_is_under_way() -> None:
    moves = [
        measured(1, 0, 0, Outcome.RESOLVED, at=0),
        measured(2, 0, 1, Outcome.RESOLVED, at=5),
        measured(3, 0, 2, Outcome.RESOLVED, at=1000),
    ]
    clock = at_work(moves)
    seconds = [BEGIN.timestamp() + each for each in (0, 10, 15, 500, 1000, 1004, 1010, 5000)]
    assert clock(seconds).tolist() == [0, 10, 15, 15, 15, 19, 25, 25]
    assert at_work([])([0.0, 9.0]).tolist() == [0, 0]


def test_what_a_kill_cut_off_takes_no_time_and_void_moves_cost_money() -> None:
    cut = measured(1, 0, 0, Outcome.VOID, at=0, usd=0.25)
    cut = Evaluation(
        1, 9, 0, "repair", "search", "t0", 0, 1, moment(0), Outcome.VOID, INTERRUPTED, moment(90_000), bill=cut.bill
    )
    void = measured(2, 0, 1, Outcome.VOID, at=90_000, usd=0.5)
    good = measured(3, 0, 2, Outcome.RESOLVED, at=90_010, usd=1.0)
    seed = grown([], []).agents
    found = course(History(seed, (), (cut, void, good)), TASKS, Settings())
    assert (found.hours * 3600).tolist() == pytest.approx([20])
    assert found.usd.tolist() == [1.75]
    assert found.tokens.tolist() == [330]


def test_what_a_person_asked_for_is_not_in_it() -> None:
    history = grown([0], [(0, 0, False)])
    asked = Evaluation(7, None, 1, "repair", "search", "t3", 0, 1, moment(500), Outcome.RESOLVED, closed=moment(501))
    found = course(History(history.agents, history.expansions, (*history.evaluations, asked)), TASKS, Settings())
    assert found.agent.tolist() == [0]


class Counting(HGM):
    def best(self, view: object) -> int | None:
        ASKED.append(1)
        return super().best(view)  # type: ignore[arg-type]


ASKED: list[int] = []


def test_the_policy_is_asked_a_bounded_number_of_times(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("evolve.report.course.MOST_ASKED", 5)
    history = grown([0, 0, 1], [(agent, task, (agent + task) % 3 > 0) for task in range(8) for agent in range(4)])
    ASKED.clear()
    settings = Settings().model_copy(update={"policy": Counting()})
    found = course(history, TASKS, settings)
    assert len(ASKED) == 5
    assert len(found.agent) == 32
    exact = course(history, TASKS, Settings())
    assert found.agent[-1] == Settings().policy.best(view_of(history, TASKS, Settings()))
    assert len(exact.agent) == 32


@given(size=st.integers(0, 500), most=st.integers(2, 60))
def test_places_are_ends_and_what_lies_evenly_between(size: int, most: int) -> None:
    found = places(size, most)
    assert len(found) == min(size, most)
    assert (np.diff(found) > 0).all()
    if size:
        assert (found[0], found[-1]) == (0, size - 1)


def test_a_long_course_is_thinned_but_keeps_changes_and_its_end() -> None:
    history = grown([0], [(0, 0, True)] + [(1, task, True) for task in range(8)])
    found = course(history, TASKS, Settings())
    kept = set(found.thinned(3).tolist())
    assert {0, 8} | set(found.changes().tolist()) <= kept
    assert len(kept) < 9
