"""From the archive's frozen rows to what the loop decides on: events, the policy's view, the next number, the stops.

Pure functions. Rows whose work was cut off with its process (`INTERRUPTED`) or by an outage of a model service
(`OUTAGE`) leave no trace in any of them, which is why a run decides as an undisturbed one would have.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from operator import attrgetter
from typing import TypeVar

import numpy as np

from archive import INTERRUPTED, ArchiveError, Evaluation, Expansion, History, Outcome, clades
from evolve.events import Event, Measured, Opened, Tried, Voided
from evolve.moves import Evaluate, Expand, Move
from evolve.policies.base import Bools, Ints, View
from evolve.quarantine import quarantined
from evolve.settings import Settings

Row = TypeVar("Row", bound=Evaluation | Expansion)

OUTAGE = "outage: "
"""Begins the reason of a VOID row whose move failed at a model service while that was out."""
MAX_OUTAGES_OF_A_DECISION = 5
"""Moves of one decision that may end with an outage before it is suspected of causing them."""
MAX_VOIDS_OF_A_PAIR = 3
"""After so many house's faults with one agent on one task the pair is left alone for the rest of the run."""
NEVER = datetime.max.replace(tzinfo=UTC)
"""When a move under way is taken to close."""


def search(history: History) -> tuple[Evaluation, ...]:
    """The evaluations that the policy asked for, without those that were cut off, in the order of its decisions.

    Not in that of their numbers: a move that is made again after a kill has a later one, and what is drawn from the
    evaluations must not depend on that.
    """
    asked = [row for row in history.evaluations if row.decision is not None]
    return uncut(sorted(asked, key=attrgetter("decision")))


def attempts(history: History) -> tuple[Expansion, ...]:
    """The expansions without those that were cut off."""
    return uncut(history.expansions)


def moves_of(history: History) -> list[Evaluation | Expansion]:
    """All that the policy chose, in the order of its choosing, cut off or not."""
    rows: list[Evaluation | Expansion] = [*history.expansions]
    rows += [row for row in history.evaluations if row.decision is not None]
    return sorted(rows, key=lambda row: (row.opened, row.id))


def uncut(rows: Sequence[Row]) -> tuple[Row, ...]:
    """The rows without those that say nothing at all, not even that something was wrong: their moves are made again.

    A move may be the outage's cause (a request that kills the server), so after `MAX_OUTAGES_OF_A_DECISION` its rows
    are those of any other fault of the house.
    """
    outages: Counter[int | None] = Counter()
    kept = []
    for row in rows:
        if row.outcome is Outcome.VOID:
            if row.reason == INTERRUPTED:
                continue
            if row.reason.startswith(OUTAGE):
                outages[row.decision] += 1
                if outages[row.decision] <= MAX_OUTAGES_OF_A_DECISION:
                    continue
        kept.append(row)
    return tuple(kept)


def columns(history: History, tasks: Sequence[str]) -> tuple[str, ...]:
    """The columns of a run's views: the search split, then tasks that only rows know.

    There are such tasks when the split has changed since (a task that cannot be proven on this machine is not in it):
    evidence stays evidence.
    """
    return columns_for(search(history), tasks)


def columns_for(evaluations: Iterable[Evaluation], tasks: Sequence[str]) -> tuple[str, ...]:
    """As `columns`, from what `search` found."""
    return (*tasks, *sorted({row.task for row in evaluations} - set(tasks)))


def events_of(history: History, tasks: Mapping[str, int]) -> Iterator[Event]:
    """What happened, in its order; `tasks` is each column by its task. Raises: `ArchiveError` for an unborn agent.

    The order is the archive's clock, which is strictly increasing. In archives written before it was, what must come
    first is taken to have come first.
    """
    rows: list[Evaluation | Expansion] = [*search(history), *attempts(history)]
    moments = [(row.opened, 0, key) for key, row in enumerate(rows)]
    moments += [(max(row.opened, row.closed), 1, key) for key, row in enumerate(rows) if row.outcome and row.closed]
    born, waiting = 1, []
    for _, ends, key in sorted(moments):
        waiting.append(closing(rows[key], tasks) if ends else opening(rows[key], tasks))
        while (event := next((event for event in waiting if possible(event, born)), None)) is not None:
            waiting.remove(event)
            born += isinstance(event, Tried) and event.child is not None
            yield event
    if waiting:
        raise ArchiveError(f"there are moves of an agent that was never born: {waiting[0]}")


def possible(event: Event, born: int) -> bool:
    """Whether it can happen while so many agents are born."""
    match event:
        case Measured(agent=agent) | Opened(Expand(agent) | Evaluate(agent)) | Voided(Expand(agent) | Evaluate(agent)):
            return agent < born
        case Tried(parent, child):
            return parent < born and child in (None, born)


def opening(row: Evaluation | Expansion, tasks: Mapping[str, int]) -> Opened:
    """The beginning of a chosen move, as an event."""
    number = row.decision
    assert number is not None, "what a person asks for is no event"
    return Opened(move_of(row, tasks), number)


def closing(row: Evaluation | Expansion, tasks: Mapping[str, int]) -> Measured | Tried | Voided:
    """The end of a chosen move, as an event."""
    if row.outcome is Outcome.VOID:
        return Voided(move_of(row, tasks))
    if isinstance(row, Evaluation):
        return Measured(row.agent, tasks[row.task], row.passed, row.seconds, row.bill.usd)
    child = row.child if row.outcome is Outcome.BORN else None
    return Tried(row.parent, child, row.seconds, row.bill.usd)


def move_of(row: Evaluation | Expansion, tasks: Mapping[str, int]) -> Move:
    return Evaluate(row.agent, tasks[row.task]) if isinstance(row, Evaluation) else Expand(row.parent)


def view_of(history: History, tasks: Sequence[str], settings: Settings) -> View:
    """The policy's view, recomputed plainly from all rows. `tasks`: the search split in the benchmark's order.

    This is the definition that a `Board` must equal after each event. Raises: `ArchiveError` if the tree has a hole.
    """
    evaluations, expansions = search(history), attempts(history)
    names = columns_for(evaluations, tasks)
    place = {task: column for column, task in enumerate(names)}
    evidence = in_closing_order([row for row in evaluations if row.passed or row.failed])
    flying = [row for row in evaluations if row.outcome is None]
    tried = in_closing_order([row for row in expansions if row.outcome not in (None, Outcome.VOID)])
    trying = [row for row in expansions if row.outcome is None]

    fold = settings.policy.fold(len(names), settings.budget.evaluations)
    if fold is not None:
        for event in events_of(history, place):
            fold.seen(event)

    family = clades(history.agents, evidence)
    verdict = np.full((len(family), len(names)), -1, dtype=np.int8)
    for row in evidence:
        verdict[row.agent, place[row.task]] = row.passed
    opened = open_pairs(evaluations, len(family), place)
    opened[:, shut(left_alone((*evaluations, *expansions)), names, tasks)] = False
    return View(
        tasks=names,
        parent=ints([-1 if agent.parent is None else agent.parent for agent in history.agents]),
        children=ints([len(clade.children) for clade in family.values()]),
        passed=ints([clade.own.passed for clade in family.values()]),
        failed=ints([clade.own.failed for clade in family.values()]),
        clade_passed=ints([clade.whole.passed for clade in family.values()]),
        clade_failed=ints([clade.whole.failed for clade in family.values()]),
        in_flight=counted((row.agent for row in flying), len(family)),
        expanding=counted((row.parent for row in trying), len(family)),
        attempts=counted((row.parent for row in tried), len(family)),
        left=opened.sum(axis=1, dtype=np.int64),
        open=opened,
        verdict=verdict,
        task_passed=counted((place[row.task] for row in evidence if row.passed), len(names)),
        task_failed=counted((place[row.task] for row in evidence if row.failed), len(names)),
        fold=fold,
        evaluations=len(evidence),
        evaluations_in_flight=len(flying),
        expansions=len(tried),
        expansions_in_flight=len(trying),
        failed_in_a_row=leading(row.outcome is not Outcome.BORN for row in reversed(tried)),
        budget=settings.budget.evaluations,
        expansion_budget=settings.expansion_budget,
        seconds=np.array([in_turn(row.seconds for row in evidence), in_turn(row.seconds for row in tried)]),
        usd=np.array([in_turn(row.bill.usd for row in evidence), in_turn(row.bill.usd for row in tried)]),
    )


def open_pairs(evaluations: Sequence[Evaluation], agents: int, place: Mapping[str, int]) -> Bools:
    """Which agents may be measured on which tasks, if these are not left alone."""
    voids = Counter((row.agent, row.task) for row in evaluations if row.outcome is Outcome.VOID)
    taken = {pair for pair, count in voids.items() if count >= MAX_VOIDS_OF_A_PAIR}
    taken |= {(row.agent, row.task) for row in evaluations if row.outcome is not Outcome.VOID}
    opened = np.ones((agents, len(place)), dtype=np.bool_)
    for agent, task in taken:
        opened[agent, place[task]] = False
    return opened


def shut_columns(history: History, names: Sequence[str], tasks: Sequence[str]) -> list[int]:
    """The columns on which nobody is measured (any more): quarantined, or not of the split."""
    return shut(left_out(history), names, tasks)


def shut(alone: Collection[str], names: Sequence[str], tasks: Sequence[str]) -> list[int]:
    """As `shut_columns`, from the tasks that are left alone."""
    usable = set(tasks).difference(alone)
    return [column for column, task in enumerate(names) if task not in usable]


def ints(numbers: Iterable[int]) -> Ints:
    return np.array(list(numbers), dtype=np.int64)


def counted(indices: Iterable[int], size: int) -> Ints:
    """How often each index is there."""
    counts = Counter(indices)
    return ints(counts.get(index, 0) for index in range(size))


def in_turn(numbers: Iterable[float]) -> float:
    """The sum, added up one after the other: as a board does it, to the last bit."""
    total = 0.0
    for number in numbers:
        total += number
    return total


def left_out(history: History) -> dict[str, str]:
    """The tasks that this run leaves alone from now on, and why."""
    return left_alone((*search(history), *attempts(history)))


def left_alone(rows: Iterable[Evaluation | Expansion]) -> dict[str, str]:
    """As `left_out`, from the moves."""
    return quarantined(in_closing_order([row for row in rows if row.outcome is not None]))


def next_decision(history: History) -> int:
    """The smallest number that no decision holds; that of a decision whose move was cut off is free again."""
    rows: Iterable[Evaluation | Expansion] = (*search(history), *attempts(history))
    held = {row.decision for row in rows}
    return next(number for number in range(len(held) + 1) if number not in held)


def next_attempt(evaluations: Iterable[Evaluation], agent: int, task: str) -> int:
    """How often the agent was measured on the task with evidence, whoever asked. All rows are of one benchmark.

    `evaluations`: the agent's at least.
    """
    return sum(row.agent == agent and row.task == task and (row.passed or row.failed) for row in evaluations)


def closed_since(history: History, start: datetime) -> list[Evaluation | Expansion]:
    """The moves begun since `start` and closed by now, in the order of their closing."""
    rows: list[Evaluation | Expansion] = [*search(history), *attempts(history)]
    return in_closing_order([row for row in rows if row.outcome is not None and row.opened >= start])


def in_closing_order(rows: Sequence[Row]) -> list[Row]:
    """What is under way comes last."""
    return sorted(rows, key=lambda row: (row.closed or NEVER, row.id))


def leading(flags: Iterable[bool]) -> int:
    """How many are true before the first that is not."""
    count = 0
    for flag in flags:
        if not flag:
            return count
        count += 1
    return count


@dataclass(frozen=True, slots=True)
class Stop:
    """Why no further move may start."""

    reason: str
    """One sentence."""
    finished: bool
    """The budget is spent; False when going on makes no sense until a cause is mended."""


@dataclass(frozen=True, slots=True)
class Spent:
    """What a run used up, earlier sessions included."""

    usd: float = 0.0
    tokens: int = 0
    hours: float = 0.0
    no_room: str | None = None
    """Why the models' budget, though not spent to the last cent, is too little for a call (`Totals.no_room`)."""


def stop_reason(history: History, view: View, settings: Settings, spent: Spent, *, start: datetime) -> Stop | None:
    """Why no further move may start; None to go on.

    House's faults count from `start`, the beginning of this session: who runs again has mended the cause.
    """
    if (stop := spent_reason(view, settings, spent)) is not None:
        return stop
    budget = settings.budget
    if view.failed_in_a_row >= budget.failures_in_a_row:
        last = in_closing_order([row for row in attempts(history) if row.outcome not in (None, Outcome.VOID)])[-1]
        return Stop(
            f"{view.failed_in_a_row} expansions in a row gave no child, the last one {last.outcome}: {last.reason}; "
            "look at its log folder, or raise budget.failures_in_a_row",
            finished=False,
        )
    moves = closed_since(history, start)
    voids = leading(row.outcome is Outcome.VOID for row in reversed(moves))
    if voids >= budget.voids_in_a_row:
        return Stop(
            f"{voids} moves in a row could not be done, the last one because: {moves[-1].reason}. "
            "Mend that and run again; nothing is lost",
            finished=False,
        )
    return None


def spent_reason(view: View, settings: Settings, spent: Spent) -> Stop | None:
    """The part of `stop_reason` that needs no row: whether the budget is spent."""
    budget = settings.budget
    limits = [
        (view.evaluations >= budget.evaluations, f"{budget.evaluations} evaluations"),
        (budget.usd is not None and spent.usd >= budget.usd, f"${budget.usd or 0:g}"),
        (budget.tokens is not None and spent.tokens >= budget.tokens, f"{budget.tokens} tokens"),
        (budget.hours is not None and spent.hours >= budget.hours, f"{budget.hours or 0:g} hours"),
    ]
    for over, amount in limits:
        if over:
            return Stop(f"the budget of {amount} is spent", finished=True)
    if spent.no_room is not None:
        return Stop(f"the models' budget is spent: {spent.no_room}", finished=True)
    return None
