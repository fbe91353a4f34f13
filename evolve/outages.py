"""What an outage of a model service means for a run: its clock stands still, and what it spoilt is told apart."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable
from dataclasses import replace

from archive import Outcome
from evolve.evaluate import MODEL
from evolve.jobs import Record
from evolve.llm import Outage
from evolve.state import OUTAGE


class Outages:
    """Those that a session of a run has seen."""

    def __init__(self) -> None:
        self._over = 0.0
        """Seconds of those that are over."""
        self._since: float | None = None
        self._disturbed: set[str] = set()

    @property
    def seconds(self) -> float:
        """How long some service was out, until now."""
        return self._over + (0.0 if self._since is None else time.monotonic() - self._since)

    def seen(self, outages: Collection[Outage], under_way: Iterable[str]) -> bool:
        """What is out now, and the keys of the moves under way; whether people are to be told."""
        if outages:
            self._since = time.monotonic() if self._since is None else self._since
            self._disturbed.update(under_way)
            return True
        if self._since is None:
            return False
        self._over, self._since = self.seconds, None
        return True

    def explained(self, key: str, record: Record) -> Record:
        """What came of a move; where an outage is the reason, with a reason that says so."""
        disturbed = key in self._disturbed
        self._disturbed.discard(key)
        if disturbed and record.outcome is Outcome.VOID and record.reason.startswith(MODEL):
            return replace(record, reason=f"{OUTAGE}{record.reason.removeprefix(MODEL)}")
        return record
