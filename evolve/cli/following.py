"""Skills while a run grows: worked out beside the loop in a thread of their own, and never more than a little of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping

from evolve.statistics.posterior import Skill

SHARE = 0.05
"""Of the time, at most, that is spent on skills."""

Skills = Mapping[int, Skill]


class Following:
    """The latest skills that were worked out. `ask` comes back at once; what is new is there some time later."""

    def __init__(self, share: float = SHARE) -> None:
        self.skills: Skills = {}
        self._share = share
        self._thread: threading.Thread | None = None
        self._next = 0.0
        """When the next work may begin, by the monotonic clock."""

    @property
    def busy(self) -> bool:
        """Whether they are being worked out, or were a short while ago: who asks now asks in vain."""
        return (self._thread is not None and self._thread.is_alive()) or time.monotonic() < self._next

    def ask(self, work: Callable[[], Skills]) -> bool:
        """Have them worked out anew; False, and nothing happens, if that is under way or was a short while ago."""
        if self.busy:
            return False
        # As a daemon: who stops a run does not wait for it.
        self._thread = threading.Thread(target=self._work, args=(work,), name="skills", daemon=True)
        self._thread.start()
        return True

    def wait(self) -> None:
        """Until what is under way is there."""
        if self._thread is not None:
            self._thread.join()

    def _work(self, work: Callable[[], Skills]) -> None:
        start = time.monotonic()
        self.skills = work()
        now = time.monotonic()
        self._next = now + (now - start) * (1 / self._share - 1)
