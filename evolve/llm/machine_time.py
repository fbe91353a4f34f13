"""Whose time it is on a machine of one's own: seconds that calls under way together share equally.

A machine that is paid by the hour costs the same whether one call is on it or sixty. Each moment in which it is at work
is therefore split among the calls under way then, so that all calls together are charged exactly the time in which at
least one of them was; what it costs to stand idle is nobody's call.
"""

from __future__ import annotations

import time
from collections.abc import Callable


class MachineTime:
    """Shares of each service's machine. Belongs to the gateway's event loop."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._meters: dict[str, _Meter] = {}

    def enter(self, service: str) -> float:
        """A call begins; give what this returns back to `leave`."""
        meter = self._meters.setdefault(service, _Meter(self._clock()))
        meter.advance(self._clock())
        meter.under_way += 1
        return meter.share

    def leave(self, service: str, entered: float) -> float:
        """A call ends: the seconds of the machine that were its own."""
        meter = self._meters[service]
        meter.advance(self._clock())
        meter.under_way -= 1
        return meter.share - entered


class _Meter:
    """What one call would have been charged so far, had it been under way all the time: the integral of 1/n."""

    def __init__(self, now: float) -> None:
        self.under_way = 0
        self.share = 0.0
        self._at = now

    def advance(self, now: float) -> None:
        if self.under_way:
            self.share += (now - self._at) / self.under_way
        self._at = now
