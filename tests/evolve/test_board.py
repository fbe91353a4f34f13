"""The board against the plain recomputation: the same after any event of any run; and choosing changes neither."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archive import INTERRUPTED, Agent, Bill, Evaluation, Expansion, History, Outcome
from evolve.board import ROOM, Board, board_of
from evolve.events import Event, Measured, Opened, Tried, Voided
from evolve.moves import Evaluate, Expand
from evolve.policies import DGM, HGM, Greedy, Uniform
from evolve.settings import Settings
from evolve.state import (
    MAX_OUTAGES_OF_A_DECISION,
    OUTAGE,
    closing,
    columns,
    events_of,
    left_out,
    next_decision,
    opening,
    shut_columns,
    view_of,
)

TASKS = tuple("abcd")
SETTINGS = Settings.model_validate({"budget": {"evaluations": 50}})


@dataclass
class Chronicle:
    """A memory of the kind that policies may keep: it tells apart any two runs."""

    told: list[Event] = field(default_factory=list)

    def seen(self, event: Event) -> None:
        self.told.append(event)


class Remembering(HGM):
    def fold(self, tasks: int, budget: int) -> Chronicle:
        return Chronicle()


class Rows:
    """An archive's rows without an archive, and a clock that ticks."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC)
        self.agents = [Agent(0, None, "c", "t", "s", self.tick())]
        self.expansions: list[Expansion] = []
        self.evaluations: list[Evaluation] = []

    def tick(self) -> datetime:
        self.now += timedelta(microseconds=1)
        return self.now

    @property
    def history(self) -> History:
        return History(tuple(self.agents), tuple(self.expansions), tuple(self.evaluations))

    def flying(self) -> list[Expansion | Evaluation]:
        return [row for row in (*self.expansions, *self.evaluations) if row.outcome is None]

    def expand(self, number: int, parent: int) -> Expansion:
        row = Expansion(len(self.expansions) + 1, number, parent, "task:a", 1, self.tick())
        self.expansions.append(row)
        return row

    def evaluate(self, number: int | None, agent: int, task: str) -> Evaluation:
        id = len(self.evaluations) + 1
        row = Evaluation(id, number, agent, "repair", "search", task, 0, 1, self.tick())
        self.evaluations.append(row)
        return row

    def close(self, row: Expansion | Evaluation, outcome: Outcome, reason: str = "") -> Expansion | Evaluation:
        child = len(self.agents) if outcome is Outcome.BORN else None
        seconds = 0.1 * len(self.evaluations)
        rows: list = self.evaluations if isinstance(row, Evaluation) else self.expansions
        more = {} if isinstance(row, Evaluation) else {"child": child}
        rows[row.id - 1] = replace(
            row, outcome=outcome, reason=reason, closed=self.tick(), seconds=seconds, bill=Bill(usd=seconds / 7), **more
        )
        if child is not None:
            self.agents.append(Agent(child, row.parent, "c", "t", f"s{child}", self.tick()))
        return rows[row.id - 1]


class Run:
    """The rows of a run and its board, told as the loop tells it."""

    def __init__(self, policy=None) -> None:
        self.settings = SETTINGS.model_copy(update={"policy": policy or Remembering()})
        self.rows = Rows()
        self.alone: set[str] = set()
        self.board = board_of(self.rows.history, TASKS, self.settings)

    def open(self, kind: str, agent: int, task: str = "a") -> None:
        number = self.board.next_decision
        row = self.rows.expand(number, agent) if kind == "expand" else self.rows.evaluate(number, agent, task)
        self.board.seen(opening(row, self.board.column))

    def close(self, row: Expansion | Evaluation, outcome: Outcome, reason: str = "") -> None:
        row = self.rows.close(row, outcome, reason)
        if outcome is Outcome.VOID and reason.startswith((OUTAGE, INTERRUPTED)):
            self.board = board_of(self.rows.history, TASKS, self.settings)
        else:
            self.board.seen(closing(row, self.board.column))
        if outcome is Outcome.VOID or (isinstance(row, Evaluation) and row.task in self.alone):
            self.alone = set(left_out(self.rows.history))
            self.board.leave_alone(shut_columns(self.rows.history, self.board.tasks, TASKS))

    def check(self) -> None:
        expected = view_of(self.rows.history, TASKS, self.settings)
        assert self.board.view().same(expected), difference(self.board, expected)
        assert self.board.next_decision == next_decision(self.rows.history)


def difference(board: Board, expected) -> str:
    pairs = {name: (getattr(board.view(), name), getattr(expected, name)) for name in expected.__slots__}
    return str({name: pair for name, pair in pairs.items() if not np.array_equal(pair[0], pair[1])})


def step(run: Run, draw) -> None:
    """One legal event, drawn."""
    rows = run.rows
    actions = ["expand", "evaluate"] + ["close"] * (2 * bool(rows.flying())) + ["person"]
    action = draw(st.sampled_from(actions))
    agent = draw(st.integers(0, len(rows.agents) - 1))
    if action == "expand":
        run.open("expand", agent)
    elif action == "person":
        row = rows.evaluate(None, agent, draw(st.sampled_from(TASKS)))
        rows.close(row, Outcome.RESOLVED)
    elif action == "evaluate":
        tasks = run.board.view().open_tasks(agent).tolist()
        if tasks:
            run.open("evaluate", agent, TASKS[draw(st.sampled_from(tasks))])
    else:
        row = draw(st.sampled_from(rows.flying()))
        good = (
            [Outcome.BORN, Outcome.STILLBORN] if isinstance(row, Expansion) else [Outcome.RESOLVED, Outcome.TIMED_OUT]
        )
        outcome = draw(st.sampled_from([good[0], good[0], good[1], Outcome.VOID, Outcome.VOID]))
        reasons = ["sandbox: the engine died", f"{OUTAGE}mine answered 503", INTERRUPTED]
        run.close(row, outcome, draw(st.sampled_from(reasons)) if outcome is Outcome.VOID else "")


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_it_is_the_plain_recomputation_after_every_event(data):
    run = Run()
    for _ in range(data.draw(st.integers(1, 40))):
        step(run, data.draw)
        run.check()
    again = board_of(run.rows.history, TASKS, run.settings)
    assert again.view().same(run.board.view()), "a resumed run decides on what it would have decided on"


@pytest.mark.parametrize("policy", [HGM(), DGM(), Greedy(), Uniform()], ids=lambda policy: policy.name)
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_asking_twice_gives_the_same_and_changes_nothing(policy, data):
    run = Run(policy)
    for number in range(data.draw(st.integers(1, 25))):
        step(run, data.draw)
        before = view_of(run.rows.history, TASKS, run.settings)
        asked = [policy.choose(run.board.view(), np.random.default_rng(number)) for _ in range(2)]
        assert asked[0] == asked[1] == policy.choose(before, np.random.default_rng(number))
        assert policy.best(run.board.view()) == policy.best(before)
        assert run.board.view().same(before)


def test_a_task_is_quarantined_and_comes_back():
    run = Run()
    run.open("expand", 0)
    run.close(run.rows.expansions[-1], Outcome.BORN)
    run.open("evaluate", 1, "b")
    late = run.rows.evaluations[-1]
    for _ in range(3):
        run.open("evaluate", 0, "b")
        run.close(run.rows.evaluations[-1], Outcome.VOID, "sandbox: an image that cannot be opened")
        run.check()
        run.open("expand", 1)
        run.close(run.rows.expansions[-1], Outcome.BORN)
        run.check()
    assert run.alone == {"b"}
    assert run.board.view().open[:, 1].tolist() == [False] * 5
    run.close(late, Outcome.RESOLVED)
    run.check()
    assert run.board.view().open[:, 1].tolist() == [False, False, True, True, True], "0 had its three tries, 1 its one"


def test_a_decision_that_an_outage_spoils_again_and_again_is_used_up_in_the_end():
    run = Run()
    for _ in range(MAX_OUTAGES_OF_A_DECISION + 1):
        assert run.board.next_decision == 0
        run.open("evaluate", 0, "a")
        run.close(run.rows.evaluations[-1], Outcome.VOID, f"{OUTAGE}mine answered 503")
        run.check()
    assert run.board.next_decision == 1


def test_evidence_about_a_task_that_only_rows_know():
    rows = Rows()
    rows.close(rows.evaluate(0, 0, "gone"), Outcome.RESOLVED)
    board = board_of(rows.history, TASKS, SETTINGS)
    assert board.tasks == columns(rows.history, TASKS) == (*TASKS, "gone")
    assert board.view().same(view_of(rows.history, TASKS, SETTINGS))
    assert board.view().open.tolist() == [[True, True, True, True, False]]


def grown(shape: str, n: int) -> tuple[Board, list[int]]:
    """A board with a tree of that shape, and its parents."""
    rng = np.random.default_rng(n)
    parent = {
        "chain": lambda child: child - 1,
        "star": lambda child: 0,
        "random": lambda child: int(rng.integers(child)),
        "two chains": lambda child: max(0, child - 2),
    }[shape]
    board = Board(TASKS, HGM(), budget=10_000, expansion_budget=10_000)
    parents = [-1]
    for child in range(1, n):
        parents.append(parent(child))
        board.seen(Opened(Expand(parents[child]), child))
        board.seen(Tried(parents[child], child, 1.0, 0.0))
    return board, parents


@pytest.mark.parametrize("shape", ["chain", "star", "random", "two chains"])
def test_clade_sums_of_large_trees(shape):
    """Far more agents than a board has room for at first."""
    n = 5 * ROOM + 7
    board, parents = grown(shape, n)
    rng = np.random.default_rng(1)
    passed = np.zeros((2, n), dtype=np.int64)
    for number in range(400):
        agent, task, good = int(rng.integers(n)), int(rng.integers(4)), int(rng.integers(2))
        board.seen(Opened(Evaluate(agent, task), n + number))
        board.seen(Measured(agent, task, bool(good), 1.0, 0.0))
        while agent >= 0:
            passed[good, agent] += 1
            agent = parents[agent]
    view = board.view()
    assert (view.clade_passed == passed[1]).all() and (view.clade_failed == passed[0]).all()
    assert view.agents == n and view.parent.tolist() == parents
    assert view.children.tolist() == [parents.count(agent) for agent in range(n)]


def test_a_view_cannot_be_written_to():
    view = grown("star", 3)[0].view()
    arrays = [name for name in view.__slots__ if isinstance(getattr(view, name), np.ndarray)]
    assert len(arrays) == 16
    for name in arrays:
        with pytest.raises(ValueError, match="read-only"):
            getattr(view, name)[...] = 0


def test_agents_are_born_in_the_order_of_their_numbers():
    board = grown("star", 3)[0]
    board.seen(Opened(Expand(0), 3))
    with pytest.raises(ValueError, match="3 is next, not 4"):
        board.seen(Tried(0, 4, 1.0, 0.0))


def test_a_void_gives_a_task_back_until_the_pair_has_had_enough():
    board = grown("star", 2)[0]
    for number in range(2, 5):
        assert board.view().open[1, 2]
        board.seen(Opened(Evaluate(1, 2), number))
        assert not board.view().open[1, 2] and board.view().in_flight[1] == 1
        board.seen(Voided(Evaluate(1, 2)))
    assert not board.view().open[1, 2] and board.view().left.tolist() == [4, 3]


def test_events_of_rows_rebuild_the_policys_memory():
    run = Run()
    run.open("evaluate", 0, "a")
    run.open("expand", 0)
    run.close(run.rows.evaluations[0], Outcome.RESOLVED)
    told = run.board.view().fold
    assert isinstance(told, Chronicle)
    assert told.told == list(events_of(run.rows.history, run.board.column))
    assert [type(event) for event in told.told] == [Opened, Opened, Measured]
