"""How a run's belief in its best agent went: at each verdict, the agent it would have named then, knowing no more.

One pass over the run's events: a board is told them one by one, and the run's own policy is asked on its view. Pure
functions of frozen rows.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt
from scipy import special

from archive import INTERRUPTED, Evaluation, Expansion, History, chosen
from evolve.board import Board
from evolve.events import Measured
from evolve.settings import Settings
from evolve.state import columns, events_of, in_closing_order, moves_of

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

MOST_ASKED = 3_000
"""Verdicts after which the policy is asked, evenly many where a run has more: a choice among 5,000 agents takes a
millisecond or so, and no figure shows more. In between, the last one named stays the best."""


@dataclass(frozen=True, slots=True, eq=False)
class Course:
    """After each verdict: what it had taken until then, which agent was believed to be the best, and how good it was
    believed to be. Arrays of one length, empty before the first verdict."""

    hours: Floats
    """At work: pauses, and what was lost with a killed process, left out."""
    usd: Floats
    """Of the moves closed by then, void ones included."""
    tokens: Ints
    agent: Ints
    """The one that the run's policy would have taken away."""
    belief: Floats
    """The mean of the posterior from its own verdicts, Beta(1 + passed, 1 + failed)."""
    low: Floats
    """The ends of its 95 % interval."""
    high: Floats

    @property
    def evaluations(self) -> Ints:
        """Verdicts until then."""
        return np.arange(1, len(self.agent) + 1)

    def changes(self) -> Ints:
        """Where another agent than just before is the best; the first place is one."""
        return np.flatnonzero(np.diff(self.agent, prepend=-1))

    def thinned(self, most: int) -> Ints:
        """Places to draw, some `most` of them and as many changes at most."""
        changes = self.changes()
        return np.unique(np.concatenate([places(len(self.agent), most), changes[:: 1 + len(changes) // most]]))


def course(history: History, tasks: Sequence[str], settings: Settings) -> Course:
    """The course of a run, also of one under way. `tasks`: the search split. Only what the policy asked for counts."""
    rows = in_closing_order([row for row in history.evaluations if chosen(row) and (row.passed or row.failed)])
    best = bests(history, tasks, settings, places(len(rows), MOST_ASKED))
    agent, passed, failed = np.array(best, dtype=np.int64).reshape(-1, 3).T
    moves = [row for row in moves_of(history) if row.closed is not None]
    hours, usd, tokens = used(moves, [row.closed for row in rows if row.closed is not None])
    ends = np.array([0.025, 0.975])[:, None]
    low, high = special.betaincinv(1.0 + passed, 1.0 + failed, ends)
    return Course(hours, usd, tokens, agent, (1 + passed) / (2 + passed + failed), low, high)


def places(size: int, most: int) -> Ints:
    """All places up to `most` of them, else so many evenly spaced ones, the first and the last among them."""
    return np.arange(size) if size <= most else np.linspace(0, size - 1, most).astype(np.int64)


def bests(
    history: History, tasks: Sequence[str], settings: Settings, asked: Iterable[int]
) -> list[tuple[int, int, int]]:
    """After each verdict, the best agent with its passed and failed ones; the policy chooses at the `asked` places."""
    policy, wanted = settings.policy, set(asked)
    names = columns(history, tasks)
    board = Board(names, policy, budget=settings.budget.evaluations, expansion_budget=settings.expansion_budget)
    found: list[tuple[int, int, int]] = []
    best = 0
    for event in events_of(history, board.column):
        board.seen(event)
        if isinstance(event, Measured):
            view = board.view()
            if len(found) in wanted:
                best = policy.best(view) or 0
            found.append((best, int(view.passed[best]), int(view.failed[best])))
    return found


def used(moves: Sequence[Evaluation | Expansion], at: Sequence[datetime]) -> tuple[Floats, Floats, Ints]:
    """Hours at work, dollars and tokens until each of these moments, from the closed moves of a run."""
    ordered = in_closing_order(moves)
    ends = np.array([_seconds(row.closed) for row in ordered])
    done = np.searchsorted(ends, [_seconds(moment) for moment in at], side="right")
    usd = np.cumsum([0.0, *(row.bill.usd for row in ordered)])
    tokens = np.cumsum([0, *(row.bill.input_tokens + row.bill.output_tokens for row in ordered)])
    worked = at_work([row for row in ordered if row.reason != INTERRUPTED])
    return worked([_seconds(moment) for moment in at]) / 3600, usd[done], tokens[done]


def at_work(moves: Iterable[Evaluation | Expansion]) -> Callable[[Sequence[float]], Floats]:
    """A clock that goes only while one of these closed moves is under way: seconds until a POSIX time."""
    spans: list[list[float]] = []
    for begin, end in sorted((_seconds(row.opened), _seconds(row.closed)) for row in moves):
        if spans and begin <= spans[-1][1]:
            spans[-1][1] = max(spans[-1][1], end)
        else:
            spans.append([begin, end])
    edges = np.array([edge for span in spans for edge in span])
    stands = np.array(list(itertools.accumulate((end - begin for begin, end in spans), initial=0.0)))
    reached = np.repeat(stands, 2)[1:-1] if spans else stands[:0]  # what the clock shows at each edge
    return lambda moments: np.interp(moments, edges, reached) if spans else np.zeros(len(moments))


def _seconds(moment: datetime | None) -> float:
    assert moment is not None, "a closed move has a moment of closing"
    return moment.timestamp()
