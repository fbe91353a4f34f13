"""The one way to the models: it alone holds the keys, and it meters, retries, records and stops at the budget.

An event loop in one daemon thread serves all rollouts of a process; everything here may be called from any thread.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import threading
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import uvloop

from archive import Call
from evolve.llm.base import Caps, Json, Model, ModelError, Role, Scope
from evolve.llm.cassette import Cassette
from evolve.llm.ledger import Ledger
from evolve.llm.meter import Meter, Shared
from evolve.llm.probe import Probe
from evolve.llm.retry import Retry
from evolve.llm.session import Session
from evolve.llm.traffic import Traffic
from evolve.llm.transcript import Writer
from evolve.llm.tripwire import Tripwire
from evolve.llm.wire import RequestError

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Reply:
    """A model's answer to a question of the house's own."""

    text: str
    """Empty if the model answered with tool calls alone."""
    call: Call


class Gateway:
    """Sessions for rollouts, and single questions for the house itself. A context manager."""

    def __init__(
        self,
        models: Mapping[Role, Model],
        ledger: Ledger,
        *,
        folder: Path | None = None,
        retry: Retry | None = None,
        traffic: Traffic | None = None,
        cassette: Cassette | None = None,
        tripwire: Tripwire | None = None,
        drain_seconds: float = 10.0,
    ) -> None:
        """Serve `models` and book on `ledger`, which holds the run's caps and stays open when the gateway closes.

        Args:
            folder: where the sockets' directories are made; a fresh one among the temporary files if not given.
            traffic: the services' rate limits and outages.
            cassette: where answers are recorded or played from; stays open when the gateway closes.
            tripwire: looks for keys in what boxes send; once one is found, no box gets an answer any more.
            drain_seconds: how long the end of a session waits for calls under way before it charges them in full.
        """
        self.models = dict(models)
        self.ledger = ledger
        self.traffic = traffic or Traffic()
        self.traffic.ask = Probe(self.models, ledger)
        self._given_up = asyncio.Event()
        self._shared = Shared(retry or Retry(), self.traffic, self._given_up, cassette, tripwire=tripwire)
        self._drain_seconds = drain_seconds
        self._folder = folder
        self._sockets: Path | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the loop's thread. Raises: `ModelError` if it runs already."""
        if self._thread is not None:
            raise ModelError("this gateway is started already", kind="refused")
        if self._folder is not None:
            self._folder.mkdir(parents=True, exist_ok=True)
        self._sockets = Path(tempfile.mkdtemp(prefix="clade-", dir=self._folder))
        # Passable but not listable: a box's user gets through, others on this host would have to guess names.
        self._sockets.chmod(0o711)
        self._loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="clade-gateway", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Close the providers and end the thread; sessions must have been closed before. Safe to call twice."""
        if self._thread is None or self._loop is None or self._sockets is None:
            return
        self._run(self._shut_down())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        shutil.rmtree(self._sockets, ignore_errors=True)
        self._thread = self._loop = self._sockets = None

    def give_up(self) -> None:
        """Wait no longer for providers that fail: pauses under way end, and no call is tried again from now on.

        For a run that was asked to stop. May be called from a signal handler, and on a closed gateway.
        """
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._given_up.set)
            self._loop.call_soon_threadsafe(self.traffic.give_up)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @contextmanager
    def session(
        self, scope: Scope, *, log: Path | None, caps: Caps, models: Mapping[Role, Model] | None = None
    ) -> Iterator[Session]:
        """A rollout's session, served while the context lasts; its figures stay readable afterwards.

        Args:
            scope: whom the calls are for; its key stands in the ledger.
            log: folder that gets `transcript.jsonl`.
            caps: what the rollout may use, besides the run's own caps.
            models: instead of the gateway's (the life check's scripted model); closing their providers is the caller's.

        Raises: `ModelError` if the gateway is not started or the socket cannot be made.
        """
        meter = self._meter(scope, log, caps, models)
        if self._sockets is None:
            raise ModelError("the gateway is not started", kind="refused")
        session = Session(meter, self._sockets, self._drain_seconds)
        try:
            self._run(session.open())
            yield session
        finally:
            self._run(session.close())

    def complete(
        self,
        scope: Scope,
        role: Role,
        messages: Sequence[Json],
        *,
        log: Path | None = None,
        caps: Caps | None = None,
        **parameters: Any,
    ) -> Reply:
        """Ask a model one question for the house itself, metered and recorded as a rollout's calls are.

        `caps` hold for this one call; `parameters` are further fields of the request.

        Raises: `ModelError`, `BudgetSpent`.
        """
        meter = self._meter(scope, log, caps or Caps(), None)
        try:
            body = self._run(meter.call({**parameters, "model": role, "messages": list(messages)}))
        except RequestError as error:
            raise ModelError(str(error), kind="refused", status=error.status) from None
        finally:
            meter.close()
        return Reply(body["choices"][0]["message"].get("content") or "", meter.calls[-1])

    def _meter(self, scope: Scope, log: Path | None, caps: Caps, models: Mapping[Role, Model] | None) -> Meter:
        account = self.ledger.account(scope.key, caps, move=scope.move or scope.key)
        own = self.models if models is None else models
        return Meter(scope, own, account, Writer(log), self._shared)

    def _run(self, work: Coroutine[Any, Any, Result]) -> Result:
        if self._loop is None:
            work.close()
            raise ModelError("the gateway is not started", kind="refused")
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _shut_down(self) -> None:
        await self.traffic.close()
        for provider in {id(model.provider): model.provider for model in self.models.values()}.values():
            await provider.close()
        await asyncio.get_running_loop().shutdown_asyncgens()
        await asyncio.get_running_loop().shutdown_default_executor()
