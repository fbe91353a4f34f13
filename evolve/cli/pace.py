"""How fast a run measures and spends, and how long that can go on: time and money left by the tightest of its caps."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from archive import Bill, Evaluation, Expansion, History, Outcome
from evolve.cli.summary import duration
from evolve.settings import Budget, Settings
from evolve.state import search

OWN_PACE_AFTER = 5
"""Evaluations of a session after which its own pace is told; before, that of the whole run, if it was resumed."""

CAPS = {
    "evaluations": "",
    "usd": "the budget's dollars",
    "tokens": "the budget's tokens",
    "hours": "the budget's hours",
    "usd_per_hour": "the hour's dollars",
}
"""How a cap is called that ends the run before its evaluations are done (or, the hour's, that slows it down)."""


@dataclass(frozen=True, slots=True)
class Work:
    """What was done in some stretch of working time."""

    evaluations: int = 0
    """Those that are evidence."""
    seconds: float = 0.0
    usd: float = 0.0
    tokens: int = 0


@dataclass(frozen=True, slots=True)
class Left:
    """How long a run can go on, and what it spends until then."""

    cap: str
    """Which cap is the tightest, by its name in the settings."""
    seconds: float
    usd: float


def left(work: Work, used: Work, remaining: int, budget: Budget) -> Left | None:
    """By the pace of `work`; None while that is no pace.

    `used` is all that the run has used of its budget, and `remaining` the evaluations it still wants. The hour's cap
    ends no run: it stretches what remains, where that would otherwise be done faster than the hours may pay for it.
    """
    if not work.evaluations or work.seconds <= 0:
        return None
    seconds = {"evaluations": remaining * work.seconds / work.evaluations}
    if budget.usd_per_hour is not None:
        hours = remaining * work.usd / work.evaluations / budget.usd_per_hour
        if hours * 3600 > seconds["evaluations"]:
            seconds = {"usd_per_hour": hours * 3600}
    if budget.usd is not None and work.usd > 0:
        seconds["usd"] = (budget.usd - used.usd) * work.seconds / work.usd
    if budget.tokens is not None and work.tokens > 0:
        seconds["tokens"] = (budget.tokens - used.tokens) * work.seconds / work.tokens
    if budget.hours is not None:
        seconds["hours"] = budget.hours * 3600 - used.seconds
    cap = min(seconds, key=seconds.__getitem__)
    rest = max(0.0, seconds[cap])
    rate = work.usd / work.seconds
    if "usd_per_hour" in seconds and budget.usd_per_hour is not None:
        rate = min(rate, budget.usd_per_hour / 3600)
    return Left(cap, rest, rest * rate)


def work_before(history: History, about: Mapping[str, str], bill: Bill) -> Work:
    """What a run's earlier sessions did, from its archive, and what that cost by its ledger."""
    evidence = sum(row.passed or row.failed for row in search(history))
    return Work(evidence, 3600 * float(about.get("hours", 0.0)), bill.usd, bill.input_tokens + bill.output_tokens)


class Pace:
    """Of one session; told of its moves by the live view or the log."""

    def __init__(self, settings: Settings, spent: Callable[[], Bill], before: Work | None = None) -> None:
        """`spent` tells what the models cost up to this moment; `before` is what earlier sessions did."""
        self.settings = settings
        self.spent = spent
        self.before = before or Work()
        self.throttled: Callable[[], str | None] = lambda: None
        """Why not all workers may work, for a person (`evolve.llm.Throttle.line`)."""
        self.done = 0
        self._began: float | None = None
        self._bill = Bill()

    def begin(self) -> None:
        """The first move of the session: preparing a benchmark is no measure of pace."""
        if self._began is None:
            self._began = time.monotonic()
            self._bill = self.spent()

    def close(self, row: Evaluation | Expansion) -> None:
        self.done += isinstance(row, Evaluation) and row.outcome is not Outcome.VOID

    @property
    def money(self) -> str:
        usd, cap = self.spent().usd, self.settings.budget.usd
        return f"${usd:.2f}" if cap is None else f"${usd:.2f} of ${cap:.2f}"

    def rate(self, remaining: int) -> str:
        """Evaluations a minute or an hour, and time and money left by the tightest cap."""
        session, used = self._session(), self._used()
        work = session if session.evaluations >= OWN_PACE_AFTER or not self.before.evaluations else used
        found = left(work, used, remaining, self.settings.budget)
        if found is None:
            return "no pace yet"
        per_second = work.evaluations / work.seconds
        pace = f"{per_second * 60:.0f} a minute" if per_second >= 1 / 30 else f"{per_second * 3600:.0f} an hour"
        money = f" and ${found.usd:.2f}" if found.usd > 0 else ""
        by = f", by {CAPS[found.cap]}" if CAPS[found.cap] else ""
        throttled = self.throttled()
        held = f"; {throttled}" if throttled else ""
        return f"{pace}, about {duration(found.seconds)}{money} left{by}{held}"

    def _session(self) -> Work:
        if self._began is None:
            return Work()
        bill = self.spent()
        tokens = bill.input_tokens + bill.output_tokens - self._bill.input_tokens - self._bill.output_tokens
        return Work(self.done, time.monotonic() - self._began, bill.usd - self._bill.usd, tokens)

    def _used(self) -> Work:
        """Of the whole run; the ledger's sums, which know of all sessions."""
        session, bill = self._session(), self.spent()
        tokens = bill.input_tokens + bill.output_tokens
        evaluations, seconds = self.before.evaluations + session.evaluations, self.before.seconds + session.seconds
        return Work(evaluations, seconds, bill.usd, tokens)
