"""The ledger: what the models cost, written down before the money can be spent.

Every call reserves its worst case first and settles what it really cost afterwards, so that callers in parallel can
never exceed a cap together. Both are lines of an append-only file. A process may die at any point: what it had
reserved counts as spent when the file is opened again, because the provider may have charged it.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import math
import os
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Literal, Self

from archive import Bill
from evolve.llm.base import Caps, Json, ModelError, Price, Usage

LOST = "lost"
"""Status of a reservation that nobody settled: its process died."""

Whose = Literal["rollout", "move", "run", "hour"]


class BudgetSpent(RuntimeError):  # noqa: N818 - an answer to plan with, not a fault
    """A call that was not made: a cap leaves no room for its worst case. `whose` cap says which.

    The hour's passes: after `seconds` there may be room again.
    """

    def __init__(self, text: str, whose: Whose, seconds: float = 0.0) -> None:
        super().__init__(text)
        self.whose: Whose = whose
        self.seconds = seconds


@dataclass(frozen=True, slots=True)
class Worst:
    """What one call may cost at most."""

    input_tokens: int
    output_tokens: int
    usd: float

    @classmethod
    def of(cls, price: Price, input_tokens: int, output_tokens: int) -> Worst:
        """At `price`, with every token of the prompt at the dearest rate it could be charged."""
        dearest = max(price.input, price.cached or 0.0, price.cache_write or 0.0)
        return cls(input_tokens, output_tokens, (input_tokens * dearest + output_tokens * price.output) / 1e6)


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


class Tally:
    """Settled and reserved amounts under one set of caps. Not thread-safe: the ledger's lock guards it."""

    def __init__(self, caps: Caps, whose: Whose) -> None:
        self.caps = caps
        self.whose: Whose = whose
        self.bill = Bill()
        self.open: dict[int, Worst] = {}

    @property
    def usd(self) -> float:
        """Dollars spent or reserved; summed anew each time, so that no rounding error builds up."""
        return self.bill.usd + math.fsum(worst.usd for worst in self.open.values())

    @property
    def tokens(self) -> int:
        under_way = sum(worst.input_tokens + worst.output_tokens for worst in self.open.values())
        return self.bill.input_tokens + self.bill.output_tokens + under_way

    @property
    def calls(self) -> int:
        return self.bill.calls + len(self.open)

    def refusal(self, worst: Worst) -> str | None:
        """Why there is no room for a call, or None."""
        caps = self.caps
        if caps.calls is not None and self.calls + 1 > caps.calls:
            return f"all {caps.calls} calls of the {self.whose} are used"
        tokens = worst.input_tokens + worst.output_tokens
        if caps.tokens is not None and self.tokens + tokens > caps.tokens:
            left = max(0, caps.tokens - self.tokens)
            return f"{left} of the {self.whose}'s {caps.tokens} tokens are left and the call may need {tokens}"
        if caps.usd is not None and self.usd + worst.usd > caps.usd:
            left_usd = max(0.0, caps.usd - self.usd)
            return f"${left_usd:.4f} of the {self.whose}'s ${caps.usd:.4f} are left, the call may cost ${worst.usd:.4f}"
        return None

    def settle(self, id: int, cost: Bill) -> None:
        self.open.pop(id, None)
        self.bill += cost


class Account:
    """One rollout's share of the ledger, with caps of its own."""

    def __init__(self, ledger: Ledger, scope: str, caps: Caps) -> None:
        self._ledger = ledger
        self.scope = scope
        self.tally = Tally(caps, "rollout")

    def reserve(self, role: str, model: str, worst: Worst) -> Reservation:
        """Set the worst case of a call aside, and write that down. Raises: `BudgetSpent`."""
        return self._ledger._reserve(self.tally, self.scope, role, model, worst)

    async def set_aside(self, role: str, model: str, worst: Worst) -> Reservation:
        """As `reserve`, without making the event loop wait for the disk. Raises: `BudgetSpent`."""
        if worst.usd > 0:
            return await asyncio.to_thread(self.reserve, role, model, worst)
        return self.reserve(role, model, worst)

    def settle(self, reservation: Reservation, usage: Usage | None, usd: float, *, status: str) -> Bill:
        """Close a reservation at its real cost, or at its worst case if `usage` is None; what was charged."""
        return self._ledger._settle(self.tally, reservation, usage, usd, status)

    def note(self, model: str, events: Sequence[str]) -> None:
        """Count what was done to a request or an answer of a model (see `evolve.llm.dialect`)."""

    def left(self) -> Caps:
        """What this rollout may still use, the run's own caps considered."""
        return self._ledger._left(self.tally)


class Ledger:
    """The money of one run. Thread-safe; one process at a time (the file is locked)."""

    def __init__(self, path: Path | None, caps: Caps | None = None, *, move: Caps | None = None) -> None:
        """Open or continue the ledger at `path`; None keeps it in memory.

        `caps` are the run's, `move` those of each of its moves.

        Raises: `ModelError` if another process has the file open or a line is not the ledger's.
        """
        self.path = path
        self._lock = threading.Lock()
        self._tally = Tally(caps or Caps(), "run")
        self._by_model: dict[tuple[str, str], Bill] = {}
        self._next = 1
        self._unmeasured = 0
        self._lost = 0
        self._refused: Worst | None = None
        self._file: BinaryIO | None = None
        if path is not None:
            self._file = _open_locked(path)
            self._recover(path, self._file)

    def account(self, scope: str, caps: Caps | None = None, *, move: str = "") -> Account:
        """A fresh account for one rollout; its caps hold in addition to the run's, and to the move's it is part of."""
        return Account(self, scope, caps or Caps())

    def spent(self) -> Totals:
        with self._lock:
            reserved = math.fsum(worst.usd for worst in self._tally.open.values())
            settled = Tally(self._tally.caps, "run")
            settled.bill = self._tally.bill
            no_room = None if self._refused is None else settled.refusal(self._refused)
            return Totals(settled.bill, dict(self._by_model), reserved, self._unmeasured, self._lost, no_room)

    def close(self) -> None:
        """Close the file. Safe to call twice."""
        with self._lock:
            if self._file is not None:
                self._file.close()
                self._file = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _reserve(self, tally: Tally, scope: str, role: str, model: str, worst: Worst) -> Reservation:
        with self._lock:
            for each in (tally, self._tally):
                if (refusal := each.refusal(worst)) is not None:
                    if each is self._tally:
                        self._refused = worst
                    raise BudgetSpent(f"the budget is spent: {refusal}", each.whose)
            reservation = Reservation(self._next, scope, role, model, worst)
            # Only a reservation must survive a power cut: without its settlement it counts in full, the safe side.
            self._write(_reserve_line(reservation), durable=worst.usd > 0)
            self._next += 1
            tally.open[reservation.id] = worst
            self._tally.open[reservation.id] = worst
            return reservation

    def _settle(self, tally: Tally, reservation: Reservation, usage: Usage | None, usd: float, status: str) -> Bill:
        worst = reservation.worst
        cost = (
            Bill(1, worst.input_tokens, 0, worst.output_tokens, worst.usd)
            if usage is None
            else Bill(1, usage.input_tokens, usage.cached_tokens, usage.output_tokens, usd)
        )
        with self._lock:
            self._write(_settle_line(reservation.id, cost, status, measured=usage is not None), durable=False)
            tally.settle(reservation.id, cost)
            self._book(reservation, cost, status, measured=usage is not None)
        return cost

    def _book(self, reservation: Reservation, cost: Bill, status: str, *, measured: bool) -> None:
        self._tally.settle(reservation.id, cost)
        key = (reservation.role, reservation.model)
        self._by_model[key] = self._by_model.get(key, Bill()) + cost
        self._unmeasured += not measured
        self._lost += status == LOST

    def _left(self, tally: Tally) -> Caps:
        with self._lock:
            return Caps(
                usd=_room((t.caps.usd, t.usd) for t in (tally, self._tally)),
                tokens=_whole(_room((t.caps.tokens, t.tokens) for t in (tally, self._tally))),
                calls=_whole(_room((t.caps.calls, t.calls) for t in (tally, self._tally))),
            )

    def _write(self, line: Json, *, durable: bool) -> None:
        if self._file is None:
            return
        self._file.write(json.dumps(line, separators=(",", ":")).encode() + b"\n")
        self._file.flush()
        if durable:
            os.fsync(self._file.fileno())

    def _recover(self, path: Path, file: BinaryIO) -> None:
        """Read what an earlier process wrote; close what it left open at its worst case, in the file as well."""
        file.seek(0)
        content = file.read()
        whole = content.rfind(b"\n") + 1
        # A torn last line says nothing that counts: a torn reservation was never sent, a torn settlement stays open.
        file.truncate(whole)
        left_open: dict[int, Reservation] = {}
        for number, line in enumerate(content[:whole].splitlines(), start=1):
            try:
                self._replay(json.loads(line), left_open)
            except (ValueError, KeyError, TypeError) as error:
                file.close()
                raise ModelError(
                    f"line {number} of {path} is not a line of a ledger ({error!r}): restore the file or move it away",
                    kind="refused",
                ) from None
        for reservation in left_open.values():
            self._settle(Tally(Caps(), "rollout"), reservation, None, 0.0, LOST)

    def _replay(self, line: Json, left_open: dict[int, Reservation]) -> None:
        id = int(line["id"])
        if line["event"] == "reserve":
            worst = Worst(int(line["input_tokens"]), int(line["output_tokens"]), float(line["usd"]))
            left_open[id] = Reservation(id, line["scope"], line["role"], line["model"], worst)
            self._next = max(self._next, id + 1)
        elif line["event"] == "settle":
            cost = Bill(
                1, int(line["input_tokens"]), int(line["cached_tokens"]), int(line["output_tokens"]), float(line["usd"])
            )
            self._book(left_open.pop(id), cost, line["status"], measured=bool(line["measured"]))
        else:
            raise ValueError(f"unknown event {line['event']!r}")


def _open_locked(path: Path) -> BinaryIO:
    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.open("a+b")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        text = f"another process is using {path}: a run has one ledger and one process"
        raise ModelError(text, kind="refused") from None
    return file


def _reserve_line(reservation: Reservation) -> Json:
    worst = reservation.worst
    return {
        "event": "reserve",
        "id": reservation.id,
        "scope": reservation.scope,
        "role": reservation.role,
        "model": reservation.model,
        "input_tokens": worst.input_tokens,
        "output_tokens": worst.output_tokens,
        "usd": worst.usd,
        "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
    }


def _settle_line(id: int, cost: Bill, status: str, *, measured: bool) -> Json:
    return {
        "event": "settle",
        "id": id,
        "input_tokens": cost.input_tokens,
        "cached_tokens": cost.cached_tokens,
        "output_tokens": cost.output_tokens,
        "usd": cost.usd,
        "status": status,
        "measured": measured,
    }


def _room(pairs: Iterable[tuple[float | None, float]]) -> float | None:
    """The smallest rest of (cap, used) pairs; None if none of them is capped."""
    rests = [max(0.0, cap - used) for cap, used in pairs if cap is not None]
    return min(rests) if rests else None


def _whole(number: float | None) -> int | None:
    return None if number is None else int(number)
