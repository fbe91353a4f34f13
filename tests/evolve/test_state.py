"""From rows to decisions: what counts, what leaves no trace, when to stop. On a real archive."""

from datetime import UTC, datetime

import pytest

from archive import INTERRUPTED, Archive, ArchiveError, Bill, Decision, Evaluation, Expansion, History, Outcome, Tally
from evolve.events import Measured, Opened, Tried, Voided
from evolve.moves import Evaluate, Expand
from evolve.settings import Settings
from evolve.state import (
    MAX_OUTAGES_OF_A_DECISION,
    MAX_VOIDS_OF_A_PAIR,
    OUTAGE,
    Spent,
    columns,
    events_of,
    left_out,
    next_attempt,
    next_decision,
    search,
    stop_reason,
    view_of,
)

TASKS = ("a", "b", "c")


@pytest.fixture
def archive(tmp_path):
    with Archive.create(tmp_path / "run") as made:
        made.add_seed({"__main__.py": b""}, "shape-0")
        yield made


def decision(number, move, task=None, agent=0):
    return Decision(number, "hgm", move, agent, task, "{}", datetime.now(UTC))


def evaluate(archive, number, task, outcome=None, reason="because", agent=0):
    row = archive.open_evaluation(
        decision(number, "evaluate", task, agent),
        agent=agent,
        benchmark="repair",
        split="search",
        task=task,
        attempt=0,
        seed=1,
    )
    return archive.close_evaluation(row.id, outcome, reason=reason) if outcome else row


def expand(archive, number, outcome=None, **more):
    row = archive.open_expansion(decision(number, "expand"), entry="task:a", seed=1)
    return archive.close_expansion(row.id, outcome, reason="because", **more) if outcome else row


def seen(archive, **settings):
    return view_of(archive.history(), TASKS, Settings(**settings))


def opened(view):
    """The open tasks of every agent."""
    return [[view.tasks[column] for column in view.open_tasks(agent)] for agent in range(view.agents)]


def stop(archive, *, start=None, usd=0.0, tokens=0, hours=0.0, no_room=None, **settings):
    start = start or datetime(2000, 1, 1, tzinfo=UTC)
    view = seen(archive, **settings)
    spent = Spent(usd, tokens, hours, no_room)
    found = stop_reason(archive.history(), view, Settings(**settings), spent, start=start)
    return None if found is None else f"{found.reason} ({'finished' if found.finished else 'stuck'})"


def test_evaluations_come_in_the_order_of_their_decisions_whatever_was_cut_off(archive):
    evaluate(archive, 0, "a", Outcome.VOID, INTERRUPTED)
    evaluate(archive, 1, "b", Outcome.EMPTY_PATCH)
    evaluate(archive, 0, "a", Outcome.UNRESOLVED)
    evaluate(archive, 2, "c", Outcome.RESOLVED)
    assert [(row.decision, row.id) for row in search(archive.history())] == [(0, 3), (1, 2), (2, 4)]


class TestView:
    def test_evidence_and_flight_take_a_task_and_void_gives_it_back(self, archive):
        evaluate(archive, 0, "a", Outcome.RESOLVED)
        evaluate(archive, 1, "b")
        evaluate(archive, 2, "c", Outcome.VOID)
        view = seen(archive)
        assert opened(view) == [["c"]]
        assert (view.evaluations, view.evaluations_in_flight, view.measured(0)) == (1, 1, 2)
        assert view.own(0) == Tally(1, 0)
        assert view.verdict.tolist() == [[1, -1, -1]]

    def test_a_pair_that_is_void_again_and_again_is_left_alone(self, archive):
        for number in range(3):
            evaluate(archive, number, "a", Outcome.VOID)
        assert opened(seen(archive)) == [["b", "c"]]

    def test_what_a_person_asked_for_is_not_evidence(self, archive):
        row = archive.open_evaluation(None, agent=0, benchmark="repair", split="search", task="a", attempt=0, seed=1)
        archive.close_evaluation(row.id, Outcome.RESOLVED, reason="because")
        assert seen(archive).own(0).n == 0

    def test_an_interrupted_move_leaves_no_trace(self, archive):
        evaluate(archive, 0, "a", Outcome.RESOLVED)
        before = seen(archive)
        evaluate(archive, 1, "b")
        expand(archive, 2)
        archive.void_open()
        assert seen(archive).same(before)
        assert next_decision(archive.history()) == 1

    def test_looking_changes_nothing(self, archive):
        """HGM's released code adds descendants' results to the ancestor at each look."""
        evaluate(archive, 0, "a", Outcome.RESOLVED)
        expand(archive, 1, Outcome.BORN, files={"__main__.py": b"1"}, shape="shape-1")
        evaluate(archive, 2, "a", Outcome.UNRESOLVED, agent=1)
        first = seen(archive)
        for _ in range(3):
            assert seen(archive).same(first)
        assert (first.own(0).n, first.whole(0).n) == (1, 2)

    def test_failed_expansions_are_counted_and_a_birth_starts_anew(self, archive):
        expand(archive, 0, Outcome.NO_CHANGE)
        expand(archive, 1, Outcome.VOID)
        expand(archive, 2, Outcome.STILLBORN)
        assert (seen(archive).failed_in_a_row, seen(archive).expansions) == (2, 2)
        expand(archive, 3, Outcome.BORN, files={"__main__.py": b"1"}, shape="shape-1")
        assert seen(archive).failed_in_a_row == 0

    def test_evidence_about_a_task_that_the_split_has_no_more_stays_evidence(self, archive):
        evaluate(archive, 0, "z", Outcome.RESOLVED)
        view = seen(archive)
        assert view.tasks == ("a", "b", "c", "z")
        assert (view.own(0), view.evaluations, opened(view)) == (Tally(1, 0), 1, [["a", "b", "c"]])


class TestEvents:
    def events(self, history):
        return list(events_of(history, {task: column for column, task in enumerate(columns(history, TASKS))}))

    def test_they_come_in_the_order_of_what_happened(self, archive):
        first = evaluate(archive, 0, "b")
        second = archive.open_expansion(decision(1, "expand"), entry="task:b", seed=1)
        archive.close_evaluation(first.id, Outcome.UNRESOLVED, reason="because", seconds=2.0)
        child = {"files": {"__main__.py": b"1"}, "shape": "shape-1"}
        archive.close_expansion(second.id, Outcome.BORN, reason="because", seconds=3.0, **child)
        evaluate(archive, 2, "c", Outcome.VOID, agent=1)
        expand(archive, 3, Outcome.DUPLICATE, twin=1)
        evaluate(archive, 4, "a", agent=1)
        assert self.events(archive.history()) == [
            Opened(Evaluate(0, 1), 0),
            Opened(Expand(0), 1),
            Measured(0, 1, False, 2.0, 0.0),
            Tried(0, 1, 3.0, 0.0),
            Opened(Evaluate(1, 2), 2),
            Voided(Evaluate(1, 2)),
            Opened(Expand(0), 3),
            Tried(0, None, 0.0, 0.0),
            Opened(Evaluate(1, 0), 4),
        ]

    def test_a_clock_that_was_set_back_in_an_old_archive_does_not_put_a_child_before_its_birth(self):
        def at(second):
            return datetime(2026, 1, 1, 0, 0, second, tzinfo=UTC)

        def birth(id, opened, closed):
            return Expansion(id, id, id - 1, "task:a", 1, at(opened), Outcome.BORN, "", "", id, at(closed), 1.0, Bill())

        measured = Evaluation(1, 3, 2, "repair", "search", "a", 0, 1, at(3), Outcome.RESOLVED, "", at(2))
        events = self.events(History((), (birth(1, 10, 20), birth(2, 5, 9)), (measured,)))
        assert [type(event) for event in events] == [Opened, Tried, Opened, Tried, Opened, Measured]
        assert [event.child for event in events if isinstance(event, Tried)] == [1, 2]

    def test_an_agent_that_was_never_born_is_an_error(self):
        measured = Evaluation(1, 3, 2, "repair", "search", "a", 0, 1, datetime.now(UTC))
        with pytest.raises(ArchiveError, match="never born"):
            self.events(History((), (), (measured,)))


class TestNumbers:
    def test_an_interrupted_decision_is_taken_again(self, archive):
        evaluate(archive, 0, "a")
        evaluate(archive, 1, "b", Outcome.RESOLVED)
        archive.void_open()
        assert next_decision(archive.history()) == 0
        evaluate(archive, 0, "a", Outcome.RESOLVED)
        assert next_decision(archive.history()) == 2

    def test_a_house_fault_uses_its_number_up(self, archive):
        evaluate(archive, 0, "a", Outcome.VOID, reason="sandbox: the engine died")
        assert next_decision(archive.history()) == 1

    def test_attempts_count_evidence_only(self, archive):
        evaluate(archive, 0, "a", Outcome.VOID)
        assert next_attempt(archive.history().evaluations, 0, "a") == 0
        evaluate(archive, 1, "a", Outcome.UNRESOLVED)
        assert next_attempt(archive.history().evaluations, 0, "a") == 1


class TestStop:
    def test_nothing_is_spent(self, archive):
        assert stop(archive) is None

    @pytest.mark.parametrize(
        ("spent", "budget", "says"),
        [
            ({"usd": 1.0}, {"usd": 1.0}, "$1 is spent"),
            ({"tokens": 10}, {"tokens": 10}, "10 tokens"),
            ({"hours": 2.0}, {"hours": 2.0}, "2 hours"),
        ],
    )
    def test_money_tokens_and_time(self, archive, spent, budget, says):
        assert says in stop(archive, **spent, budget=budget)
        assert stop(archive, budget=budget) is None

    def test_money_too_short_for_a_call(self, archive):
        said = stop(archive, usd=0.99, no_room="$0.01 are left", budget={"usd": 1.0})
        assert "$0.01 are left" in said
        assert "finished" in said

    def test_evaluations(self, archive):
        evaluate(archive, 0, "a", Outcome.RESOLVED)
        evaluate(archive, 1, "b", Outcome.VOID)
        assert stop(archive, budget={"evaluations": 2}) is None
        assert "1 evaluations is spent (finished)" in stop(archive, budget={"evaluations": 1})

    def test_expansions_without_a_child_stop_with_the_cause(self, archive):
        """The peers' broken set-up made 1,374 attempts in a loop."""
        for number in range(3):
            expand(archive, number, Outcome.STILLBORN)
        reason = stop(archive, budget={"failures_in_a_row": 3})
        assert "STILLBORN" in reason
        assert "(stuck)" in reason
        assert "because" in reason

    def test_voids_in_a_row_stop_with_the_cause_and_a_new_session_starts_anew(self, archive):
        for number in range(3):
            evaluate(archive, number, "a", Outcome.VOID, reason="model: the provider is down")
        assert "the provider is down" in stop(archive, budget={"voids_in_a_row": 3})
        assert stop(archive, budget={"voids_in_a_row": 4}) is None
        assert stop(archive, budget={"voids_in_a_row": 3}, start=datetime.now(UTC)) is None

    def test_interrupted_moves_are_not_the_houses_faults(self, archive):
        for _ in range(3):
            evaluate(archive, 0, "a")
            archive.void_open()
        assert {row.reason for row in archive.history().evaluations} == {INTERRUPTED}
        assert stop(archive, budget={"voids_in_a_row": 2}) is None


class TestOutages:
    """What an outage of a model service cut off says nothing, unless it happens to one decision again and again."""

    REASON = f"{OUTAGE}mine:m: mine answered 503"

    def test_they_leave_no_trace(self, archive):
        evaluate(archive, 0, "a", Outcome.RESOLVED)
        before = seen(archive)
        for _ in range(MAX_OUTAGES_OF_A_DECISION):
            evaluate(archive, 1, "b", Outcome.VOID, reason=self.REASON)
        row = archive.open_expansion(decision(2, "expand"), entry="task:a", seed=1)
        archive.close_expansion(row.id, Outcome.VOID, reason=self.REASON)
        assert seen(archive).same(before)
        assert next_decision(archive.history()) == 1
        assert left_out(archive.history()) == {}
        assert stop(archive, budget={"voids_in_a_row": 1}) is None

    def test_other_faults_of_the_house_count_as_before(self, archive):
        for number in range(2):
            evaluate(archive, number, "b", Outcome.VOID, reason=f"sandbox: {self.REASON}")
        assert next_decision(archive.history()) == 2
        assert "2 moves in a row" in stop(archive, budget={"voids_in_a_row": 2})

    def test_a_move_that_brings_the_service_down_is_suspected_in_the_end(self, archive):
        for _ in range(MAX_OUTAGES_OF_A_DECISION + 1):
            evaluate(archive, 0, "b", Outcome.VOID, reason=self.REASON)
        assert next_decision(archive.history()) == 1
        for number in range(1, MAX_VOIDS_OF_A_PAIR):
            assert "b" in opened(seen(archive))[0]
            for _ in range(MAX_OUTAGES_OF_A_DECISION + 1):
                evaluate(archive, number, "b", Outcome.VOID, reason=self.REASON)
        assert opened(seen(archive)) == [["a", "c"]], "it is left alone, like any pair that is void again and again"
