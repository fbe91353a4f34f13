"""How long a model needs for an answer, from its own answers: what a call takes beyond that is the service's doing."""

from __future__ import annotations

from collections import deque

REMEMBERED = 200
"""Answers; a model's speed changes within a day."""
SHARE = 0.95
TIMES = 3.0
"""Of the quantile. Times of answers are about log-normal (they grow with the answers' lengths): with a spread of
sigma = 0.8, three times the 95 % quantile is eleven times the median, and one sound answer in 700 takes longer."""
LEAST_SECONDS = 30.0
"""A network's hiccup or a short queue is not worth an excuse."""


class Patience:
    """The seconds of a model's last answers."""

    def __init__(self) -> None:
        self._seconds: deque[float] = deque(maxlen=REMEMBERED)

    def heard(self, seconds: float) -> None:
        self._seconds.append(seconds)

    @property
    def limit(self) -> float | None:
        """Seconds after which a call takes longer than the model needs; None as long as nothing is known.

        The quantile is taken below: of twenty answers or fewer the slowest never counts, so that one which was stalled
        does not excuse itself.
        """
        if not self._seconds:
            return None
        ordered = sorted(self._seconds)
        return max(LEAST_SECONDS, TIMES * ordered[int(SHARE * (len(ordered) - 1))])

    def excess(self, seconds: float) -> float:
        """Of a call that took so long, the seconds that the model is not known to need."""
        if seconds <= LEAST_SECONDS:  # nearly every call: no need to look at the others
            return 0.0
        limit = self.limit
        return 0.0 if limit is None else max(0.0, seconds - limit)
