"""A model service on loopback that does what a test tells it to, and a plain HTTP client for a session's socket."""

from __future__ import annotations

import asyncio
import http.client
import importlib.util
import json
import selectors
import socket
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType, SimpleNamespace
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
    """One request to a session's socket, and if it is answered, its booking: a gateway does that before it reads on."""
    connection = UnixConnection(path)
    raw = json.dumps(body).encode() if isinstance(body, dict) else body
    try:
        connection.request(method, url, raw, {"authorization": "Bearer mine", "x-secret": "header"})
        response = connection.getresponse()
        heard = Heard(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
        if heard.status == 200 and method == "POST":
            connection.request("GET", "/budget")
            assert connection.getresponse().read()
        return heard
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


FIGURES = {
    "vllm": (
        "vllm:num_requests_running",
        "vllm:num_requests_waiting",
        "vllm:kv_cache_usage_perc",
        "vllm:generation_tokens_total",
        "vllm:num_preemptions_total",
    ),
    "sglang": (
        "sglang:num_running_reqs",
        "sglang:num_queue_reqs",
        "sglang:token_usage",
        "sglang:generation_tokens_total",
        "",
    ),
    "llamacpp": (
        "llamacpp:requests_processing",
        "llamacpp:requests_deferred",
        "llamacpp:kv_cache_usage_ratio",
        "llamacpp:tokens_predicted_total",
        "",
    ),
}
"""What servers call running and waiting calls, memory in use, tokens written, and calls thrown out of memory."""


class ReplicaServer:
    """A stand-in for one vLLM server: serves so many calls at once, tells figures, and can die, hang and come back."""

    def __init__(
        self,
        *,
        slots: int = 8,
        seconds: float = 0.0,
        socket: Path | None = None,
        tells: bool = True,
        maker: str = "vllm",
    ) -> None:
        """
        Args:
            slots: calls worked on at once, each for `seconds`.
            socket: a Unix socket in place of a port.
            tells: whether there are figures at /metrics.
            maker: whose names they have: vllm, sglang or llamacpp.
        """
        self.names = FIGURES[maker]
        self.slots = slots
        self.seconds = seconds
        self.tells = tells
        self.status = 200
        self.hangs = False
        """No call is answered, and nothing at /metrics either."""
        self.stuck = False
        """No call is answered; figures are told."""
        self.heard: list[tuple[str | None, Json]] = []
        """The rollout that each call was for, as the header says, and its body."""
        self.looks = 0
        self.running = self.waiting = self.most = self.generated = self.preempted = 0
        self.kv_use = 0.1
        self.answer: Callable[[Json], Json] = lambda body: completion()
        self.port = 0
        self._socket = socket
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._runner: web.ServerRunner | None = None
        self.start()

    @property
    def url(self) -> str:
        return "http://vllm/v1" if self._socket else f"http://127.0.0.1:{self.port}/v1"

    @property
    def rollouts(self) -> list[str | None]:
        return [session for session, _ in self.heard]

    def start(self) -> None:
        """Serve; again after `kill` at the same port."""
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result()

    def kill(self) -> None:
        """Drop every connection and listen no more."""
        asyncio.run_coroutine_threadsafe(self._kill(), self._loop).result()

    def close(self) -> None:
        self.kill()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _start(self) -> None:
        self._free = asyncio.Semaphore(self.slots)
        self._killed = asyncio.Event()
        self.running = self.waiting = 0
        self._server = web.Server(self._serve, access_log=None)
        self._runner = web.ServerRunner(self._server, shutdown_timeout=0.0)
        await self._runner.setup()
        if self._socket is not None:
            await web.UnixSite(self._runner, str(self._socket)).start()
        else:
            await web.TCPSite(self._runner, "127.0.0.1", self.port).start()
            self.port = self._runner.addresses[0][1]

    async def _kill(self) -> None:
        if self._runner is None:
            return
        self._killed.set()
        for handler in self._server.connections:
            if handler.transport is not None:
                handler.transport.abort()
        await self._runner.cleanup()
        self._runner = None

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        body = await request.content.read()
        if self.hangs:
            await self._killed.wait()
        if request.path == "/metrics":
            self.looks += 1
            return web.Response(text=self._figures(), status=200 if self.tells else 404)
        self.heard.append((request.headers.get("x-session-id"), json.loads(body)))
        if self.status != 200:
            return web.json_response({"error": {"message": "not now"}}, status=self.status)
        self.waiting += 1
        try:
            await self._free.acquire()
        finally:
            self.waiting -= 1
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            if self.stuck:
                await self._killed.wait()
            await asyncio.sleep(self.seconds)
        finally:
            self.running -= 1
            self._free.release()
        self.generated += 10
        return web.json_response(self.answer(json.loads(body)))

    def _figures(self) -> str:
        figures = (self.running, self.waiting, self.kv_use, self.generated, self.preempted)
        told = dict(zip(self.names, figures, strict=True))
        return "".join(f'{name}{{model_name="m"}} {float(value)}\n' for name, value in told.items() if name)


@pytest.fixture
def replica_server() -> Iterator[Callable[..., ReplicaServer]]:
    """Makes stand-ins for vLLM servers, which end with the test."""
    made: list[ReplicaServer] = []

    def make(**options: Any) -> ReplicaServer:
        made.append(ReplicaServer(**options))
        return made[-1]

    yield make
    for server in made:
        server.close()


class VirtualLoop(asyncio.SelectorEventLoop):
    """Time stands still while anybody has something to do, and then jumps to the next timer."""

    def __init__(self) -> None:
        self.now = 0.0
        loop = self

        class Selector(selectors.DefaultSelector):
            def select(self, timeout: float | None = None) -> Any:
                if timeout is None:
                    raise AssertionError("everybody waits, and nobody will ever wake them")
                loop.now += max(0.0, timeout)
                return super().select(0)

        super().__init__(Selector())

    def time(self) -> float:
        return self.now


@pytest.fixture
def virtual() -> Callable[[Callable[[VirtualLoop], Coroutine[Any, Any, Any]]], Any]:
    """Runs a coroutine function, which gets the loop, in virtual time."""

    def run(main: Callable[[VirtualLoop], Coroutine[Any, Any, Any]]) -> Any:
        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            loop = runner.get_loop()
            assert isinstance(loop, VirtualLoop)
            return runner.run(main(loop))

    return run


def _sibling(name: str) -> ModuleType:
    """A module that lies beside this one: tests are no packages, so it cannot be imported by name."""
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module  # before it runs: its dataclasses look for it there
        spec.loader.exec_module(module)
    return sys.modules[name]


@pytest.fixture
def strict() -> Iterator[Any]:
    """`strict_services`, with `start(wire)`: a service of that format (`Chat`, `Responses`, `Messages`) on loopback."""
    module = _sibling("strict_services")
    started: list[Any] = []

    def start(wire: Any) -> Any:
        started.append(module.Service(wire))
        return started[-1]

    yield SimpleNamespace(**vars(module), start=start)
    for service in started:
        service.close()
