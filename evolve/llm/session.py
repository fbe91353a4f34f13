"""One rollout's window to the models: an HTTP server on a Unix socket of its own.

Who is asking is told by the socket, so there is no token in a box to steal or to forge. The socket is the only file of
its directory, and the directory is what gets bound into the box: a socket file that is bound itself would be lost for
the box when it is made anew.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from asyncio import AbstractServer
from pathlib import Path
from typing import Any

from archive import Call
from evolve.llm.base import Json, ModelError
from evolve.llm.http_server import HttpServer, Request, Response
from evolve.llm.jsontext import dumps
from evolve.llm.ledger import BudgetSpent, Whose
from evolve.llm.meter import Meter
from evolve.llm.redact import redact
from evolve.llm.wire import BODY_LIMIT, RequestError, answer_body, error_body, parse, stream_of

SOCKET = "gateway.sock"
SUN_PATH = 107
"""Longest path of a Unix socket on Linux, in bytes (`sun_path` of unix(7) less its closing zero)."""
CONNECTIONS = 64
"""Connections a box may hold at once: each is a file descriptor of the host."""


class Session:
    """What a rollout sees of the gateway: a directory to bind, and afterwards the calls that were made.

    Made by `Gateway.session`. Properties may be read from any thread at any time.
    """

    def __init__(self, meter: Meter, parent: Path, drain_seconds: float) -> None:
        self.directory = parent / secrets.token_hex(8)
        """Folder with the one socket, to be bound into the box."""
        self._meter = meter
        self._drain_seconds = drain_seconds
        self._calls: set[asyncio.Task[Any]] = set()
        self._idle = asyncio.Event()
        """Set whenever a call ends."""
        self._closing = False
        self._ends: float | None = None
        """When the agent's time is up, by the monotonic clock; None where it has no such time."""
        self._web: HttpServer | None = None
        self._listener: AbstractServer | None = None

    @property
    def socket(self) -> Path:
        return self.directory / SOCKET

    def begins(self, seconds: float) -> None:
        """The agent starts now and has so much time: what `GET /budget` tells it."""
        self._ends = time.monotonic() + seconds

    @property
    def bill(self) -> tuple[Call, ...]:
        """Calls so far, answered or not, in the order in which they ended."""
        return tuple(self._meter.calls)

    @property
    def fault(self) -> str | None:
        """The house's fault that kept the agent from an answer, in one sentence; the move is void."""
        return self._meter.fault

    @property
    def spent_out(self) -> Whose | None:
        """Whose cap was hit, if any."""
        return self._meter.spent_out

    @property
    def steps(self) -> int:
        """Calls that were answered."""
        return self._meter.steps

    @property
    def waited(self) -> float:
        """Seconds that the agent lost to tries that failed and to the pauses after them: not its own time."""
        return self._meter.waited

    @property
    def last_messages(self) -> list[Json]:
        """Messages of the last well-formed request."""
        return list(self._meter.last_messages)

    async def open(self) -> None:
        """Start serving. Raises: `ModelError` if the socket cannot be made."""
        if len(str(self.socket).encode()) > SUN_PATH:
            raise ModelError(
                f"{self.socket} is longer than the {SUN_PATH} bytes a socket's path may have: use a shorter folder",
                kind="refused",
            )
        self._web = HttpServer(self._answer, body_limit=BODY_LIMIT, connections=CONNECTIONS)
        try:
            self.directory.mkdir(mode=0o700)
            self._listener = await asyncio.get_running_loop().create_unix_server(self._web, str(self.socket))
            # The box's user is another one than ours; strangers on this host cannot list the folder above.
            self.socket.chmod(0o666)
            self.directory.chmod(0o755)
        except OSError as error:
            raise ModelError(f"the socket {self.socket} cannot be made: {error}", kind="refused") from error

    async def close(self) -> None:
        """Stop serving; let calls that are at a provider finish for a while, then charge them in full."""
        self._closing = True
        if self._listener is not None:
            self._listener.close()
        for task in self._calls & self._meter.pausing:
            task.cancel()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._ended(), self._drain_seconds)
        for task in self._calls:
            task.cancel()
        await self._ended()
        if self._web is not None:
            await self._web.shutdown(1.0)
        if self._listener is not None:
            await self._listener.wait_closed()
        self._meter.close()
        self.socket.unlink(missing_ok=True)
        if self.directory.exists():
            self.directory.rmdir()

    async def _answer(self, request: Request) -> Response:
        match request.method, request.path:
            case "POST", "/v1/chat/completions":
                return await self._complete(request)
            case "GET", "/v1/models":
                about = {"object": "model", "created": 0, "owned_by": "clade"}
                return _json(200, {"object": "list", "data": [{"id": role, **about} for role in self._meter.models]})
            case "GET", "/budget":
                return _json(200, self._budget())
        text = "only POST /v1/chat/completions, GET /v1/models and GET /budget are served here"
        return _json(404, error_body(text, type="invalid_request_error", code="not_found"))

    def _budget(self) -> Json:
        left = self._meter.account.left()
        seconds = None if self._ends is None else max(0.0, round(self._ends - time.monotonic(), 1))
        rest = {"usd": left.usd, "tokens": left.tokens, "calls": left.calls, "seconds": seconds}
        return {"left": rest, "steps": self.steps}

    async def _complete(self, request: Request) -> Response:
        try:
            if request.body is None:
                raise RequestError(413, f"the body is larger than {BODY_LIMIT} bytes", code="request_too_large")
            self._meter.check(request.body)
            body = parse(request.body)
            completion = await self._call(body)
        except RequestError as error:
            return _json(error.status, error.body)
        except BudgetSpent as error:
            return _json(402, error_body(str(error), type="budget_exceeded", code="budget_exceeded"))
        except ModelError as error:
            return _model_error(error)
        answer = answer_body(completion, str(body["model"]))
        if not body.get("stream"):
            return _json(200, answer)
        options = body.get("stream_options")
        include_usage = isinstance(options, dict) and options.get("include_usage") is True
        return Response(200, stream_of(answer, include_usage=include_usage), "text/event-stream")

    async def _call(self, body: Json) -> Json:
        """The call, in the task of its request, which goes on, to be paid, when the client hangs up."""
        task = asyncio.current_task()
        assert task is not None
        self._refuse_when_over()
        self._calls.add(task)
        try:
            return await self._meter.call(body)
        except asyncio.CancelledError:
            if self._closing:
                task.uncancel()
                self._refuse_when_over()
            raise
        finally:
            self._calls.discard(task)
            self._idle.set()

    def _refuse_when_over(self) -> None:
        if self._closing:
            raise ModelError("the rollout is over", kind="unavailable")

    async def _ended(self) -> None:
        """Wait until no call is under way; what its client does with the answer is not waited for."""
        while self._calls:
            self._idle.clear()
            await self._idle.wait()


def _model_error(error: ModelError) -> Response:
    text = redact(str(error))
    if error.kind == "context_length":
        body = error_body(text, type="invalid_request_error", code="context_length_exceeded", param="messages")
        return _json(400, body)
    if error.kind == "refused":
        return _json(502 if error.status != 400 else 400, error_body(text, type="model_refused", code="model_refused"))
    return _json(503, error_body(text, type="model_unavailable", code="model_unavailable"))


def _json(status: int, body: Json) -> Response:
    # The header tells client libraries that trying again is pointless: that has been done already.
    headers = (("x-should-retry", "false"),) if status >= 400 else ()
    return Response(status, dumps(body), headers=headers)
