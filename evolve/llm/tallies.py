"""What was spent and set aside under one set of caps, and whether a further call fits. Pure: no files, no clocks."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from archive import Bill
from evolve.llm.base import Caps, Price

Whose = Literal["rollout", "move", "run", "hour"]

HOUR = 3600.0
"""Seconds of the window that `Caps.usd_per_hour` looks back on."""
SOON = 1.0
"""Seconds after which the hour is looked at again when calls under way hold its room: each may end at any moment."""
PICO = 10**12
FEWEST_OUTPUT_TOKENS = 256
"""A call that may generate less than this is not worth sending: it would be paid for and cut off in mid-sentence."""


@dataclass(frozen=True, slots=True)
class Worst:
    """What one call may cost at most."""

    input_tokens: int
    output_tokens: int
    usd: float

    @classmethod
    def of(cls, price: Price, input_tokens: int, output_tokens: int) -> Worst:
        """At `price`, with every token of the prompt at the dearest rate it could be charged.

        Where long prompts have a price of their own, at the dearer of the two: `input_tokens` is an upper estimate.
        """
        usd = max(_usd(each, input_tokens, output_tokens) for each in (price, price.at(input_tokens)))
        return cls(input_tokens, output_tokens, usd)


def fitting(price: Price, input_tokens: int, output_tokens: int, usd: float) -> int:
    """The most tokens, up to `output_tokens`, that a call may generate so that its worst case is at most `usd`.

    0 if not even its prompt fits. Whether what fits is worth sending is the caller's question (see
    `FEWEST_OUTPUT_TOKENS`).
    """
    if Worst.of(price, input_tokens, output_tokens).usd <= usd:
        return output_tokens
    low, high = 0, output_tokens  # `high` does not fit; by halving, because what a sum rounds to cannot be inverted
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if Worst.of(price, input_tokens, middle).usd <= usd else (low, middle)
    return low


class Tally:
    """Settled and reserved amounts under one set of caps. Not thread-safe: the ledger's lock guards it."""

    def __init__(self, caps: Caps, whose: Whose) -> None:
        self.caps = caps
        self.whose: Whose = whose
        self.bill = Bill()
        self.open: dict[int, Worst] = {}

    @property
    def reserved_usd(self) -> float:
        """Summed anew each time, so that no rounding error builds up."""
        return math.fsum(worst.usd for worst in self.open.values())

    @property
    def usd(self) -> float:
        """Dollars spent or reserved."""
        return self.bill.usd + self.reserved_usd

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
        if caps.usd_per_hour is not None and worst.usd > caps.usd_per_hour:
            return f"the call may cost ${worst.usd:.4f}, more than the ${caps.usd_per_hour:.4f} of a whole hour"
        return None

    def refusal_for_good(self, worst: Worst) -> str | None:
        """As `refusal`, were all calls under way to cost nothing."""
        settled = Tally(self.caps, self.whose)
        settled.bill = self.bill
        return settled.refusal(worst)

    def settle(self, id: int, cost: Bill) -> None:
        self.open.pop(id, None)
        self.bill += cost


class Hour:
    """Dollars of the last 60 minutes under `Caps.usd_per_hour`. Not thread-safe: the ledger's lock guards it.

    A call counts from its reservation until 60 minutes after its settlement. A service charges it somewhere between the
    two, so what was charged within *any* 60 minutes is never more than what counted when the last of it was reserved.
    """

    def __init__(self, usd: float | None) -> None:
        self.cap = usd
        self._spent: deque[tuple[float, int]] = deque()
        """(seconds since the epoch, picodollars), one pair a second, the oldest first."""
        self._sum = 0
        """Of all pairs; whole picodollars, so that adding and taking away leave no rounding error behind."""

    def settle(self, at: float, usd: float) -> None:
        if self.cap is None or usd <= 0:
            return
        second, amount = float(math.ceil(at)), round(usd * PICO)
        self._sum += amount
        if self._spent and self._spent[-1][0] >= second:  # also when the clock was set back
            second, earlier = self._spent.pop()
            amount += earlier
        self._spent.append((second, amount))

    def spent(self, now: float) -> float:
        """Dollars settled within the 60 minutes before `now`."""
        while self._spent and self._spent[0][0] <= now - HOUR:
            self._sum -= self._spent.popleft()[1]
        return self._sum / PICO

    def wait(self, worst: Worst, reserved_usd: float, now: float) -> float | None:
        """None if the call fits, besides what is `reserved_usd` by others; else seconds until there may be room."""
        if self.cap is None:
            return None
        if self.spent(now) + reserved_usd + worst.usd <= self.cap:
            return None
        kept, at = self._sum, now
        for second, amount in self._spent:
            if kept / PICO + worst.usd <= self.cap:
                break
            kept, at = kept - amount, second + HOUR
        return max(SOON, at - now)


def room(pairs: Iterable[tuple[float | None, float]]) -> float | None:
    """The smallest rest of (cap, used) pairs; None if none of them is capped."""
    rests = [max(0.0, cap - used) for cap, used in pairs if cap is not None]
    return min(rests) if rests else None


def _usd(price: Price, input_tokens: int, output_tokens: int) -> float:
    dearest = max(price.input, price.cached or 0.0, price.cache_write or 0.0)
    return (input_tokens * dearest + output_tokens * price.output) / 1e6
