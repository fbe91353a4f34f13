"""The ledger: what the models cost, written down before the money can be spent.

Every call reserves its worst case first and settles what it really cost afterwards, so that callers in parallel can
never exceed a cap together. Both are lines of an append-only file. A process may die at any point: what it had
reserved counts as spent when the file is opened again, because the provider may have charged it.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Self

from archive import Bill
from evolve.llm.base import Caps, ModelError, Usage
from evolve.llm.ledgerfile import (
    Journal,
    Noted,
    Reserved,
    Settled,
    foreign,
    note_line,
    parse,
    reserve_line,
    settle_line,
)
from evolve.llm.tallies import FEWEST_OUTPUT_TOKENS, Hour, Tally, Whose, Worst, fitting, room

__all__ = [
    "FEWEST_OUTPUT_TOKENS",
    "LOST",
    "Account",
    "BudgetSpent",
    "Ledger",
    "Reservation",
    "Tally",
    "Totals",
    "Whose",
    "Worst",
    "fitting",
]

LOST = "lost"
"""Status of a reservation that nobody settled: its process died."""


class BudgetSpent(RuntimeError):  # noqa: N818 - an answer to plan with, not a fault
    """A call that was not made: a cap leaves no room for its worst case. `whose` cap says which.

    The hour's passes: after `seconds` there may be room again.
    """

    def __init__(self, text: str, whose: Whose, seconds: float = 0.0) -> None:
        super().__init__(text)
        self.whose: Whose = whose
        self.seconds = seconds


@dataclass(frozen=True, slots=True)
class Reservation:
    """An open line of the ledger."""

    id: int
    scope: str
    role: str
    model: str
    worst: Worst


@dataclass(frozen=True, slots=True)
class Totals:
    """What a run has spent."""

    settled: Bill
    by_model: Mapping[tuple[str, str], Bill]
    """The same by (role, model)."""
    reserved_usd: float
    """Worst case of the calls under way now."""
    unmeasured_calls: int
    """Calls charged at their worst case because nobody told what they really cost."""
    lost_calls: int
    """Of those, the ones that a process left open when it died."""
    no_room: str | None = None
    """Why the last call that the run's caps refused is beyond them even when all calls under way cost nothing."""
    events: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """By model, how often something was done to a request or an answer (`Account.note`)."""


class Account:
    """One rollout's share of the ledger, with caps of its own. Made by `Ledger.account`."""

    def __init__(self, ledger: Ledger, scope: str, move: str, tallies: tuple[Tally, ...]) -> None:
        """`tallies` are those that its calls count in: its own, its move's if that has caps, and the run's."""
        self._ledger = ledger
        self.scope = scope
        self.move = move
        self.tallies = tallies

    @property
    def tally(self) -> Tally:
        """The rollout's own."""
        return self.tallies[0]

    @property
    def usd_per_call(self) -> float | None:
        """What the worst case of one call may be at most."""
        caps = [t.caps.usd_per_call for t in self.tallies if t.caps.usd_per_call is not None]
        return min(caps) if caps else None

    def reserve(self, role: str, model: str, worst: Worst) -> Reservation:
        """Set the worst case of a call aside, and write that down, safe from a power cut.

        Raises: `BudgetSpent`; `ModelError` (context_length) for a call that may cost more than any one call may.
        """
        reservation, written = self._ledger._reserve(self, role, model, worst)
        if written is not None:
            with self._unsent(reservation):
                written.result()
        return reservation

    async def set_aside(self, role: str, model: str, worst: Worst) -> Reservation:
        """As `reserve`, without making the event loop wait for the disk: all who wait get there by one write-through.

        Who is cancelled meanwhile has nothing set aside. Raises: as `reserve`.
        """
        reservation, written = self._ledger._reserve(self, role, model, worst)
        if written is not None:
            with self._unsent(reservation):
                await asyncio.shield(asyncio.wrap_future(written))
        return reservation

    def book(self, role: str, model: str, usage: Usage, usd: float, *, status: str) -> Bill:
        """Count a call that is only replayed: at what it cost when it was made, which no cap refuses."""
        worst = Worst(usage.input_tokens, usage.output_tokens, usd)
        reservation, _ = self._ledger._reserve(self, role, model, worst, checked=False)
        return self.settle(reservation, usage, usd, status=status)

    def settle(self, reservation: Reservation, usage: Usage | None, usd: float, *, status: str) -> Bill:
        """Close a reservation at its real cost, or at its worst case if `usage` is None; what was charged.

        Raises: `ModelError` if it is closed already: money is counted once.
        """
        return self._ledger._settle(self.tallies, reservation, usage, usd, status)

    def note(self, model: str, events: Sequence[str]) -> None:
        """Count what was done to a request or an answer of a model (see `evolve.llm.dialect`)."""
        if events:
            self._ledger._note(Noted(model, Counter(events)))

    def left(self) -> Caps:
        """What this rollout may still use, its move's and the run's caps considered."""
        return self._ledger._left(self)

    @contextmanager
    def _unsent(self, reservation: Reservation) -> Iterator[None]:
        """Until the reservation is on the disk no call is made: what ends the waiting takes it back."""
        try:
            yield
        except BaseException:
            self.settle(reservation, Usage(), 0.0, status="cancelled")
            raise


class Ledger:
    """The money of one run. Thread-safe; one process at a time (the file is locked)."""

    def __init__(
        self,
        path: Path | None,
        caps: Caps | None = None,
        *,
        move: Caps | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Open or continue the ledger at `path`; None keeps it in memory.

        `caps` are the run's, `move` those of each of its moves; `clock` tells seconds since the epoch.

        Raises: `ModelError` if another process has the file open or a line is not the ledger's.
        """
        self.path = path
        self._clock = clock
        self._lock = threading.Lock()
        self._tally = Tally(caps or Caps(), "run")
        self._hour = Hour(self._tally.caps.usd_per_hour)
        self._move_caps = move if move != Caps() else None
        self._moves: dict[str, Tally] = {}
        self._by_model: dict[tuple[str, str], Bill] = {}
        self._events: dict[str, Counter[str]] = {}
        self._next = 1
        self._unmeasured = 0
        self._lost = 0
        self._refused: Worst | None = None
        self._closed = False
        self._journal: Journal | None = None
        if path is not None:
            self._journal = Journal(path)
            try:
                self._recover(path, self._journal)
            except BaseException:
                self._journal.close()
                raise

    def account(self, scope: str, caps: Caps | None = None, *, move: str = "") -> Account:
        """A fresh account for one rollout; its caps hold in addition to the run's, and to the move's it is part of.

        Without `move` the rollout is the whole move. A move's tally lives as long as the ledger, because its rollouts
        come one after another (diagnosis, rewrite, life check), and is found again in the file.
        """
        move = move or scope
        with self._lock:
            return Account(self, scope, move, (Tally(caps or Caps(), "rollout"), *self._shared(move)))

    def spent(self) -> Totals:
        with self._lock:
            return Totals(
                settled=self._tally.bill,
                by_model=dict(self._by_model),
                reserved_usd=self._tally.reserved_usd,
                unmeasured_calls=self._unmeasured,
                lost_calls=self._lost,
                no_room=None if self._refused is None else self._tally.refusal_for_good(self._refused),
                events={model: dict(events) for model, events in self._events.items()},
            )

    def close(self) -> None:
        """Close the file. Safe to call twice."""
        with self._lock:
            self._closed = True
            if self._journal is not None:
                self._journal.close()
                self._journal = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _shared(self, move: str) -> tuple[Tally, ...]:
        """The tallies that all calls of a move count in. The lock is held."""
        if self._move_caps is None:
            return (self._tally,)
        if move not in self._moves:
            self._moves[move] = Tally(self._move_caps, "move")
        return (self._moves[move], self._tally)

    def _reserve(
        self, account: Account, role: str, model: str, worst: Worst, *, checked: bool = True
    ) -> tuple[Reservation, Future[None] | None]:
        """The reservation, and what to wait for before the call is sent; the caps are asked if it is `checked`."""
        with self._lock:
            if checked:
                self._check(account, worst)
            reservation = Reservation(self._next, account.scope, role, model, worst)
            at = self._clock()
            if self._journal is not None:
                line = Reserved(reservation.id, account.scope, account.move, role, model, worst, at)
                self._journal.append(reserve_line(line))
            self._next += 1
            for tally in account.tallies:
                tally.open[reservation.id] = worst
            # Only a reservation must survive a power cut: without its settlement it counts in full, the safe side.
            return reservation, self._journal.synced() if self._journal is not None and worst.usd > 0 else None

    def _check(self, account: Account, worst: Worst) -> None:
        """Raises: `BudgetSpent`, `ModelError`. The lock is held."""
        if self._closed:
            raise ModelError("the ledger is closed: no call can be paid any more", kind="refused")
        most = account.usd_per_call
        if most is not None and worst.usd > most:
            text = f"the call may cost ${worst.usd:.4f}, more than the ${most:.4f} that one call may: shorten it"
            raise ModelError(text, kind="context_length")
        for tally in account.tallies:
            if (refusal := tally.refusal(worst)) is not None:
                if tally is self._tally:
                    self._refused = worst
                raise BudgetSpent(f"the budget is spent: {refusal}", tally.whose)
        seconds = self._hour.wait(worst, self._tally.reserved_usd, self._clock())
        if seconds is not None:
            text = (
                f"the hour's ${self._hour.cap or 0.0:.4f} are spent or set aside; there may be room in {seconds:.0f} s"
            )
            raise BudgetSpent(text, "hour", seconds)

    def _settle(
        self, tallies: tuple[Tally, ...], reservation: Reservation, usage: Usage | None, usd: float, status: str
    ) -> Bill:
        worst = reservation.worst
        measured = usage is not None
        tokens = usage or Usage(worst.input_tokens, output_tokens=worst.output_tokens)
        usd = usd if measured else worst.usd
        cost = Bill(1, tokens.input_tokens, tokens.cached_tokens, tokens.output_tokens, usd)
        with self._lock:
            if reservation.id not in self._tally.open:
                raise ModelError(f"call {reservation.id} of the ledger is settled already", kind="refused")
            line = Settled(
                reservation.id,
                cost,
                status,
                measured,
                self._clock(),
                tokens.cache_write_tokens,
                tokens.reasoning_tokens,
            )
            if self._journal is not None:
                self._journal.append(settle_line(line))
            self._book(tallies, reservation.role, reservation.model, line)
        return cost

    def _book(self, tallies: tuple[Tally, ...], role: str, model: str, line: Settled) -> None:
        for tally in tallies:
            tally.settle(line.id, line.cost)
        self._hour.settle(line.at or 0.0, line.cost.usd)
        self._by_model[role, model] = self._by_model.get((role, model), Bill()) + line.cost
        self._unmeasured += not line.measured
        self._lost += line.status == LOST

    def _note(self, line: Noted) -> None:
        with self._lock:
            if self._journal is not None:
                self._journal.append(note_line(line))
            self._count(line)

    def _count(self, line: Noted) -> None:
        self._events.setdefault(line.model, Counter()).update(line.events)

    def _left(self, account: Account) -> Caps:
        with self._lock:
            tokens = room((t.caps.tokens, t.tokens) for t in account.tallies)
            calls = room((t.caps.calls, t.calls) for t in account.tallies)
            return Caps(
                usd=room((t.caps.usd, t.usd) for t in account.tallies),
                tokens=None if tokens is None else int(tokens),
                calls=None if calls is None else int(calls),
                usd_per_call=account.usd_per_call,
            )

    def _recover(self, path: Path, journal: Journal) -> None:
        """Read what an earlier process wrote; close what it left open at its worst case, in the file as well."""
        left_open: dict[int, Reserved] = {}
        for number, line in enumerate(parse(journal.content(), path), start=1):
            match line:
                case Noted():
                    self._count(line)
                case Reserved() if line.id not in left_open:
                    left_open[line.id] = line
                    self._next = max(self._next, line.id + 1)
                case Settled() if line.id in left_open:
                    reserved = left_open.pop(line.id)
                    line = line if line.at is not None else replace(line, at=reserved.at)
                    self._book(self._shared(reserved.move), reserved.role, reserved.model, line)
                case _:
                    raise foreign(path, number, KeyError(line.id))
        for reserved in left_open.values():
            tallies = self._shared(reserved.move)
            for tally in tallies:
                tally.open[reserved.id] = reserved.worst
            reservation = Reservation(reserved.id, reserved.scope, reserved.role, reserved.model, reserved.worst)
            self._settle(tallies, reservation, None, 0.0, LOST)
