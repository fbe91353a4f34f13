"""One rollout's calls: checked, reserved, sent with retries, settled and written down.

A `Meter` belongs to the gateway's event loop; what it has counted may be read from any thread. It tells the agent's
faults (a malformed request, too long a history) from the house's (no provider, a bad key): only the latter set `fault`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from archive import Bill, Call
from evolve.llm.base import Completion, Json, Model, ModelError, Role, Scope, Usage
from evolve.llm.cassette import Cassette
from evolve.llm.dialect import Prepared, Reading, again, prepare, read
from evolve.llm.ledger import Account, BudgetSpent, Reservation, Whose, Worst
from evolve.llm.redact import redact
from evolve.llm.retry import Retry
from evolve.llm.traffic import Traffic
from evolve.llm.transcript import Writer
from evolve.llm.wire import BYTES_PER_TOKEN, RequestError, clean, estimate

HOUSE_STATUSES = frozenset({401, 402, 403, 404})
"""Answers to a bad key, an empty purse, a missing permission, an unknown model: never the agent's fault."""


@dataclass(slots=True)
class _Attempt:
    """What is known of a call while it is under way."""

    role: str
    model: Model
    request: Json
    reservation: Reservation
    began: float
    retried: list[str] = field(default_factory=list)
    tried: float | None = None
    """When the try under way began; None while waiting for the next one."""
    held: float = 0.0
    """Seconds that tries were held back for the service's sake."""

    @property
    def tokens(self) -> int:
        worst = self.reservation.worst
        return worst.input_tokens + worst.output_tokens


@dataclass(frozen=True, slots=True)
class Shared:
    """What all meters of a gateway share."""

    retry: Retry
    traffic: Traffic
    given_up: asyncio.Event
    """Once set, ends all retries and waits: what fails then has failed."""
    cassette: Cassette | None = None


class Meter:
    """Makes one scope's model calls and keeps count of them."""

    def __init__(
        self, scope: Scope, models: Mapping[Role, Model], account: Account, transcript: Writer, shared: Shared
    ) -> None:
        self.scope = scope
        self.models = models
        self.account = account
        self.calls: list[Call] = []
        self.fault: str | None = None
        self.spent_out: Whose | None = None
        self.steps = 0
        self.waited = 0.0
        self.last_messages: list[Json] = []
        self.pausing: set[asyncio.Task[Any]] = set()
        """Tasks that wait for their next try: nothing of theirs is at a provider."""
        self._transcript = transcript
        self._shared = shared
        self._bytes_per_token = BYTES_PER_TOKEN

    async def call(self, body: Mapping[str, Any]) -> Json:
        """The completion's body for a chat-completions request whose `model` is a role.

        Raises: `RequestError` for what may not be asked, `BudgetSpent` when a cap leaves no room, `ModelError` when
        there is no answer.
        """
        try:
            return await self._call(body)
        except (RequestError, BudgetSpent, ModelError):
            raise
        except Exception as error:  # the boundary to agents: a full disk or a bug of ours is not their fault
            self.fault = self.fault or redact(f"the gateway failed: {error!r}")
            raise ModelError(self.fault, kind="unavailable") from error

    async def _call(self, body: Mapping[str, Any]) -> Json:
        model = self._model(body.get("model"))
        role = str(body["model"])
        asked = clean(body, model.max_output_tokens)
        asked = {name: value for name, value in asked.items() if name not in model.unsupported}
        self.last_messages = asked["messages"]
        if self.fault is not None:
            # The move is void already; asking again would only make the agent's box wait through the same retries.
            raise ModelError(self.fault, kind="unavailable")
        prepared = prepare(asked, model.protocol) if model.mend else Prepared(asked)
        limit = min(asked["max_tokens"], model.parameters.get("max_tokens", asked["max_tokens"]))
        request = {**prepared.request, **model.parameters, "model": model.name, "max_tokens": limit}
        completion = await self._once(role, model, request, prepared.events)
        if not model.mend:
            return completion.body
        reading = read(completion.body, asked, model.protocol)
        if reading.broken is not None:
            reading = await self._mended(role, model, request, asked, reading)
        self._count(model, reading.events)
        return reading.body

    def close(self) -> None:
        self._transcript.close()

    async def _mended(self, role: str, model: Model, request: Json, asked: Json, first: Reading) -> Reading:
        """The reading of a second answer, if it is better than the first one, which was broken."""
        self._count(model, (*first.events, "repair_retry"))
        plain = Reading(first.body, (), first.broken)
        try:
            completion = await self._once(role, model, again(request, first.body, str(first.broken)))
        except (BudgetSpent, ModelError):
            return plain  # the agent gets what there is; the failure is on record as a call of its own
        second = read(completion.body, asked, model.protocol)
        return second if second.broken is None else Reading(second.body, (*second.events, "repair_failed"))

    async def _once(self, role: str, model: Model, request: Json, events: Sequence[str] = ()) -> Completion:
        """One call, from its reservation to its settlement. Raises: `BudgetSpent`, `ModelError`."""
        self._count(model, events)
        reservation = await self._reserve(role, model, request)
        attempt = _Attempt(role, model, request, reservation, time.monotonic())
        return await self._send(attempt)

    def _count(self, model: Model, events: Sequence[str]) -> None:
        """Write down what was done to a request or an answer of a model."""
        if events:
            self.account.note(model.label, events)

    def _model(self, role: object) -> Model:
        for name, model in self.models.items():
            if name == role:
                return model
        roles = ", ".join(self.models)
        text = f"there is no model {role!r}; ask for a role: {roles}"
        raise RequestError(404, text, code="model_not_found", param="model")

    async def _reserve(self, role: str, model: Model, request: Json) -> Reservation:
        """Raises: `BudgetSpent`; where only this hour's money is spent, waits for the hour to pass."""
        worst = Worst.of(model.price, estimate(request, self._bytes_per_token), request["max_tokens"])
        while True:
            try:
                if self.spent_out is not None:
                    raise BudgetSpent(f"the budget of the {self.spent_out} is spent", self.spent_out)
                return await self.account.set_aside(role, model.label, worst)
            except BudgetSpent as error:
                if error.whose == "hour" and not self._shared.given_up.is_set():
                    await self._pause(error.seconds)
                    continue
                if self.spent_out is None:
                    self.spent_out = error.whose
                    call = Call(role, model.label, 0, 0, 0, 0.0, 0.0, 0, "budget")
                    self._transcript.write(request, None, call, at=_now(), error=str(error))
                raise

    async def _pause(self, seconds: float) -> None:
        """Wait, with nothing at a provider; the time is not the agent's."""
        task = asyncio.current_task()
        assert task is not None
        began = time.monotonic()
        self.pausing.add(task)
        try:
            await self._shared.retry.wait(seconds, self._shared.given_up)
        finally:
            self.pausing.discard(task)
            self.waited += time.monotonic() - began

    async def _send(self, attempt: _Attempt) -> Completion:
        task = asyncio.current_task()
        assert task is not None
        provider = attempt.model.provider

        async def once() -> Completion:
            return await self._try(attempt, task)

        def on_retry(error: ModelError, pause: float) -> None:
            self.pausing.add(task)
            attempt.tried = None
            attempt.retried.append(redact(f"{error} (tried again after {pause:.1f} s)"))

        try:
            completion = self._played(attempt)
            replayed = completion is not None
            if completion is None:
                completion = await self._shared.retry.call(once, on_retry, self._shared.given_up)
        except asyncio.CancelledError:
            # In a pause nothing is at the provider and nothing is owed; a try under way may be charged in full.
            usage = Usage() if task in self.pausing else None
            if task in self.pausing and attempt.retried:
                self.fault = self.fault or f"{attempt.model.label}: {attempt.retried[-1]}"
            self._close(attempt, None, usage, status="cancelled", error="the rollout ended before the answer came")
            raise
        except ModelError as error:
            self._note_fault(error, attempt.model)
            self._close(attempt, None, Usage(), status=error.kind, error=redact(str(error)))
            self._keep(attempt, error)
            raise
        except Exception as error:  # the boundary to providers, which others write: their bugs are not the agent's
            failure = ModelError(redact(f"the provider {provider.name!r} failed: {error!r}"), kind="unavailable")
            self._note_fault(failure, attempt.model)
            self._close(attempt, None, Usage(), status=failure.kind, error=str(failure))
            raise failure from error
        finally:
            self.pausing.discard(task)
        self.steps += 1
        usage = completion.usage if completion.usage != Usage() else None
        self._learn(attempt.reservation.worst.input_tokens, usage)
        self._close(attempt, completion, usage, status="replayed" if replayed else "ok", error=None)
        if not replayed:
            self._keep(attempt, completion)
        return completion

    async def _try(self, attempt: _Attempt, task: asyncio.Task[Any]) -> Completion:
        """One request to the provider, when its traffic allows it."""
        provider, traffic = attempt.model.provider, self._shared.traffic
        self.pausing.add(task)  # until it may be sent
        attempt.held += await traffic.enter(provider.name, attempt.tokens)
        self.pausing.discard(task)
        attempt.tried = time.monotonic()
        try:
            completion = await provider.complete(dict(attempt.request), self.scope)
        except ModelError as error:
            traffic.failed(provider.name, attempt.model.label, error, attempt.tokens)
            raise
        except BaseException:
            traffic.left(provider.name, attempt.tokens)
            raise
        seconds = time.monotonic() - attempt.tried
        traffic.answered(provider.name, attempt.model.label, seconds, attempt.tokens, completion.usage)
        return completion

    def _played(self, attempt: _Attempt) -> Completion | None:
        """The call's recorded answer, if it is to be had from a cassette. Raises: its recorded error."""
        if self._shared.cassette is None:
            return None
        ending = self._shared.cassette.play(self.scope, attempt.model.label, attempt.request)
        if isinstance(ending, ModelError):
            raise ending
        return ending

    def _keep(self, attempt: _Attempt, ending: Completion | ModelError) -> None:
        if self._shared.cassette is not None:
            self._shared.cassette.keep(self.scope, attempt.model.label, attempt.request, ending)

    def _close(
        self, attempt: _Attempt, completion: Completion | None, usage: Usage | None, *, status: str, error: str | None
    ) -> None:
        """Settle and write down; `usage` None charges the worst case."""
        label = attempt.model.label
        usd = attempt.model.price.of(usage) if usage is not None else 0.0
        cost = self.account.settle(attempt.reservation, usage, usd, status=status)
        ended = time.monotonic()
        if attempt.retried or attempt.held:
            self.waited += (attempt.tried or ended) - attempt.began
        if attempt.tried is not None:
            self.waited += self._shared.traffic.stalled(attempt.model.provider.name, label, ended - attempt.tried)
        call = _call(attempt.role, label, cost, ended - attempt.began, len(attempt.retried), status)
        self.calls.append(call)
        body = completion.body if completion is not None else None
        self._transcript.write(attempt.request, body, call, at=_now(), error=error, retried=attempt.retried)

    def _note_fault(self, error: ModelError, model: Model) -> None:
        if self.fault is None and is_house_fault(error, model):
            self.fault = redact(f"{model.label}: {error}")

    def _learn(self, estimated: int, usage: Usage | None) -> None:
        """A prompt denser than estimated makes the next estimates of this rollout denser, with a tenth to spare."""
        if usage is not None and usage.input_tokens > estimated:
            self._bytes_per_token *= estimated / (1.1 * usage.input_tokens)


def is_house_fault(error: ModelError, model: Model) -> bool:
    """Whether a call without an answer says nothing about the agent.

    A provider's refusal of a request's content is the agent's matter, unless it names a field that the settings set.
    """
    if error.kind == "unavailable":
        return True
    if error.kind == "context_length":
        return False
    if error.status is None or error.status in HOUSE_STATUSES:
        return True
    return any(name in str(error) for name in model.parameters)


def total(calls: list[Call] | tuple[Call, ...]) -> Bill:
    """The bill of some calls."""
    bill = Bill()
    for call in calls:
        bill += Bill(1, call.input_tokens, call.cached_tokens, call.output_tokens, call.usd)
    return bill


def _call(role: str, model: str, cost: Bill, seconds: float, retries: int, status: str) -> Call:
    return Call(
        role, model, cost.input_tokens, cost.cached_tokens, cost.output_tokens, cost.usd, seconds, retries, status
    )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
