"""Who may send when: rate limits and outages of the model services, kept for all workers of a process together.

Each service has a lane (`evolve.llm.lane`). What a call comes to is told here, and decides how the lane goes on: fewer
calls at once after a 429, none for as long as the service asks, none while it is out, and an end to the run where no
retry can mend it.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Mapping

from evolve.llm.base import ModelError, Usage
from evolve.llm.breaker import looks_out, pause_after
from evolve.llm.buckets import Limits
from evolve.llm.lane import Lane, Outage, Pass
from evolve.llm.patience import Patience

__all__ = ["CONTENT_STATUSES", "Limits", "Outage", "Pass", "Traffic"]

CONTENT_STATUSES = frozenset({400, 413, 422})
"""Refusals of a request for what stands in it. Any other (a bad key, an empty purse, an unknown model, a redirect) is
about how the service is set up: never the agent's fault, and no retry mends it."""
WRONG_ADDRESS = "check the name of the model and the url of the service in run.toml"
CURES: Mapping[int, str] = {
    402: "pay at the service, or name another model",
    404: WRONG_ADDRESS,
    405: WRONG_ADDRESS,
    410: WRONG_ADDRESS,
}
"""What to do where the provider's own text does not say it."""
REFUSALS = 3
"""In a row, from a model that has answered before in this session: one may be a flaw at the service. From a model that
never did, one is enough."""
LONG_PAUSE = 30.0
"""Seconds that a service asks us to wait, from which on no move is started meanwhile."""
LONGEST_PAUSE = 3600.0
"""A service that asks for more is tried again after that."""
FIRST_PAUSE = 1.0
MAX_PAUSE = 60.0
"""After a 429 that names no time, the service is left alone for about a second, twice as long after each further one
before an answer, up to a minute."""
CROWDED_SECONDS = 5.0
"""In the queue of a service: a rollout makes some twenty calls, which then wait for minutes together."""
QUESTION_SECONDS = 120.0
"""How long the house's own question may take."""


class Traffic:
    """Belongs to the gateway's event loop; `outages`, `crowded` and `refusal` may be read from any thread."""

    def __init__(
        self,
        limits: Mapping[str, Limits] | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        rng: random.Random | None = None,
    ) -> None:
        """`limits` by the services' names; others are not limited."""
        self.ask: Callable[[str], Awaitable[None]] | None = None
        """Puts the house's own small question to a model, by its label, and raises `ModelError` if that fails (see
        `evolve.llm.probe`). Without it no service is ever taken to be out: nobody would find out that it is back."""
        self._limits = dict(limits or {})
        self._clock = clock
        self._rng = rng or random.Random()
        self._lanes: dict[str, Lane] = {}
        self._busy: dict[str, int] = {}
        """By service: 429s in a row, those of calls that were under way together counted once."""
        self._patience: dict[str, Patience] = {}
        self._refusals: dict[str, list[str]] = {}
        """By model: refusals since its last answer."""
        self._final: dict[str, str] = {}
        """By model: the refusal after which none is expected to answer."""
        self._given_up = False
        self._asking: dict[str, asyncio.Task[None]] = {}
        """By service: the task that asks whether it is back."""

    async def enter(self, service: str, tokens: int, whose: str = "") -> Pass:
        """Wait until a call of so many tokens may be sent; each is followed by `answered`, `failed` or `left`.

        Calls take turns among rollouts; `whose` tells them apart. Raises: `ModelError` once it is given up.
        """
        lane = self._lane(service)
        if self._given_up and lane.hopeless is not None:
            raise _given_up(lane)
        return await lane.enter(tokens, whose)

    def answered(self, passed: Pass, model: str, seconds: float, usage: Usage) -> None:
        """A call was answered."""
        lane = self._lane(passed.service)
        if model not in self._patience:
            self._patience[model] = Patience()
        self._patience[model].heard(seconds)
        self._refusals.pop(model, None)
        self._final.pop(model, None)
        self._alive(lane, model)
        self._busy.pop(passed.service, None)
        lane.window.grow(lane.inside)
        lane.leave(passed, usage.input_tokens + usage.output_tokens if usage.told else None)

    def failed(self, passed: Pass, model: str, error: ModelError) -> None:
        """A call has failed."""
        lane = self._lane(passed.service)
        if error.status == 429 and error.kind == "unavailable":
            self._alive(lane, model)
            self._too_much(lane, error)
        elif looks_out(error):
            if error.retry_after:
                self._pause(lane, error.retry_after, error)
            if self.ask is not None and lane.breaker.failed(model):
                lane.close(str(error))
                self._asking[lane.service] = asyncio.create_task(self._until_answered(lane, model))
        else:
            self._alive(lane, model)
            self._refused(model, error)
        lane.leave(passed, 0)

    def left(self, passed: Pass) -> None:
        """A call was cancelled; nothing is known of the service."""
        self._lane(passed.service).leave(passed, None)

    def stalled(self, service: str, model: str, seconds: float) -> float:
        """Of a try that took so long, the seconds that the model is not known to need: the house's, not the agent's."""
        patience = self._patience.get(model)
        return 0.0 if patience is None else patience.excess(seconds)

    def outages(self) -> tuple[Outage, ...]:
        """The services that are left alone now: no new move shall need them."""
        return tuple(outage for lane in tuple(self._lanes.values()) if (outage := lane.outage) is not None)

    def crowded(self) -> bool:
        """Whether rollouts under way are kept waiting by a service's limits: one more would only wait as well."""
        return any(lane.queued >= CROWDED_SECONDS for lane in tuple(self._lanes.values()))

    def hopeless(self, service: str) -> str | None:
        """Why nobody can tell when the service will take a call again, if so."""
        lane = self._lanes.get(service)
        return None if lane is None else lane.hopeless

    def refusal(self) -> str | None:
        """Why a service will never answer (a wrong key, an empty purse, an unknown model), if one said so."""
        return next(iter(tuple(self._final.values())), None)

    def give_up(self) -> None:
        """Wait no longer for services that are out: who waits for one fails, now and from now on."""
        self._given_up = True
        for lane in self._lanes.values():
            if lane.hopeless is not None:
                lane.turn_away(_given_up(lane))

    async def close(self) -> None:
        """Ask no service any more."""
        tasks = tuple(self._asking.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _lane(self, service: str) -> Lane:
        lane = self._lanes.get(service)
        if lane is None:
            lane = self._lanes[service] = Lane(service, self._limits.get(service, Limits()), self._clock, self._rng)
        return lane

    def _alive(self, lane: Lane, model: str) -> None:
        """The service has spoken: it is not out."""
        if not lane.breaker.answered(model):
            return
        task = self._asking.pop(lane.service, None)
        if task is not None and task is not asyncio.current_task():
            task.cancel()
        lane.open()

    def _too_much(self, lane: Lane, error: ModelError) -> None:
        """A 429: fewer calls at once, and a pause for all. Those that were under way together count once."""
        if lane.held:
            if error.retry_after is not None:
                self._pause(lane, error.retry_after, error)
            return
        lane.window.cut(lane.inside)
        self._busy[lane.service] = self._busy.get(lane.service, 0) + 1
        longest = min(MAX_PAUSE, FIRST_PAUSE * 2.0 ** min(self._busy[lane.service] - 1, 30))
        pause = self._rng.uniform(longest / 2, longest) if error.retry_after is None else error.retry_after
        self._pause(lane, pause, error)

    def _pause(self, lane: Lane, seconds: float, error: ModelError) -> None:
        if seconds < LONG_PAUSE:
            lane.hold(seconds)
            return
        lane.rest(min(seconds, LONGEST_PAUSE), str(error))
        if self._given_up:
            lane.turn_away(_given_up(lane))

    def _refused(self, model: str, error: ModelError) -> None:
        """What no retry can mend ends the run; a request that the service does not like does not."""
        if error.kind != "refused" or error.status in CONTENT_STATUSES:
            return
        refusals = self._refusals.setdefault(model, [])
        refusals.append(str(error))
        if model not in self._patience or len(refusals) >= REFUSALS:
            redirected = error.status is not None and 300 <= error.status < 400
            cure = WRONG_ADDRESS if redirected else CURES.get(error.status or 0)
            self._final[model] = f"{model}: {error}" + (f"; {cure}" if cure else "")

    async def _until_answered(self, lane: Lane, model: str) -> None:
        """Ask the model the house's question, again and again, until it answers or a call under way was answered."""
        assert self.ask is not None
        asked = 0
        while lane.breaker.open_for == model:
            try:
                async with asyncio.timeout(QUESTION_SECONDS):
                    await self.ask(model)
            except TimeoutError:
                error = ModelError(f"no answer within {QUESTION_SECONDS:g} s", kind="unavailable")
            except ModelError as failure:
                error = failure
            else:
                break
            if not looks_out(error):
                break
            asked += 1
            pause = pause_after(asked)
            lane.still_away(str(error), pause)
            if self._given_up:
                lane.turn_away(_given_up(lane))
            await asyncio.sleep(pause)
        self._alive(lane, model)


def _given_up(lane: Lane) -> ModelError:
    return ModelError(f"{lane.service} was not waited for any longer: {lane.hopeless}", kind="unavailable")
