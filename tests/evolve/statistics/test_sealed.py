"""The sealed split: what an opening says, what is left to measure, how many looks a result answers for."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from archive import Evaluation, Event, Outcome, Tally
from evolve.statistics.finalists import Choice, Finalist
from evolve.statistics.sealed import OPENED, TOUCHED, Opening, Standing, looked_at, missing, opening_facts, openings

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
