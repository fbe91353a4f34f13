"""One rollout's calls: checked, reserved, sent with retries, settled and written down.

A `Meter` belongs to the gateway's event loop; what it has counted may be read from any thread. It tells the agent's
faults (a malformed request, too long a history) from the house's (no provider, a bad key): only the latter set `fault`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from archive import Bill, Call
from evolve.llm.base import Completion, Json, Model, ModelError, Role, Scope, Usage
from evolve.llm.carried import Carried, bare, is_blamed, visible
from evolve.llm.cassette import Cassette, Take
from evolve.llm.dialect import Prepared, Reading, again, prepare, read
from evolve.llm.ledger import Account, BudgetSpent, Reservation, Whose
from evolve.llm.machine_time import MachineTime
from evolve.llm.purse import Purse
from evolve.llm.redact import redact
from evolve.llm.retry import Retry
from evolve.llm.traffic import CONTENT_STATUSES, Traffic
from evolve.llm.transcript import Writer
from evolve.llm.tripwire import Tripwire
from evolve.llm.wire import RequestError, clean

CUT_OFF = "cut_off"
"""Status of a try whose answer was lost on the way, and which was made again: charged in full."""


@dataclass(slots=True)
class _Attempt:
    """What is known of a call while it is under way."""

    role: str
    model: Model
    request: Json
    reservation: Reservation | None
    """None once a try that was lost is paid and nothing is set aside for the next one."""
    began: float
    retried: list[str] = field(default_factory=list)
    tried: float | None = None
    """When the try under way began; None while waiting for the next one."""
    without: bool = False
    """Whether what the model thought is left out: the service refused it."""
    held: float = 0.0
    """Seconds that tries were held back for the service's sake."""
    owed: bool = False
    """Whether the last try was sent and its answer lost: the service may have charged it."""
    machine_seconds: float = 0.0
    """Its share of the time of a machine that is paid by the hour."""
    booked: list[Call] = field(default_factory=list)
    """What was charged for it so far: tries whose answers were lost, and in the end the call itself."""
    lost: list[str] = field(default_factory=list)
    """Why those answers were lost."""

    @property
    def tokens(self) -> int:
        assert self.reservation is not None
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
    machines: MachineTime = field(default_factory=MachineTime)
    tripwire: Tripwire | None = None


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
        self._purse = Purse(account, shared.retry.deadline)
        self._carried = Carried()

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
        request = self._carried.restored(request, model.label)
        completion = await self._once(role, model, request, prepared.events)
        self._carried.keep(request, model.label, completion.body["choices"][0]["message"])
        if not model.mend:
            return visible(completion.body)
        reading = read(completion.body, asked, model.protocol)
        if reading.broken is not None:
            reading = await self._mended(role, model, request, asked, reading)
        self._count(model, reading.events)
        return visible(reading.body)

    def check(self, content: bytes) -> None:
        """Look for keys in what a box has sent, before anything is done with it.

        Raises: `ModelError` where one is found, in this box or, earlier, in another one of the run.
        """
        tripwire = self._shared.tripwire
        if tripwire is None:
            return
        tripwire.check(content, f"a request of {self.scope.key} to its model")
        if tripwire.breach is not None:
            self.fault = tripwire.breach
            raise ModelError(tripwire.breach, kind="unavailable")

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
        request = self._purse.within_call(model, request)
        cassette = self._shared.cassette
        if cassette is not None and self.spent_out is None:
            try:
                take = cassette.play(self.scope, role, model.label, request)
            except ModelError as error:
                self._note_fault(error, model)
                raise
            if take is not None:
                return self._replayed(role, model, request, take)
        spent_before = self.spent_out is not None
        try:
            reservation = await self._reserve(role, model, request)
        except (BudgetSpent, ModelError) as error:
            if not spent_before:  # what is asked after the end is refused without asking the cassette, too
                self._keep(model, request, error)
            raise
        attempt = _Attempt(role, model, request, reservation, time.monotonic())
        return await self._send(attempt)

    def _replayed(self, role: str, model: Model, request: Json, take: Take) -> Completion:
        """End a call as it ended when it was recorded, and book what it cost then.

        Raises: `BudgetSpent`, `ModelError`, as it did then.
        """
        ending, sent, lost = take.ending, {**request, "messages": list(take.messages)}, iter(take.lost)
        last = Call(role, model.label, 0, 0, 0, 0.0, 0.0, 0, "budget") if isinstance(ending, BudgetSpent) else None
        for then in take.calls:
            usage = Usage(then.input_tokens, then.cached_tokens, output_tokens=then.output_tokens)
            self.account.book(role, model.label, usage, then.usd, status="replayed")
            call = replace(then, role=role, status="replayed" if then.status == "ok" else then.status)
            self.calls.append(call)
            if call.status == CUT_OFF:
                self._transcript.write(sent, None, call, at=_now(), error=next(lost, None))
            else:
                last = call
        if isinstance(ending, Completion):
            assert last is not None
            self.steps += 1
            self._purse.learn(request, self._purse.prompt_tokens(request), ending.usage)
            self._transcript.write(sent, ending.body, last, at=_now())
            return ending
        if last is not None:  # else it ended before it was sent, or once more after a lost try
            self._transcript.write(sent, None, last, at=_now(), error=redact(str(ending)))
        if isinstance(ending, BudgetSpent):
            self.spent_out = ending.whose
        else:
            self._note_fault(ending, model)
        raise ending

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
        worst = self._purse.worst(model, request)
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
            if attempt.owed:
                await self._pay_lost(attempt)
            return await self._try(attempt, task)

        def on_retry(error: ModelError, pause: float) -> None:
            self.pausing.add(task)
            attempt.tried = None
            attempt.retried.append(redact(f"{error} (tried again after {pause:.1f} s)"))

        try:
            completion = await self._shared.retry.call(once, on_retry, self._shared.given_up)
        except asyncio.CancelledError:
            # A try that was under way may be charged in full; in a pause nothing is at the provider.
            usage = None if attempt.owed else Usage()
            why = attempt.retried[-1] if attempt.retried else self._shared.traffic.hopeless(provider.name)
            if task in self.pausing and why is not None:
                self.fault = self.fault or redact(f"{attempt.model.label}: {why}")
            self._close(attempt, None, usage, status="cancelled", error="the rollout ended before the answer came")
            raise
        except BudgetSpent as error:  # after a lost try there was nothing left for another
            self._keep(attempt.model, attempt.request, error, attempt.booked, attempt.lost)
            raise
        except ModelError as error:
            self._note_fault(error, attempt.model)
            self._close(attempt, None, None if attempt.owed else Usage(), status=error.kind, error=redact(str(error)))
            self._keep(attempt.model, attempt.request, error, attempt.booked, attempt.lost)
            raise
        except Exception as error:  # the boundary to providers, which others write: their bugs are not the agent's
            failure = ModelError(redact(f"the provider {provider.name!r} failed: {error!r}"), kind="unavailable")
            self._note_fault(failure, attempt.model)
            usage = None if attempt.owed else Usage()
            self._close(attempt, None, usage, status=failure.kind, error=str(failure))
            self._keep(attempt.model, attempt.request, failure, attempt.booked, attempt.lost)
            raise failure from error
        finally:
            self.pausing.discard(task)
        self.steps += 1
        assert attempt.reservation is not None
        self._purse.learn(attempt.request, attempt.reservation.worst.input_tokens, completion.usage)
        call = self._booked(attempt, completion.usage if completion.usage.told else None, "ok")
        # The money is booked; what was said is written down while the agent reads. The event loop runs this before
        # anything that the agent says next.
        asyncio.get_running_loop().call_soon(self._written, attempt, completion, call)
        return completion

    def _written(self, attempt: _Attempt, completion: Completion, call: Call | None) -> None:
        """Write down what a call said."""
        try:
            if call is not None:
                self._write(attempt, completion, call, None)
            self._keep(attempt.model, attempt.request, completion, attempt.booked, attempt.lost)
        except Exception as error:  # noqa: BLE001 -- as in `call`: a full disk or a bug of ours makes the move void
            self.fault = self.fault or redact(f"the gateway failed: {error!r}")

    async def _try(self, attempt: _Attempt, task: asyncio.Task[Any]) -> Completion:
        """One request to the provider, when its traffic allows it."""
        provider, traffic = attempt.model.provider, self._shared.traffic
        self.pausing.add(task)  # until it may be sent
        asked = time.monotonic()
        try:
            passed = await traffic.enter(provider.name, attempt.tokens, self.scope.key)
        except (ModelError, asyncio.CancelledError):
            attempt.held += time.monotonic() - asked
            raise
        attempt.held += passed.waited
        self.pausing.discard(task)
        attempt.tried = time.monotonic()
        entered = self._shared.machines.enter(provider.name)
        request = bare(attempt.request) if attempt.without else dict(attempt.request)
        try:
            completion = await provider.complete(request, self.scope)
        except ModelError as error:
            if is_blamed(error, request):
                traffic.left(passed)
                attempt.without = True
                text = f"{error} (asked again without what the model thought before)"
                raise ModelError(text, kind="unavailable", status=error.status) from error
            attempt.owed = error.lost
            traffic.failed(passed, attempt.model.label, error)
            raise
        except BaseException:
            attempt.owed = True
            traffic.left(passed)
            raise
        finally:
            attempt.machine_seconds += self._shared.machines.leave(provider.name, entered)
        seconds = time.monotonic() - attempt.tried
        traffic.answered(passed, attempt.model.label, seconds, completion.usage)
        return completion

    async def _pay_lost(self, attempt: _Attempt) -> None:
        """Charge a try whose answer was lost in full, as a call of its own, and set the next one's cost aside.

        Raises: `BudgetSpent`.
        """
        assert attempt.reservation is not None
        began = attempt.tried or attempt.began
        cost, reservation = self._charged(attempt, attempt.reservation, None, CUT_OFF), attempt.reservation
        attempt.reservation = None
        why = attempt.retried[-1]  # a try after a lost one is one more
        attempt.lost.append(why)
        call = _call(attempt.role, attempt.model.label, cost, time.monotonic() - began, 0, CUT_OFF)
        self.calls.append(call)
        attempt.booked.append(call)
        self._transcript.write(attempt.request, None, call, at=_now(), error=why)
        attempt.reservation = await self._reserve(reservation.role, attempt.model, attempt.request)
        attempt.owed = False

    def _charged(self, attempt: _Attempt, reservation: Reservation, usage: Usage | None, status: str) -> Bill:
        seconds, attempt.machine_seconds = attempt.machine_seconds, 0.0
        return self._purse.settle(attempt.model, reservation, usage, seconds, status)

    def _keep(
        self,
        model: Model,
        request: Json,
        ending: Completion | ModelError | BudgetSpent,
        calls: Sequence[Call] = (),
        lost: Sequence[str] = (),
    ) -> None:
        if self._shared.cassette is not None:
            self._shared.cassette.keep(self.scope, model.label, request, ending, calls, lost)

    def _close(
        self, attempt: _Attempt, completion: Completion | None, usage: Usage | None, *, status: str, error: str | None
    ) -> None:
        """Settle and write down; `usage` None charges the worst case."""
        call = self._booked(attempt, usage, status)
        if call is not None:
            self._write(attempt, completion, call, error)

    def _booked(self, attempt: _Attempt, usage: Usage | None, status: str) -> Call | None:
        """Settle; None if all that was sent is paid already. `usage` None charges the worst case."""
        if attempt.reservation is None:
            return None
        label = attempt.model.label
        cost = self._charged(attempt, attempt.reservation, usage, status)
        ended = time.monotonic()
        if attempt.retried or attempt.held:
            self.waited += (attempt.tried or ended) - attempt.began
        if attempt.tried is not None:
            self.waited += self._shared.traffic.stalled(attempt.model.provider.name, label, ended - attempt.tried)
        call = _call(attempt.role, label, cost, ended - attempt.began, len(attempt.retried), status)
        self.calls.append(call)
        attempt.booked.append(call)
        return call

    def _write(self, attempt: _Attempt, completion: Completion | None, call: Call, error: str | None) -> None:
        body = completion.body if completion is not None else None
        self._transcript.write(attempt.request, body, call, at=_now(), error=error, retried=attempt.retried)

    def _note_fault(self, error: ModelError, model: Model) -> None:
        if self.fault is None and is_house_fault(error, model):
            self.fault = redact(f"{model.label}: {error}")


def is_house_fault(error: ModelError, model: Model) -> bool:
    """Whether a call without an answer says nothing about the agent.

    A provider's refusal of a request's content is the agent's matter, unless it names a field that the settings set.
    """
    if error.kind == "unavailable":
        return True
    if error.kind == "context_length":
        return False
    if error.status not in CONTENT_STATUSES:
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
