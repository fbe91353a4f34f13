"""Everything a flaky model service does, and what comes of it: no agent is ever blamed for a fault that is not its own.

A real server on loopback that breaks in the middle of a rollout, the real seed agent in a real box, the real gateway,
and the two most common wire formats. The model behind the server is a script: it looks, it opens the door, it ends.
`docs/faults.md` is held equal to the list below.
"""

import asyncio
import contextlib
import json
import threading
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest

from archive import Outcome
from benchmarks import Benchmark, Task, Verdict
from evolve.ancestor import ancestor
from evolve.evaluate import evaluate
from evolve.house import House
from evolve.jobs import EvaluationJob
from evolve.llm import Gateway, Ledger, ProviderSettings, Retry, Traffic, open_models, parse_transcript
from evolve.llm.probe import QUESTION
from evolve.scratch import clear_scratch, open_scratch
from evolve.settings import Settings
from sandbox import File

KEY = "canary51b7e2a94f0c4d6693aa"
TABLE = Path(__file__).parents[2] / "docs" / "faults.md"
KINDS = ("openai", "anthropic")
LOOK = "cat door.txt; seq 2000"
OPEN = "sed -i s/closed/open/ door.txt"
FOR_EVER = 10**9
ANSWER_SECONDS = 1.5
"""How long the settings give the service for one answer."""
CALL_SECONDS = 6.0
"""For one call with all its tries."""


class Door(Benchmark):
    """One task: a door that has to be open in the end."""

    name = "door"

    def prepare(self, sandbox, progress=None):
        return ()

    def ids(self):
        return ("door",)

    def tasks(self, split):
        return self.ids()

    def task(self, id):
        return Task(id, "search", "Open the door.", {"door.txt": File(b"The door is closed.\n")})

    def prove(self, id, sandbox):
        raise AssertionError("nothing is proven here")

    def fingerprint(self, id):
        return "one"

    def grade(self, id, diff, sandbox):
        after = {change.path: change.after.content for change in diff.changes if change.after}
        return Verdict("RESOLVED" if after.get("door.txt") == b"The door is open.\n" else "UNRESOLVED", "measured")


class Service:
    """A model service that breaks from its second answer on (or its first), so and so many times."""

    def __init__(self, kind: str, fault: "Fault") -> None:
        self.kind = kind
        self.fault = fault
        self.answers = 0
        self.struck = 0
        self.refused = 0
        self.first_at = self.last_at = 0.0
        """When it broke for the first time, and when it was asked for the first time after it broke for the last."""
        self.port = 0
        self.server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}" + ("/v1" if self.kind == "openai" else "")

    async def listen(self) -> None:
        self.server = await asyncio.start_server(self.serve, "127.0.0.1", self.port)
        self.port = self.server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        assert self.server is not None
        self.server.close()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while not writer.is_closing():
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
                length = int(head.split("content-length:")[1].split("\r\n")[0])
                await self.answer(Wire(self, writer), json.loads(await reader.readexactly(length)), head)
        writer.close()

    async def answer(self, wire: "Wire", body: dict, head: str) -> None:
        assert KEY in head, "the key is sent, in the header of the format"
        if self.struck < self.fault.times and (self.answers or self.fault.at_once):
            self.struck += 1
            self.first_at = self.first_at or time.monotonic()
            await self.fault.strike(wire)
            return
        self.last_at = self.last_at or (time.monotonic() if self.struck else 0.0)
        if QUESTION in json.dumps(body):
            wire.say("here")
            return
        self.answers += 1
        if self.answers == 1:
            wire.call(json.dumps({"command": LOOK}))
        elif self.answers == 2:
            wire.call(json.dumps({"command": OPEN}))
        else:
            wire.say("The door is open.")


@dataclass
class Wire:
    """One request's way back, in the service's format."""

    service: Service
    writer: asyncio.StreamWriter

    def send(self, status: int, content: bytes | dict | list, **headers: str) -> None:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        said = {"content-type": "application/json", "content-length": str(len(body)), **headers}
        self.raw(f"HTTP/1.1 {status} So\r\n" + "".join(f"{name}: {value}\r\n" for name, value in said.items()), body)

    def raw(self, head: str, body: bytes = b"") -> None:
        self.writer.write(head.encode() + b"\r\n" + body)

    def error(self, status: int, text: str, type: str = "server_error", **headers: str) -> None:
        error = {"type": type, "code": type, "message": text}
        self.send(status, {"type": "error", "error": error}, **{n.replace("_", "-"): v for n, v in headers.items()})

    def say(self, text: str) -> None:
        self.send(200, self.body(text))

    def call(self, arguments: str, text: str = "", tool: str = "bash") -> None:
        self.send(200, self.body(text, arguments, tool))

    def body(self, text: str, arguments: str | None = None, tool: str = "bash") -> dict:
        """An answer, with a tool call if there are arguments."""
        number = self.service.answers
        if self.service.kind == "openai":
            message = {"role": "assistant", "content": text}
            if arguments is not None:
                function = {"name": tool, "arguments": arguments}
                message["tool_calls"] = [{"id": f"call{number}", "type": "function", "function": function}]
            return {
                "id": "c1",
                "object": "chat.completion",
                "created": 1,
                "model": "fixer-1",
                "choices": [
                    {"index": 0, "message": message, "finish_reason": "stop" if arguments is None else "tool_calls"}
                ],
                "usage": {"prompt_tokens": 50, "completion_tokens": 10, "total_tokens": 60},
            }
        content = [{"type": "text", "text": text}] if text else []
        if arguments is not None:
            content.append({"type": "tool_use", "id": f"toolu_{number}", "name": tool, "input": json.loads(arguments)})
        return {
            "id": "m1",
            "type": "message",
            "role": "assistant",
            "model": "fixer-1",
            "content": content,
            "stop_reason": "end_turn" if arguments is None else "tool_use",
            "stop_sequence": None,
            "usage": {"input_tokens": 50, "output_tokens": 10},
        }

    def whole(self) -> bytes:
        """An answer that would be right, for faults that spoil it on its way."""
        return json.dumps(self.body("", json.dumps({"command": OPEN}))).encode()

    def abort(self) -> None:
        self.writer.transport.abort()

    async def hang(self) -> None:
        await asyncio.sleep(60)

    async def drip(self) -> None:
        """One byte at a time, never so slow that the connection looks dead."""
        self.raw("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 5000\r\n")
        for _ in range(300):
            self.writer.write(b" ")
            await self.writer.drain()
            await asyncio.sleep(0.2)

    async def go_away(self) -> None:
        """Nobody listens for a second."""
        self.abort()
        await self.service.close()
        await asyncio.sleep(1)
        await self.service.listen()


Strike = Callable[[Wire], Awaitable[None]]


def at_once(reply: Callable[[Wire], None]) -> Strike:
    """A fault that takes no time."""

    async def strike(wire: Wire) -> None:
        reply(wire)

    return strike


def last(reply: Callable[[Wire], None]) -> Callable[[Wire], None]:
    """The reply, and the connection's end."""

    def both(wire: Wire) -> None:
        reply(wire)
        wire.writer.close()

    return both


@dataclass(frozen=True)
class Fault:
    """What a service does, and what shall come of it."""

    name: str
    does: str
    """What Clade does about it."""
    outcome: Outcome
    strike: Strike
    times: int = 2
    at_once: bool = False
    """Breaks from its first answer on."""
    kinds: tuple[str, ...] = KINDS
    retries: int | None = None
    """How often calls were tried again; None: as often as the service broke."""
    reason: str = ""
    """Part of the reason of a VOID."""
    refusal: str = ""
    """Part of why the run ends, if it does."""
    waits: float = 0.0
    """Seconds from the first break that the service is left alone."""


AGAIN = "tried again, with growing random pauses"
NO_OTHER_TRY = "not tried again: the move is VOID; the run ends if it goes on"
HTML = {"content-type": "text/html"}
RESOLVED, VOID = Outcome.RESOLVED, Outcome.VOID


def passing(name: str, reply: Callable[[Wire], None], *, does: str = AGAIN, **more: Any) -> Fault:
    """A fault that another try gets over."""
    return Fault(name, does, RESOLVED, at_once(reply), **more)


def spoilt(name: str, content: bytes | list, status: int = 200, **headers: str) -> Fault:
    """An answer that is none, which another try gets over."""
    return passing(name, lambda wire: wire.send(status, content, **headers))


def hopeless(
    name: str, does: str, reply: Callable[[Wire], None], reason: str, *, times: int = FOR_EVER, **more: Any
) -> Fault:
    """A refusal that no other try would change."""
    return Fault(name, does, VOID, at_once(reply), times, retries=0, reason=reason, **more)


def outage(name: str, strike: Strike, reason: str) -> Fault:
    """A service that is gone for good."""
    does = "an outage: moves pause, the one under way is VOID and made again when the service is back"
    return Fault(name, does, VOID, strike, FOR_EVER, retries=3, reason=reason)


def agents_matter(name: str, does: str, reply: Callable[[Wire], None], **more: Any) -> Fault:
    """What the gateway mends, or the agent gets over, without another try."""
    return Fault(name, does, RESOLVED, at_once(reply), times=1, retries=0, **more)


FAULTS = (
    passing(
        "429 without a time to wait",
        lambda wire: wire.error(429, "Rate limit reached", "rate_limit_error"),
        does="all calls to the service pause; half as many at once from then on; tried again",
        waits=0.5,
    ),
    passing(
        "429 with `retry-after` in seconds",
        lambda wire: wire.error(429, "Rate limit reached", "rate_limit_error", retry_after="1"),
        does="nobody sends to the service before that; tried again",
        waits=2.0,
    ),
    passing(
        "429 with `retry-after` as a date",
        lambda wire: wire.error(429, "slow down", retry_after=formatdate(time.time() + 2, usegmt=True)),
        does="the same",
        times=1,
        waits=0.9,
    ),
    passing(
        "429 with `retry-after-ms`",
        lambda wire: wire.error(429, "slow down", retry_after_ms="700"),
        does="the same",
        times=1,
        waits=0.7,
    ),
    hopeless(
        "429 because the purse is empty",
        NO_OTHER_TRY,
        lambda wire: wire.error(429, "You exceeded your current quota", "insufficient_quota"),
        "insufficient_quota",
    ),
    passing("408, the service timed out", lambda wire: wire.error(408, "request timeout")),
    passing("500", lambda wire: wire.error(500, "internal error")),
    spoilt("502 with a web page", b"<html><h1>Bad gateway</h1></html>", 502, **HTML),
    passing("503", lambda wire: wire.error(503, "the engine is overloaded")),
    passing("529, overloaded", lambda wire: wire.error(529, "Overloaded", "overloaded_error")),
    outage(
        "503 for good",
        at_once(lambda wire: wire.error(503, "the engine is overloaded")),
        "6 s that one call may take",
    ),
    Fault("connection refused for a while", AGAIN, RESOLVED, Wire.go_away, times=1, retries=-1),
    passing("connection reset before an answer", Wire.abort),
    passing("connection closed without an answer", lambda wire: wire.writer.close()),
    passing(
        "connection reset in the middle of the answer",
        last(lambda wire: wire.raw("HTTP/1.1 200 OK\r\ncontent-length: 5000\r\n", wire.whole()[:100])),
    ),
    Fault("an answer that never comes", "ended at the service's `seconds`; tried again", RESOLVED, Wire.hang, times=1),
    Fault(
        "an answer that drips in (slow loris)",
        "ended at the service's `seconds`; tried again",
        RESOLVED,
        Wire.drip,
        times=1,
    ),
    outage("frozen for good after answers", Wire.hang, "that one call may take"),
    passing("truncated JSON", lambda wire: wire.send(200, wire.whole()[:-30])),
    passing("two answers in one", lambda wire: wire.send(200, wire.whole() * 2)),
    spoilt("a web page with status 200", b"<html>Log in</html>", **HTML),
    passing(
        "a right answer called a web page",
        lambda wire: wire.send(200, wire.whole(), **HTML),
        does="taken, or tried again, as the format's rules are",
        times=1,
        retries=-1,
    ),
    spoilt("an empty body", b""),
    spoilt("JSON of another shape", [{"choices": 3}]),
    passing("an error with status 200", lambda wire: wire.error(200, "the service behind us failed", "server_error")),
    passing(
        "a body of 40 MB",
        lambda wire: wire.send(200, b" " * 40_000_000),
        does="not read beyond a limit; tried again",
        times=1,
    ),
    passing("a header of 1 MB", lambda wire: wire.send(200, wire.whole(), padding="x" * 1_000_000), times=1),
    passing(
        "a `content-length` longer than the body",
        last(lambda wire: wire.send(200, wire.whole(), **{"content-length": "99999"})),
    ),
    passing(
        "broken chunks",
        last(lambda wire: wire.raw("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n", b"zz\r\nnot a chunk\r\n")),
    ),
    spoilt("gzip that is none", b"\x1f\x8bno", **{"content-encoding": "gzip"}),
    passing("something that is not HTTP", lambda wire: wire.raw("\x00\x16\x03 hello\r\n")),
    passing("invalid UTF-8 around the answer", lambda wire: wire.send(200, b"\xff\xfe" + wire.whole())),
    hopeless(
        "a redirect",
        "not followed (keys go nowhere else): the move is VOID",
        lambda wire: wire.send(307, b"", location="http://127.0.0.1:9/"),
        "307",
        times=1,
    ),
    hopeless(
        "401 in the middle of a run",
        NO_OTHER_TRY,
        lambda wire: wire.error(401, "Incorrect API key", "authentication_error"),
        "check the key in SERVICE_KEY",
        times=1,
    ),
    hopeless(
        "401 from the beginning",
        "the run ends at once and names the key's variable",
        lambda wire: wire.error(401, "Incorrect API key", "authentication_error"),
        "401",
        at_once=True,
        refusal="check the key in SERVICE_KEY",
    ),
    hopeless(
        "402, the purse is empty from the beginning",
        "the run ends at once and says what to do",
        lambda wire: wire.error(402, "Insufficient credits", "billing_error"),
        "402",
        at_once=True,
        refusal="pay at the service",
    ),
    hopeless(
        "404, the model is not known",
        "the run ends at once and says what to do",
        lambda wire: wire.error(404, "The model does not exist", "not_found_error"),
        "404",
        at_once=True,
        refusal="check the name of the model",
    ),
    agents_matter(
        "the context is too short for the messages",
        "told to the agent, which sends shorter ones",
        lambda wire: wire.error(
            400, "prompt is too long: maximum context length is 4096 tokens", "invalid_request_error"
        ),
    ),
    agents_matter(
        "a tool call left in the text",
        "read as the call it is, and counted",
        lambda wire: wire.say('<tool_call>\n{"name": "bash", "arguments": {"command": "' + OPEN + '"}}\n</tool_call>'),
    ),
    agents_matter(
        "a tool call whose arguments are broken",
        "asked for once more, and counted; the agent is told if it stays so",
        lambda wire: wire.call('{"command": "sed -i s/clo'),
        kinds=("openai",),
    ),
    agents_matter(
        "a call of a tool that does not exist",
        "told to the agent, which answers the model",
        lambda wire: wire.call('{"door": "open"}', tool="open_door"),
    ),
    agents_matter("an empty answer", "the agent asks again", lambda wire: wire.say("")),
)
EVERY_TIME = {
    "429 with `retry-after` in seconds": "openai",
    "429 because the purse is empty": "anthropic",
    "503": "openai",
    "503 for good": "anthropic",
    "connection reset before an answer": "anthropic",
    "an answer that never comes": "openai",
    "truncated JSON": "anthropic",
    "a header of 1 MB": "openai",
    "a redirect": "anthropic",
    "401 from the beginning": "openai",
    "the context is too short for the messages": "anthropic",
    "a tool call left in the text": "openai",
}
"""One of every sort, with the wire format; the others are slow, because each is a whole rollout in a box."""


CASES = [
    pytest.param(
        kind,
        fault,
        id=f"{kind}: {fault.name}",
        marks=() if EVERY_TIME.get(fault.name) == kind else pytest.mark.slow,
    )
    for fault in FAULTS
    for kind in fault.kinds
]


@dataclass(frozen=True)
class Story:
    """What came of an evaluation."""

    record: object
    service: Service
    refusal: str | None
    spent: object
    events: tuple


@pytest.fixture(scope="module")
def loop():
    """The services' loop, in a thread."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    yield loop

    async def end() -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run_coroutine_threadsafe(end(), loop).result()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@pytest.fixture(scope="module")
def stories(request, sandbox, loop, tmp_path_factory):
    """All chosen cases, a few at a time: mostly they wait."""
    patch = pytest.MonkeyPatch()
    patch.setenv("SERVICE_KEY", KEY)
    patch.setenv("no_proxy", "127.0.0.1")
    chosen = [
        (item.callspec.params["kind"], item.callspec.params["fault"])
        for item in request.session.items
        if item.module is request.module and "fault" in getattr(getattr(item, "callspec", None), "params", {})
    ]
    folder = tmp_path_factory.mktemp("faults")
    with ThreadPoolExecutor(4) as pool:
        yield {(kind, fault.name): pool.submit(tell, kind, fault, sandbox, loop, folder) for kind, fault in chosen}
    patch.undo()


def tell(
    kind, fault, sandbox, loop, folder, *, seconds=30.0, answer_seconds=ANSWER_SECONDS, call_seconds=CALL_SECONDS
) -> Story:
    """One evaluation of the seed agent on the service."""
    service = Service(kind, fault)
    asyncio.run_coroutine_threadsafe(service.listen(), loop).result()
    provider = ProviderSettings.model_validate(
        {
            "kind": kind,
            "url": service.url,
            "key_env": "SERVICE_KEY",
            "seconds": answer_seconds,
            "prices": {"fixer-1": {"input": 1.0, "output": 2.0}},
        }
    )
    models = open_models({"solve": "mine:fixer-1"}, {"mine": provider}, max_output_tokens=200)
    here = folder / f"{kind}-{FAULTS.index(fault)}"
    scratch = open_scratch(here)
    retry = Retry(attempts=5, base=0.05, deadline=call_seconds)
    ledger = Ledger(None)
    try:
        with Gateway(models, ledger, folder=scratch, retry=retry, traffic=Traffic(), drain_seconds=1.0) as gateway:
            house = House(Settings(rollout={"solve_seconds": seconds}), sandbox, gateway, scratch)
            record = evaluate(EvaluationJob("evaluation-1", ancestor(None), "door", 1), house, Door())
            refusal = gateway.traffic.refusal()
    finally:
        clear_scratch(here)
        asyncio.run_coroutine_threadsafe(service.close(), loop).result()
    events = tuple(parse_transcript(record.files["transcript.jsonl"].decode().split("\n"))) if record.files else ()
    return Story(record, service, refusal, ledger.spent(), events)


@pytest.mark.parametrize(("kind", "fault"), CASES)
def test_no_agent_is_blamed_for_a_services_fault(stories, kind, fault):
    story = stories[kind, fault.name].result()
    record, service = story.record, story.service
    assert record.outcome is fault.outcome, record.reason
    assert service.struck >= 1, "the service did break"
    answered = [call for call in record.calls if call.status == "ok"]
    retries = sum(call.retries for call in record.calls)
    if fault.outcome is Outcome.RESOLVED:
        assert service.struck == fault.times
        assert record.steps == len(answered) >= 3
    else:
        assert fault.reason in record.reason and "mine:fixer-1" in record.reason
        assert KEY not in record.reason
    if fault.retries is None:
        assert retries == service.struck == fault.times
    elif fault.retries >= 0:
        assert retries == fault.retries
    if fault.refusal:
        assert fault.refusal in story.refusal
        assert "SERVICE_KEY" in story.refusal or "run.toml" in story.refusal or "service" in story.refusal
    else:
        assert story.refusal is None
    if fault.waits:
        assert service.last_at - service.first_at >= fault.waits
    assert story.spent.reserved_usd == 0.0, "every call is settled"
    told = sum(len(event.retried) for event in story.events)
    assert told == retries, "and the transcript tells of every try"


@pytest.mark.slow
def test_a_service_that_freezes_for_less_than_its_time_is_to_blame_as_well(sandbox, loop, tmp_path, monkeypatch):
    """It may take ten minutes by the settings; that it never takes so long is known from its own answers."""
    monkeypatch.setenv("SERVICE_KEY", KEY)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr("evolve.llm.patience.LEAST_SECONDS", 1.0)
    frozen = next(fault for fault in FAULTS if fault.strike is Wire.hang)
    story = tell("openai", frozen, sandbox, loop, tmp_path, seconds=8.0, answer_seconds=600.0, call_seconds=600.0)
    assert story.record.outcome is Outcome.VOID
    assert "s of its time were lost to the model's service" in story.record.reason


def test_the_table_says_what_is_tested():
    rows = [
        tuple(cell.strip() for cell in line.strip("|\n").split("|"))
        for line in TABLE.read_text(encoding="utf-8").splitlines()
        if line.startswith("| ")
    ]
    assert rows[1:] == [(fault.name, fault.does, fault.outcome.value) for fault in FAULTS]
    assert len(FAULTS) >= 20
    assert EVERY_TIME.items() <= {(fault.name, kind) for fault in FAULTS for kind in fault.kinds}
