"""The sealed split: for which agents it was opened, on which tasks, and how many looks a result has to answer for.

It is opened by an event in the archive before its first evaluation, so that no crash hides a look. Pure functions of
events and rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from archive import Evaluation, Event, History, Tally
from evolve.statistics.finalists import SPLIT as SEARCH
from evolve.statistics.finalists import Choice, Finalist
from evolve.statistics.paired import successes

SPLIT: Final = "sealed"
OPENED = "sealed-opened"
"""Kind of the event of an opening by `clade final`."""
BEGUN = "finalists-begun"
"""Kind of the event of a `clade final` that begins to measure its finalists."""
TOUCHED = "sealed-touched"
"""Kind of the event of any other measurement on sealed tasks."""


@dataclass(frozen=True, slots=True)
class Standing:
    """A finalist as it stood when the split was opened."""

    agent: int
    before: Tally
    """What the policy knew of it."""
    after: Tally
    """On the search tasks that all finalists were measured on."""


@dataclass(frozen=True, slots=True)
class Opening:
    """One opening of the sealed split."""

    at: datetime
    benchmark: str
    agent: int
    """The one that was chosen."""
    reference: int
    """The one it is compared with."""
    tasks: tuple[str, ...]
    finalists: tuple[Standing, ...]


def opening_facts(
    benchmark: str, reference: int, tasks: Sequence[str], finalists: Sequence[Finalist], choice: Choice
) -> dict[str, Any]:
    """What the event of an opening says, JSON-ready; `openings` reads it."""
    standings = [
        {
            "agent": each.agent,
            "before": [each.before.passed, each.before.failed],
            "after": [choice.results[each.agent].passed, choice.results[each.agent].failed],
        }
        for each in finalists
    ]
    return {
        "benchmark": benchmark,
        "agent": choice.agent,
        "reference": reference,
        "tasks": list(tasks),
        "finalists": standings,
    }


def begun_facts(benchmark: str, history: History) -> dict[str, Any]:
    """What the event of a beginning says, JSON-ready; `going_on` reads it."""
    return {"benchmark": benchmark, "moves": _moves(history)}


def going_on(events: Iterable[Event], history: History, benchmark: str) -> datetime | None:
    """When the finalists began to be measured for a choice that is still to be made; None if that has yet to begin.

    What was begun is over once the sealed split is opened, or the run has grown: the finalists may be others then.
    """
    since = None
    for event in events:
        if event.kind in (BEGUN, OPENED) and event.facts["benchmark"] == benchmark:
            begun = event.kind == BEGUN and event.facts["moves"] == _moves(history)
            since = (since or event.at) if begun else None
    return since


def spent_since(history: History, benchmark: str, agents: Iterable[int], since: datetime) -> int:
    """Evaluations of these agents on search tasks, with evidence, that a person asked for since then."""
    few = set(agents)
    return sum(
        row.agent in few and row.benchmark == benchmark and row.split == SEARCH and row.decision is None
        and row.opened >= since and (row.passed or row.failed)
        for row in history.evaluations
    )  # fmt: skip


def openings(events: Iterable[Event], benchmark: str) -> tuple[Opening, ...]:
    """The openings of a benchmark's sealed split, the first one first."""
    return tuple(
        _opening(event.at, event.facts)
        for event in events
        if event.kind == OPENED and event.facts["benchmark"] == benchmark
    )


def missing(opening: Opening, evaluations: Iterable[Evaluation]) -> dict[int, tuple[str, ...]]:
    """The sealed tasks without evidence, by agent; agents with none left are not in it."""
    rows = [row for row in evaluations if row.benchmark == opening.benchmark]
    found = {}
    for agent in (opening.agent, opening.reference):
        done = successes(rows, agent, SPLIT)
        if left := tuple(task for task in opening.tasks if task not in done):
            found[agent] = left
    return found


def looked_at(
    openings: Sequence[Opening], evaluations: Iterable[Evaluation], benchmark: str, reference: int
) -> tuple[int, ...]:
    """The agents whose sealed results anybody may have seen, the reference left out: each is a comparison of its own.

    From rows as well as from openings, so that looks of before events were kept count too.
    """
    rows = [row for row in evaluations if row.benchmark == benchmark and row.split == SPLIT]
    seen = {row.agent for row in rows if row.passed or row.failed} | {each.agent for each in openings}
    return tuple(sorted(seen - {reference}))


def _moves(history: History) -> int:
    """How many moves the policy chose."""
    return len(history.expansions) + sum(row.decision is not None for row in history.evaluations)


def _opening(at: datetime, facts: Mapping[str, Any]) -> Opening:
    return Opening(
        at=at,
        benchmark=facts["benchmark"],
        agent=facts["agent"],
        reference=facts["reference"],
        tasks=tuple(facts["tasks"]),
        finalists=tuple(
            Standing(each["agent"], Tally(*each["before"]), Tally(*each["after"])) for each in facts["finalists"]
        ),
    )
