"""One rollout's calls: checked, reserved, sent with retries, settled and written down.

A `Meter` belongs to the gateway's event loop; what it has counted may be read from any thread. It tells the agent's
faults (a malformed request, too long a history) from the house's (no provider, a bad key): only the latter set `fault`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from archive import Bill, Call
from evolve.llm.base import Completion, Json, Model, ModelError, Role, Scope, Usage
from evolve.llm.ledger import Account, BudgetSpent, Reservation, Whose, Worst
from evolve.llm.redact import redact
from evolve.llm.retry import Retry
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


class Meter:
    """Makes one scope's model calls and keeps count of them."""

    def __init__(
        self,
        scope: Scope,
        models: Mapping[Role, Model],
        account: Account,
        transcript: Writer,
        retry: Retry,
        given_up: asyncio.Event | None = None,
    ) -> None:
        """`given_up`, once set, ends all retries: what fails then has failed."""
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
        self._retry = retry
        self._given_up = given_up
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
        request = clean(body, model.max_output_tokens)
        limit = min(request["max_tokens"], model.parameters.get("max_tokens", request["max_tokens"]))
        request |= {**model.parameters, "model": model.name, "max_tokens": limit}
        self.last_messages = request["messages"]
        if self.fault is not None:
            # The move is void already; asking again would only make the agent's box wait through the same retries.
            raise ModelError(self.fault, kind="unavailable")
        attempt = _Attempt(role, model, request, await self._reserve(role, model, request), time.monotonic())
        return (await self._send(attempt)).body

    def close(self) -> None:
        self._transcript.close()

    def _model(self, role: object) -> Model:
        for name, model in self.models.items():
            if name == role:
                return model
        roles = ", ".join(self.models)
        text = f"there is no model {role!r}; ask for a role: {roles}"
        raise RequestError(404, text, code="model_not_found", param="model")

    async def _reserve(self, role: str, model: Model, request: Json) -> Reservation:
        worst = Worst.of(model.price, estimate(request, self._bytes_per_token), request["max_tokens"])
        try:
            if self.spent_out is not None:
                raise BudgetSpent(f"the budget of the {self.spent_out} is spent", self.spent_out)
            if worst.usd > 0:
                # Written through to the disk, which takes milliseconds that the other sessions' loop should not lose.
                return await asyncio.to_thread(self.account.reserve, role, model.label, worst)
            return self.account.reserve(role, model.label, worst)
        except BudgetSpent as error:
            if self.spent_out is None:
                self.spent_out = error.whose
                call = Call(role, model.label, 0, 0, 0, 0.0, 0.0, 0, "budget")
                self._transcript.write(request, None, call, at=_now(), error=str(error))
            raise

    async def _send(self, attempt: _Attempt) -> Completion:
        task = asyncio.current_task()
        assert task is not None
        provider = attempt.model.provider

        async def once() -> Completion:
            self.pausing.discard(task)
            attempt.tried = time.monotonic()
            return await provider.complete(dict(attempt.request), self.scope)

        def on_retry(error: ModelError, pause: float) -> None:
            self.pausing.add(task)
            attempt.tried = None
            attempt.retried.append(redact(f"{error} (tried again after {pause:.1f} s)"))

        try:
            completion = await self._retry.call(once, on_retry, self._given_up)
        except asyncio.CancelledError:
            # In a pause nothing is at the provider and nothing is owed; a try under way may be charged in full.
            usage = Usage() if task in self.pausing else None
            if task in self.pausing:
                self.fault = self.fault or f"{attempt.model.label}: {attempt.retried[-1]}"
            self._close(attempt, None, usage, status="cancelled", error="the rollout ended before the answer came")
            raise
        except ModelError as error:
            self._note_fault(error, attempt.model)
            self._close(attempt, None, Usage(), status=error.kind, error=redact(str(error)))
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
        self._close(attempt, completion, usage, status="ok", error=None)
        return completion

    def _close(
        self, attempt: _Attempt, completion: Completion | None, usage: Usage | None, *, status: str, error: str | None
    ) -> None:
        """Settle and write down; `usage` None charges the worst case."""
        label = attempt.model.label
        usd = attempt.model.price.of(usage) if usage is not None else 0.0
        cost = self.account.settle(attempt.reservation, usage, usd, status=status)
        ended = time.monotonic()
        if attempt.retried:
            self.waited += (attempt.tried or ended) - attempt.began
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
