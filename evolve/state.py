"""From the archive's frozen rows to what the loop decides on: the policy's view, the next decision's number, the stops.

Pure functions. Rows whose work was cut off with its process (`INTERRUPTED`) or by an outage of a model service
(`OUTAGE`) leave no trace in any of them, which is why a run decides as an undisturbed one would have.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from archive import INTERRUPTED, Evaluation, Expansion, History, Outcome, clades
from evolve.policies import View
from evolve.quarantine import quarantined
from evolve.settings import Settings

Row = TypeVar("Row", bound=Evaluation | Expansion)

OUTAGE = "outage: "
"""Begins the reason of a VOID row whose move failed at a model service while that was out."""
MAX_OUTAGES_OF_A_DECISION = 5
"""Moves of one decision that may end with an outage before it is suspected of causing them."""
MAX_VOIDS_OF_A_PAIR = 3
"""After so many house's faults with one agent on one task the pair is left alone for the rest of the run."""


def search(history: History) -> tuple[Evaluation, ...]:
    """The evaluations that the policy asked for, without those that were cut off, in the order of its decisions.

    Not in that of their numbers: a move that is made again after a kill has a later one, and what is drawn from the
    evaluations must not depend on that.
    """
    asked = [(row.decision, row) for row in history.evaluations if row.decision is not None]
    return uncut([row for _, row in sorted(asked, key=lambda pair: pair[0])])


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
        if row.outcome is Outcome.VOID and row.reason.startswith(OUTAGE):
            outages[row.decision] += 1
            if outages[row.decision] <= MAX_OUTAGES_OF_A_DECISION:
                continue
        elif row.outcome is Outcome.VOID and row.reason == INTERRUPTED:
            continue
        kept.append(row)
    return tuple(kept)


def view_of(history: History, tasks: Sequence[str], settings: Settings) -> View:
    """The policy's view. `tasks` are the ids of the search split in the benchmark's order."""
    evaluations, expansions = search(history), attempts(history)
    evidence = [row for row in evaluations if row.passed or row.failed]
    in_flight = [row for row in evaluations if row.outcome is None]
    closed = [row for row in expansions if row.outcome not in (None, Outcome.VOID)]
    taken = {(row.agent, row.task) for row in (*evidence, *in_flight)}
    voids = Counter((row.agent, row.task) for row in evaluations if row.outcome is Outcome.VOID)
    taken |= {pair for pair, count in voids.items() if count >= MAX_VOIDS_OF_A_PAIR}
    left_alone = left_out(history)
    open_tasks = {
        agent.id: left
        for agent in history.agents
        if (left := tuple(task for task in tasks if task not in left_alone and (agent.id, task) not in taken))
    }
    return View(
        agents=history.agents,
        clades=clades(history.agents, evidence),
        open_tasks=open_tasks,
        measured=Counter(row.agent for row in (*evidence, *in_flight)),
        evaluations=len(evidence),
        evaluations_in_flight=len(in_flight),
        expansions=len(closed),
        expansions_in_flight=sum(row.outcome is None for row in expansions),
        failed_in_a_row=leading(row.outcome is not Outcome.BORN for row in reversed(in_closing_order(closed))),
        budget=settings.budget.evaluations,
        expansion_budget=settings.expansion_budget,
    )


def left_out(history: History) -> dict[str, str]:
    """The tasks that this run leaves alone from now on, and why."""
    rows: list[Evaluation | Expansion] = [*search(history), *attempts(history)]
    return quarantined(in_closing_order([row for row in rows if row.outcome is not None]))


def next_decision(history: History) -> int:
    """The smallest number that no decision holds; that of a decision whose move was cut off is free again."""
    rows: Iterable[Evaluation | Expansion] = (*search(history), *attempts(history))
    held = {row.decision for row in rows}
    return next(number for number in range(len(held) + 1) if number not in held)


def next_attempt(evaluations: Iterable[Evaluation], agent: int, task: str) -> int:
    """How often the agent was measured on the task with evidence, whoever asked. All rows are of one benchmark."""
    return sum(row.agent == agent and row.task == task and (row.passed or row.failed) for row in evaluations)


def closed_since(history: History, start: datetime) -> list[Evaluation | Expansion]:
    """The moves begun since `start` and closed by now, in the order of their closing."""
    rows: list[Evaluation | Expansion] = [*search(history), *attempts(history)]
    return in_closing_order([row for row in rows if row.outcome is not None and row.opened >= start])


def in_closing_order(rows: Sequence[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: (str(row.closed), row.id))


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


def stop_reason(
    history: History,
    view: View,
    settings: Settings,
    *,
    start: datetime,
    usd: float,
    tokens: int,
    hours: float,
    no_room: str | None = None,
) -> Stop | None:
    """Why no further move may start; None to go on.

    House's faults count from `start`, the beginning of this session: who runs again has mended the cause. `no_room`
    says why the models' budget, though not spent to the last cent, is too little for a call (`Totals.no_room`).
    """
    budget = settings.budget
    spent = [
        (view.evaluations >= budget.evaluations, f"{budget.evaluations} evaluations"),
        (budget.usd is not None and usd >= budget.usd, f"${budget.usd or 0:g}"),
        (budget.tokens is not None and tokens >= budget.tokens, f"{budget.tokens} tokens"),
        (budget.hours is not None and hours >= budget.hours, f"{budget.hours or 0:g} hours"),
    ]
    for over, amount in spent:
        if over:
            return Stop(f"the budget of {amount} is spent", finished=True)
    if no_room is not None:
        return Stop(f"the models' budget is spent: {no_room}", finished=True)
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
