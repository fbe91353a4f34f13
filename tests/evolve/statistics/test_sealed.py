"""The sealed split: what an opening says, what is left to measure, how many looks a result answers for."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from archive import Evaluation, Event, History, Outcome, Tally
from evolve.statistics.finalists import Choice, Finalist
from evolve.statistics.sealed import (
    BEGUN,
    OPENED,
    TOUCHED,
    Opening,
    Standing,
    begun_facts,
    going_on,
    looked_at,
    missing,
    opening_facts,
    openings,
    spent_since,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
FACTS = opening_facts(
    "repair",
    0,
    ("s0", "s1"),
    [Finalist(7, Tally(3, 1), ("t1",)), Finalist(2, Tally(2, 0), ())],
    Choice(7, ("t0", "t1"), {7: Tally(2, 0), 2: Tally(1, 1)}),
)


def event(id: int, kind: str, facts: dict[str, object]) -> Event:
    return Event(id, NOW, kind, json.dumps(facts))


def row(id: int, agent: int, task: str, outcome: Outcome, *, split: str = "sealed") -> Evaluation:
    return Evaluation(id, None, agent, "repair", split, task, 0, 0, NOW, outcome, closed=NOW)


def test_an_opening_is_read_as_it_was_written() -> None:
    events = [
        event(1, TOUCHED, {"agent": 3}),
        event(2, OPENED, FACTS),
        event(3, OPENED, {**FACTS, "benchmark": "other"}),
    ]
    standings = (Standing(7, Tally(3, 1), Tally(2, 0)), Standing(2, Tally(2, 0), Tally(1, 1)))
    assert openings(events, "repair") == (Opening(NOW, "repair", 7, 0, ("s0", "s1"), standings),)


def test_what_a_cut_off_call_spent_counts_until_the_split_is_opened_or_the_run_grows() -> None:
    def at(minute: int) -> datetime:
        return NOW + timedelta(minutes=minute)

    def begun(id: int, minute: int, history: History, benchmark: str = "repair") -> Event:
        return Event(id, at(minute), BEGUN, json.dumps(begun_facts(benchmark, history)))

    rows = [
        replace(row(1, 7, "t0", Outcome.RESOLVED, split="search"), opened=at(1)),
        replace(row(2, 7, "t1", Outcome.UNRESOLVED, split="search"), opened=at(5)),
        replace(row(3, 7, "t2", Outcome.VOID, split="search"), opened=at(6)),
        replace(row(4, 8, "t1", Outcome.UNRESOLVED, split="search"), opened=at(7)),
        replace(row(5, 7, "s0", Outcome.UNRESOLVED), opened=at(7)),
        replace(row(6, 2, "t1", Outcome.RESOLVED, split="search"), opened=at(8)),
        replace(row(7, 2, "t2", Outcome.RESOLVED, split="search"), opened=at(9), decision=3),
    ]
    history = History(evaluations=tuple(rows))
    assert going_on([], history, "repair") is None
    events = [begun(1, 3, history), begun(2, 4, history, "other"), begun(3, 6, history)]
    assert going_on(events, history, "repair") == at(3), "of several beginnings of one choice, the first"
    assert spent_since(history, "repair", [7, 2], at(3)) == 2
    assert spent_since(history, "other", [7, 2], at(3)) == 0
    grown = History(evaluations=(*rows, replace(rows[-1], id=8, decision=4)))
    assert going_on(events, grown, "repair") is None, "the finalists may be others now"
    opened = Event(4, at(10), OPENED, json.dumps(FACTS))
    assert going_on([*events, opened], history, "repair") is None
    assert going_on([*events, opened, begun(5, 11, history)], history, "repair") == at(11)


def test_what_is_left_to_measure() -> None:
    (opening,) = openings([event(1, OPENED, FACTS)], "repair")
    assert missing(opening, []) == {7: ("s0", "s1"), 0: ("s0", "s1")}
    rows = [row(1, 7, "s0", Outcome.RESOLVED), row(2, 7, "s1", Outcome.VOID), row(3, 0, "s1", Outcome.TIMED_OUT)]
    rows += [row(4, 0, "s0", Outcome.RESOLVED, split="search")]
    assert missing(opening, rows) == {7: ("s1",), 0: ("s0",)}
    rows += [row(5, 7, "s1", Outcome.RESOLVED), row(6, 0, "s0", Outcome.EMPTY_PATCH)]
    assert missing(opening, rows) == {}


def test_every_agent_seen_on_sealed_tasks_is_a_look() -> None:
    said = openings([event(1, OPENED, FACTS), event(2, OPENED, {**FACTS, "agent": 9})], "repair")
    assert looked_at(said, [], "repair", 0) == (7, 9)
    rows = [row(1, 3, "s0", Outcome.RESOLVED), row(2, 4, "s0", Outcome.VOID), row(3, 0, "s0", Outcome.RESOLVED)]
    assert looked_at(said[:1], rows, "repair", 0) == (3, 7)
    assert looked_at(said[:1], rows, "other", 0) == (7,)
