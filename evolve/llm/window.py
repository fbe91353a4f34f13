"""How many calls may be at a service at once: as many as it took lately without complaint. No clock of its own.

As TCP finds out what a network carries (slow start and congestion avoidance, RFC 5681): halved when the service says
that it is too much, one more for each full window of answers; after an outage it begins anew with one, and doubles
with each round of answers up to half of what was too much before.
"""

from __future__ import annotations

import math


class Window:
    """Calls at once, under the limit that the settings set, if any."""

    def __init__(self, most: int | None) -> None:
        self._most = math.inf if most is None else float(most)
        self._size = math.inf
        self._threshold = math.inf

    @property
    def allowed(self) -> float:
        """A whole number, at least 1; infinite as long as nothing ever was too much."""
        size = min(self._size, self._most)
        return size if math.isinf(size) else max(1.0, math.floor(size))

    def cut(self, inside: int) -> None:
        """The service said that so many calls are too many."""
        self._size = self._threshold = max(1.0, min(self._size, inside) / 2)

    def restart(self) -> None:
        """The service was away: what it can take now is not known."""
        self._size = 1.0

    def grow(self, inside: int) -> None:
        """A call was answered, while so many were there. A window that is not full proves nothing."""
        if inside >= self.allowed:
            self._size += 1.0 if self._size < self._threshold else 1.0 / self._size
