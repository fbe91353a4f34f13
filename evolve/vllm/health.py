"""Whether a replica is well, by what it tells of itself; and how long to wait before it is started again. Pure."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Literal

from evolve.vllm.metrics import Reading
from evolve.vllm.plan import Pace
from evolve.vllm.registry import Load

BAD_LOOKS = 3
"""Looks in a row at which /health did not answer 200, after which a replica is sick."""
RATE_WINDOW = 30.0
"""Seconds over which throughput is measured."""
LONGEST_WAIT = 60.0
"""Seconds before a restart, at most."""
NEVER_READY = 2
"""Failures that end a replica which has never been ready: a wrong flag fails each time."""


@dataclass(frozen=True, slots=True)
class Look:
    """What one look at a replica has shown."""

    at: float
    """Seconds on a clock that is never set."""
    health: int | None
    """Status of /health; None: no answer."""
    reading: Reading | None
    """None: /metrics did not answer."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What is to be thought of a replica."""

    kind: Literal["well", "suspect", "sick"]
    """A suspect may hang: it must show that it still answers."""
    why: str = ""


WELL = Finding("well")


class Pulse:
    """Looks at one replica since it was started."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._bad = 0
        self._tokens: tuple[int | None, int | None] | None = None
        self._moved = 0.0
        self._rates: deque[tuple[float, int]] = deque()
        self._last: Look | None = None

    def feel(self, look: Look) -> Finding:
        """Take one more look into account."""
        if look.reading is not None:
            self._last = look
            self._follow(look.at, look.reading)
        self._bad = 0 if look.health == 200 else self._bad + 1
        if self._bad >= BAD_LOOKS:
            said = "did not answer" if look.health is None else f"answered {look.health}"
            return Finding("sick", f"/health {said} {self._bad} times in a row")
        still = look.at - self._moved
        if look.reading is not None and look.reading.running and still >= self._pace.hang:
            return Finding("suspect", f"{look.reading.running} requests running and no token for {still:.0f} s")
        return WELL

    def relieved(self, at: float) -> None:
        """The suspect has answered: it is given the whole time again."""
        self._moved = at

    def load(self, now: float) -> Load | None:
        """Its load at the last look that told it; `now` is the time of that look in seconds since the epoch."""
        if self._last is None or self._last.reading is None or self._last.reading.running is None:
            return None
        reading = self._last.reading
        return Load(
            running=self._last.reading.running,
            waiting=reading.waiting or 0,
            kv_use=reading.kv_use,
            generated_per_second=self._rate(),
            prefix_hit_rate=reading.prefix_hit_rate,
            at=now,
        )

    def _follow(self, at: float, reading: Reading) -> None:
        """Tokens of answers and of prompts are both a sign of life; so is a replica with nothing to do."""
        tokens = (reading.generated, reading.prompt)
        if tokens != self._tokens or not reading.running:
            self._moved = at
        self._tokens = tokens
        if reading.generated is not None:
            if self._rates and reading.generated < self._rates[-1][1]:
                self._rates.clear()  # the counter was set back
            self._rates.append((at, reading.generated))
            while len(self._rates) > 2 and at - self._rates[0][0] > RATE_WINDOW:
                self._rates.popleft()

    def _rate(self) -> float:
        if len(self._rates) < 2:
            return 0.0
        (first, before), (last, after) = self._rates[0], self._rates[-1]
        return (after - before) / (last - first) if last > first else 0.0


class Failures:
    """A replica's failures of late."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._at: deque[float] = deque()

    def add(self, at: float) -> None:
        self._at.append(at)
        while at - self._at[0] > self._pace.window:
            self._at.popleft()

    @property
    def count(self) -> int:
        """How many in the window, at the time of the last one."""
        return len(self._at)

    def hopeless(self, been_ready: bool) -> bool:
        """Is it time to give up?"""
        return self.count >= (self._pace.failures if been_ready else min(NEVER_READY, self._pace.failures))

    @property
    def wait(self) -> float:
        """Seconds before the next start."""
        return min(LONGEST_WAIT, self._pace.backoff * 2.0 ** min(self.count - 1, 16))
