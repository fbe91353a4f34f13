"""One service's entrance: who may send next, and when. Belongs to one event loop.

First come, first served, by turns among rollouts: a rollout with many calls at once waits behind those with one. Nobody
overtakes the head of the queue, so a call with many tokens gets its turn as well.
"""

from __future__ import annotations

import asyncio
import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from evolve.llm.base import ModelError
from evolve.llm.breaker import Breaker
from evolve.llm.buckets import Bucket, Limits, Taken
from evolve.llm.window import Window

CAREFUL_SECONDS = 10.0
"""So long after a pause of the whole service calls are spread out: what waited does not arrive all at once…"""
GAP_SECONDS = 0.2
"""…but with random gaps up to this long between any two."""


@dataclass(frozen=True, slots=True)
class Outage:
    """A service that does not answer now, or that asked to be left alone for a while."""

    service: str
    reason: str
    """Its last failure, in one sentence."""
    since: datetime
    next_try: float
    """Seconds until it is tried again."""


@dataclass(slots=True, eq=False)
class Pass:
    """Leave to send one call; handed back with what came of it."""

    service: str
    requests: Taken
    tokens: Taken
    waited: float = 0.0
    """Seconds; exactly zero if the call might be sent at once."""


@dataclass(frozen=True, slots=True)
class _Absence:
    """Why a service is left alone."""

    reason: str
    since: datetime
    until: float
    """When it is tried again."""
    confirmed: bool = False
    """It is known to be out, not only suspected."""


@dataclass(slots=True, order=True)
class _Waiter:
    turn: int
    number: int
    whose: str = field(compare=False)
    tokens: int = field(compare=False)
    future: asyncio.Future[Pass] = field(compare=False)
    since: float = field(compare=False)


class Lane:
    """Buckets, window and queue of a service, and whether it is out."""

    def __init__(self, service: str, limits: Limits, clock: Callable[[], float], rng: random.Random) -> None:
        self.service = service
        self.window = Window(limits.concurrent)
        self.breaker = Breaker()
        self.inside = 0
        """Calls at the service now."""
        self._away: _Absence | None = None
        """Set while nobody is let through until `open`."""
        self._resting: _Absence | None = None
        """The last long pause that the service asked for."""
        self._requests = Bucket(limits.requests_per_minute)
        self._tokens = Bucket(limits.tokens_per_minute)
        self._clock = clock
        self._rng = rng
        self._held_until = 0.0
        self._next = 0.0
        """Not before this, for the gap after the one before."""
        self._careful_until = 0.0
        self._queue: list[_Waiter] = []
        self._numbers = 0
        self._turn = 0
        self._last_turn: dict[str, int] = {}
        self._timer: asyncio.TimerHandle | None = None

    async def enter(self, tokens: int, whose: str) -> Pass:
        """Wait for leave to send a call of so many tokens. Raises: `ModelError` if the wait is given up."""
        if not self._queue and self._wait(tokens) == 0.0:
            return self._admit(tokens)
        began = self._clock()
        waiter = self._line_up(tokens, whose)
        self._let_through()
        try:
            passed = await waiter.future
        except asyncio.CancelledError:
            if waiter.future.done() and not waiter.future.cancelled() and waiter.future.exception() is None:
                self.hand_back(waiter.future.result())
            self._let_through()  # it may have been the head that kept others waiting
            raise
        passed.waited = max(self._clock() - began, 1e-9)
        return passed

    def leave(self, passed: Pass, tokens: int | None) -> None:
        """A call has ended. `tokens`: what it really took; None if nobody knows."""
        self.inside -= 1
        if tokens is not None:
            self._tokens.correct(passed.tokens, tokens, self._clock())
        self._let_through()

    def hand_back(self, passed: Pass) -> None:
        """A call was not sent after all."""
        now = self._clock()
        self._requests.correct(passed.requests, 0, now)
        self._tokens.correct(passed.tokens, 0, now)
        self.leave(passed, 0)

    @property
    def held(self) -> float:
        """Seconds until somebody may be let through, as far as the service asked for it; 0.0 if it did not."""
        return max(0.0, self._held_until - self._clock())

    def hold(self, seconds: float) -> None:
        """Let nobody through for so long."""
        self._held_until = max(self._held_until, self._clock() + seconds)
        self._careful_until = self._held_until + CAREFUL_SECONDS

    def rest(self, seconds: float, reason: str) -> None:
        """As `hold`, for so long that it counts as an outage."""
        before = self._resting
        self.hold(seconds)
        since = before.since if before is not None and before.until > self._clock() else datetime.now(UTC)
        self._resting = _Absence(reason, since, self._held_until, confirmed=True)

    def close(self, reason: str) -> None:
        """Let nobody through until `open`: the service may be out."""
        self._away = _Absence(reason, datetime.now(UTC), self._clock())

    def still_away(self, reason: str, seconds: float) -> None:
        """The service is out; it is tried again after so many seconds."""
        if self._away is not None:
            self._away = replace(self._away, reason=reason, until=self._clock() + seconds, confirmed=True)

    def open(self) -> None:
        """The service has answered."""
        if self._away is not None and self._away.confirmed:
            self.window.restart()
            self._held_until = self._clock()
            self._careful_until = self._clock() + CAREFUL_SECONDS
            self._resting = None
        self._away = None
        self._let_through()

    @property
    def outage(self) -> Outage | None:
        """The service is left alone now, and why. May be read from any thread."""
        now = self._clock()
        for absence in (self._away, self._resting):
            if absence is not None and absence.confirmed and (absence is self._away or absence.until > now):
                return Outage(self.service, absence.reason, absence.since, max(0.0, absence.until - now))
        return None

    @property
    def queued(self) -> float:
        """Seconds that the first in the queue has waited already. May be read from any thread."""
        head = next(iter(self._queue), None)
        return 0.0 if head is None else self._clock() - head.since

    @property
    def hopeless(self) -> str | None:
        """Why nobody can tell when the next call is let through, if so."""
        if self._away is not None:
            return self._away.reason
        outage = self.outage
        return None if outage is None else outage.reason

    def turn_away(self, error: ModelError) -> None:
        """Everybody who waits fails with this."""
        for waiter in self._queue:
            if not waiter.future.done():
                waiter.future.set_exception(error)
        self._queue.clear()
        self._last_turn.clear()

    def _line_up(self, tokens: int, whose: str) -> _Waiter:
        """The n-th call of each rollout has the n-th turn; within a turn, who came first goes first."""
        turn = max(self._turn, self._last_turn.get(whose, -1) + 1)
        self._last_turn[whose] = turn
        self._numbers += 1
        future: asyncio.Future[Pass] = asyncio.get_running_loop().create_future()
        waiter = _Waiter(turn, self._numbers, whose, tokens, future, self._clock())
        heapq.heappush(self._queue, waiter)
        return waiter

    def _let_through(self) -> None:
        """Admit from the head of the queue whoever may go now, and come back when time allows the next one."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._queue:
            head = self._queue[0]
            if not head.future.done():
                wait = self._wait(head.tokens)
                if wait is None:
                    return  # until somebody leaves, or the service is back
                if wait > 0.0:
                    self._timer = asyncio.get_running_loop().call_later(wait, self._let_through)
                    return
                head.future.set_result(self._admit(head.tokens))
                self._turn = head.turn
            heapq.heappop(self._queue)
            if self._last_turn.get(head.whose) == head.turn:
                del self._last_turn[head.whose]

    def _wait(self, tokens: int) -> float | None:
        """Seconds until a call may go, as far as time decides; None if it is for something else to happen."""
        if self._away is not None or self.inside >= self.window.allowed:
            return None
        now = self._clock()
        asked_for = max(self._held_until, self._next) - now
        return max(asked_for, self._requests.wait(1, now), self._tokens.wait(tokens, now), 0.0)

    def _admit(self, tokens: int) -> Pass:
        now = self._clock()
        self.inside += 1
        if now < self._careful_until:
            self._next = now + self._rng.uniform(0.0, GAP_SECONDS)
        return Pass(self.service, self._requests.take(1, now), self._tokens.take(tokens, now))
