"""The one place where a model call is tried again.

Only what may pass (`ModelError.kind == "unavailable"`) is tried again: after a random part of an exponentially growing
pause ("full jitter": it spreads out callers that failed together), never sooner than the provider asked for, and never
beyond the deadline, which covers all attempts of a call together. Who cannot wait any longer sets an event: then every
failure is final.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

from evolve.llm.base import ModelError

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Retry:
    """How often and how long. Times are in seconds."""

    attempts: int = 8
    """Tries in all, the first one included."""
    base: float = 1.0
    """Upper bound of the first pause; it doubles each time."""
    ceiling: float = 60.0
    """Largest upper bound of a pause that the provider did not ask for."""
    deadline: float = 600.0
    """For one call with all its attempts and pauses."""
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    rng: random.Random = field(default_factory=random.Random)

    async def call(
        self,
        attempt: Callable[[], Awaitable[Answer]],
        on_retry: Callable[[ModelError, float], None],
        given_up: asyncio.Event | None = None,
    ) -> Answer:
        """The first answer of `attempt`; `on_retry` is told of every failure that is tried again, and the pause before.

        `given_up`, once set, ends a pause under way with the failure before it; a try under way is waited for.

        Raises: the last `ModelError` when it cannot pass or no try is left; `ModelError` at the deadline.
        """
        began = time.monotonic()
        try:
            async with asyncio.timeout(self.deadline):
                for number in range(1, self.attempts):
                    try:
                        return await attempt()
                    except ModelError as error:
                        pause = self.pause(number, error.retry_after)
                        if error.kind != "unavailable" or time.monotonic() - began + pause > self.deadline:
                            raise
                        if given_up is not None and given_up.is_set():
                            raise
                        on_retry(error, pause)
                        failure = error
                    await self.wait(pause, given_up)
                    if given_up is not None and given_up.is_set():
                        raise failure
                return await attempt()
        except TimeoutError:
            raise ModelError(
                f"no answer within the {self.deadline:g} s that one call may take, retries included", kind="unavailable"
            ) from None

    async def wait(self, seconds: float, given_up: asyncio.Event | None) -> None:
        """Sleep, at most until it is given up."""
        if given_up is None:
            await self.sleep(seconds)
            return
        waits = {asyncio.ensure_future(self.sleep(seconds)), asyncio.ensure_future(given_up.wait())}
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in waits:
                each.cancel()

    def pause(self, number: int, retry_after: float | None) -> float:
        """Seconds to wait after the failed try `number` (from 1)."""
        jitter = self.rng.uniform(0.0, min(self.ceiling, self.base * 2.0 ** (number - 1)))
        return jitter if retry_after is None else max(0.0, retry_after) + jitter
