"""What people are told of an outage: that the run waits and why, now and then that it still does, that it goes on."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from evolve.cli.summary import duration
from evolve.llm import Outage

REMINDER_SECONDS = 900.0
"""Between two log lines that say the same: enough to see at a glance in a log that a run of days is alive."""
LATELY = timedelta(hours=12)
"""A time of day says enough for so long."""


def pause_line(outages: Sequence[Outage]) -> str:
    """One line on the services that are out."""
    return "paused: " + "; ".join(_service_line(each) for each in outages)


def _service_line(outage: Outage) -> str:
    since = outage.since.astimezone()
    clock = "%H:%M" if datetime.now(UTC) - outage.since < LATELY else "%Y-%m-%d %H:%M"
    soon = f"next try in {duration(outage.next_try)}" if outage.next_try >= 1 else "being tried now"
    return f"{outage.service} takes no calls since {since.strftime(clock)}; {soon} ({outage.reason})"


class Pauses:
    """Which lines a log gets. Told again and again what is out."""

    def __init__(self) -> None:
        self._began: float | None = None
        self._said = 0.0
        self._services: tuple[str, ...] = ()

    def line(self, outages: Sequence[Outage]) -> str | None:
        """What there is to say now, if anything."""
        now = time.monotonic()
        if not outages:
            return self._over(now)
        services = tuple(sorted(each.service for each in outages))
        if self._began is None:
            self._began = now
        elif services == self._services and now - self._said < REMINDER_SECONDS:
            return None
        self._said, self._services = now, services
        return pause_line(outages)

    def _over(self, now: float) -> str | None:
        if self._began is None:
            return None
        lasted = now - self._began
        self._began = None
        verb = "takes" if len(self._services) == 1 else "take"
        return f"goes on: {', '.join(self._services)} {verb} calls again after {duration(lasted)}"
