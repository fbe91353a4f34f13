"""A model service on loopback that does what a test tells it to, and a plain HTTP client for a session's socket."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import web

from evolve.llm import Completion, Json, Model, Price, Scope, Usage

CANARY = "sk-proj-CANARYcanaryCANARY0123456789"


def completion(text: str | None = "hello", **more: Any) -> Json:
    """A chat-completions answer as services write it."""
    message = {"role": "assistant", "content": text, **more.pop("message", {})}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "big-model-2026",
        "choices": [{"index": 0, "message": message, "finish_reason": more.pop("finish_reason", "stop")}],
        "usage": {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110},
        **more,
    }


@dataclass
class Said:
    """One scripted answer of the upstream."""

    body: Json | bytes | str
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    reset: bool = False
    """Drop the connection instead of answering."""


class Upstream:
    """A real HTTP server in a thread. It gives its scripted answers in turn, and the last of them again and again."""

    def __init__(self) -> None:
        self.script: list[Said] = [Said(completion())]
        self.requests: list[tuple[dict[str, str], str, Json]] = []
        self.answered = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._runner = asyncio.run_coroutine_threadsafe(self._start(), self._loop).result()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    def says(self, *answers: Said | Json) -> None:
        self.script = [each if isinstance(each, Said) else Said(each) for each in answers]

    def close(self) -> None:
        asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _start(self) -> web.ServerRunner:
        runner = web.ServerRunner(web.Server(self._answer, access_log=None), shutdown_timeout=0.5)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return runner

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.requests.append((headers, request.path, json.loads(await request.content.read())))
        said = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        await asyncio.sleep(said.seconds)
        if said.reset:
            assert request.transport is not None
            request.transport.abort()
        self.answered += 1
        content = said.body if isinstance(said.body, bytes | str) else json.dumps(said.body)
        raw = content.encode() if isinstance(content, str) else content
        return web.Response(body=raw, status=said.status, headers={"content-type": "application/json", **said.headers})


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """What these tests talk to is on this machine."""
    monkeypatch.setenv("no_proxy", "127.0.0.1,localhost,gateway")


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    server = Upstream()
    yield server
    server.close()


class UnixConnection(http.client.HTTPConnection):
    """http.client over a Unix socket."""

    def __init__(self, path: Path, timeout: float = 30.0) -> None:
        super().__init__("gateway", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


@dataclass(frozen=True)
class Heard:
    status: int
    headers: dict[str, str]
    content: bytes

    @property
    def body(self) -> Any:
        return json.loads(self.content)


def ask(
    path: Path, body: Json | bytes | None = None, *, method: str = "POST", url: str = "/v1/chat/completions"
) -> Heard:
    """One request to a session's socket."""
    connection = UnixConnection(path)
    raw = json.dumps(body).encode() if isinstance(body, dict) else body
    try:
        connection.request(method, url, raw, {"authorization": "Bearer mine", "x-secret": "header"})
        response = connection.getresponse()
        return Heard(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
    finally:
        connection.close()


class Fake:
    """A provider made of one function of the request."""

    name = "fake"

    def __init__(self, answer: Callable[[Json], Completion]) -> None:
        self.answer = answer
        self.requests: list[Json] = []
        self.closed = 0

    async def complete(self, request: Json, scope: Scope) -> Completion:
        self.requests.append(request)
        return self.answer(request)

    async def close(self) -> None:
        self.closed += 1


def hello(request: Json) -> Completion:
    return Completion(completion(), Usage(100, 0, 0, 10))


def model(provider: Any = None, price: Price | None = None, **more: Any) -> Model:
    return Model(provider or Fake(hello), "m", price or Price(1.0, 2.0), **more)


@pytest.fixture
def kit() -> SimpleNamespace:
    """What the tests of this folder share: test files cannot import each other."""
    return SimpleNamespace(
        completion=completion,
        Said=Said,
        ask=ask,
        Fake=Fake,
        hello=hello,
        model=model,
        UnixConnection=UnixConnection,
        canary=CANARY,
    )
