"""The circuit breaker of a service: when its failures look like an outage. A state machine without a clock.

It is closed as long as the service answers; `SUSPICIOUS` failures of one model in a row open it. Then no call is sent
but the house's own small question (see `evolve.llm.probe`), one at a time and with growing pauses, until one is
answered. The question tells an outage from a request that a server chokes on each time: only who cannot answer it
either is out.
"""

from __future__ import annotations

from evolve.llm.base import ModelError

SUSPICIOUS = 3
"""Failures of a model in a row, with no answer between: fewer happen by chance, more would waste calls' tries."""
FIRST_PAUSE = 1.0
"""Seconds before the question is asked a second time; doubled each time…"""
LONGEST_PAUSE = 60.0
"""…up to this: a failed question costs nothing, and a service that is back should be seen soon."""


def looks_out(error: ModelError) -> bool:
    """Whether an error may be an outage: no connection, no answer in time, no sense in it, or a server's error.

    A service that limits us (429) or refuses a request is alive.
    """
    return error.kind == "unavailable" and (error.status is None or error.status == 408 or error.status >= 500)


class Breaker:
    """Failures by model, and the model whose failures opened it."""

    def __init__(self) -> None:
        self.open_for: str | None = None
        """Label of the model that does not answer; None while the breaker is closed."""
        self._in_a_row: dict[str, int] = {}

    def failed(self, model: str) -> bool:
        """A call failed as in an outage; whether that opens the breaker."""
        self._in_a_row[model] = self._in_a_row.get(model, 0) + 1
        if self.open_for is not None or self._in_a_row[model] < SUSPICIOUS:
            return False
        self.open_for = model
        return True

    def answered(self, model: str) -> bool:
        """The model answered; whether that closes the breaker."""
        self._in_a_row.pop(model, None)
        if self.open_for != model:
            return False
        self.open_for = None
        return True


def pause_after(asked: int) -> float:
    """Seconds from the `asked`-th question without an answer (from 1) to the next one."""
    return min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(asked - 1, 30))
