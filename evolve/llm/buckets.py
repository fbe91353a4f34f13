"""Token buckets: what a service lets us send within a minute, and what of it is left now. No clock of their own.

A token comes back `RETURN_SECONDS` after it was taken. So no window of a minute, wherever it begins, holds more than
the limit; a bucket that refills evenly would let twice as much through in its first minute.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

RETURN_SECONDS = 61.0
"""A minute, and a second more: a call may reach the service later than it left us, and the next one sooner."""

MOMENT = 1e-6
"""Seconds that rounding may cost: who has waited as long as it was told need not wait for another moment."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a service lets us send. None: no limit of ours."""

    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    concurrent: int | None = None
    """Calls at the service at once."""


@dataclass(slots=True)
class Taken:
    """What was taken at once."""

    amount: float
    returns: float
    """When it comes back."""


class Bucket:
    """Tokens that are taken for calls; what a call did not need is put back, what it needed more is taken later."""

    def __init__(self, per_minute: float | None) -> None:
        self.limit = math.inf if per_minute is None else per_minute
        self._out: deque[Taken] = deque()
        self._sum = 0.0

    def wait(self, amount: float, now: float) -> float:
        """Seconds until so much can be taken; 0.0 if at once.

        What is larger than the whole bucket waits for a full one: it would never go otherwise.
        """
        self._forget(now)
        lacking = self._sum + min(amount, self.limit) - self.limit
        if lacking <= 0 or not self._out:
            return 0.0
        for taken in self._out:
            lacking -= taken.amount
            if lacking <= 0:
                return max(0.0, taken.returns - now)
        return max(0.0, self._out[-1].returns - now)

    def take(self, amount: float, now: float) -> Taken:
        """Take it, whatever is left; `wait` says when."""
        taken = Taken(amount, now + RETURN_SECONDS)
        if self.limit < math.inf:
            self._out.append(taken)
            self._sum += amount
        return taken

    def correct(self, taken: Taken, amount: float, now: float) -> None:
        """It was `amount` in truth; nothing happens if it has come back already."""
        self._forget(now)
        if self.limit < math.inf and taken.returns > now + MOMENT:
            self._sum += amount - taken.amount
            taken.amount = amount

    def _forget(self, now: float) -> None:
        while self._out and self._out[0].returns <= now + MOMENT:
            self._sum -= self._out.popleft().amount
        if not self._out:
            self._sum = 0.0  # no rounding error outlives a quiet minute
