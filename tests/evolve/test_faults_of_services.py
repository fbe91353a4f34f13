"""Everything a flaky model service does, and what comes of it: no agent is ever blamed for a fault that is not its own.

A real server on loopback that breaks in the middle of a rollout, the real seed agent in a real box, the real gateway,
and the two most common wire formats. The model behind the server is a script: it looks, it opens the door, it ends.
`docs/faults.md` is held equal to the list below.
"""

import asyncio
import contextlib
import json
import os
import threading
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from email.utils import formatdate
from pathlib import Path

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
from sandbox import File, SandboxError, open_sandbox

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
RESOLVED, VOID = Outcome.RESOLVED, Outcome.VOID
FAULTS = (
    Fault(
        "429 without a time to wait",
        "all calls to the service pause; half as many at once from then on; tried again",
        RESOLVED,
        at_once(lambda wire: wire.error(429, "Rate limit reached", "rate_limit_error")),
        waits=0.5,
    ),
    Fault(
        "429 with `retry-after` in seconds",
        "nobody sends to the service before that; tried again",
        RESOLVED,
        at_once(lambda wire: wire.error(429, "Rate limit reached", "rate_limit_error", retry_after="1")),
        waits=2.0,
    ),
    Fault(
        "429 with `retry-after` as a date",
        "the same",
        RESOLVED,
        at_once(lambda wire: wire.error(429, "slow down", retry_after=formatdate(time.time() + 2, usegmt=True))),
        times=1,
        waits=0.9,
    ),
    Fault(
        "429 with `retry-after-ms`",
        "the same",
        RESOLVED,
        at_once(lambda wire: wire.error(429, "slow down", retry_after_ms="700")),
        times=1,
        waits=0.7,
    ),
    Fault(
        "429 because the purse is empty",
        "not tried again: the move is VOID; the run ends if it goes on",
        VOID,
        at_once(lambda wire: wire.error(429, "You exceeded your current quota", "insufficient_quota")),
        times=FOR_EVER,
        retries=0,
        reason="insufficient_quota",
    ),
    Fault(
        "408, the service timed out",
        AGAIN,
        RESOLVED,
        at_once(lambda wire: wire.error(408, "request timeout")),
    ),
    Fault("500", AGAIN, RESOLVED, at_once(lambda wire: wire.error(500, "internal error"))),
    Fault(
        "502 with a web page",
        AGAIN,
        RESOLVED,
        at_once(lambda wire: wire.send(502, b"<html><h1>Bad gateway</h1></html>", **{"content-type": "text/html"})),
    ),
    Fault("503", AGAIN, RESOLVED, at_once(lambda wire: wire.error(503, "the engine is overloaded"))),
    Fault(
        "529, overloaded",
        AGAIN,
        RESOLVED,
        at_once(lambda wire: wire.error(529, "Overloaded", "overloaded_error")),
    ),
    Fault(
        "503 for good",
        "an outage: moves pause, the one under way is VOID and made again when the service is back",
        VOID,
        at_once(lambda wire: wire.error(503, "the engine is overloaded")),
        times=FOR_EVER,
        retries=3,
        reason="6 s that one call may take",
    ),
    Fault("connection refused for a while", AGAIN, RESOLVED, Wire.go_away, times=1, retries=-1),
    Fault("connection reset before an answer", AGAIN, RESOLVED, at_once(Wire.abort)),
    Fault("connection closed without an answer", AGAIN, RESOLVED, at_once(lambda wire: wire.writer.close())),
    Fault(
        "connection reset in the middle of the answer",
        AGAIN,
        RESOLVED,
        at_once(
            lambda wire: (
                wire.raw("HTTP/1.1 200 OK\r\ncontent-length: 5000\r\n", wire.whole()[:100]),
                wire.writer.close(),
            )[0]
        ),
    ),
    Fault("an answer that never comes", "ended at the service's `seconds`; tried again", RESOLVED, Wire.hang, times=1),
    Fault(
        "an answer that drips in (slow loris)",
        "ended at the service's `seconds`; tried again",
        RESOLVED,
        Wire.drip,
        times=1,
    ),
    Fault(
        "frozen for good after answers",
        "an outage: moves pause, the one under way is VOID and made again when the service is back",
        VOID,
        Wire.hang,
        times=FOR_EVER,
        retries=3,
        reason="that one call may take",
    ),
    Fault("truncated JSON", AGAIN, RESOLVED, at_once(lambda wire: wire.send(200, wire.whole()[:-30]))),
    Fault("two answers in one", AGAIN, RESOLVED, at_once(lambda wire: wire.send(200, wire.whole() * 2))),
    Fault(
        "a web page with status 200",
        AGAIN,
        RESOLVED,
        at_once(lambda wire: wire.send(200, b"<html>Log in</html>", **{"content-type": "text/html"})),
    ),
    Fault(
        "a right answer called a web page",
        "taken, or tried again, as the format's rules are",
        RESOLVED,
        at_once(lambda wire: wire.send(200, wire.whole(), **{"content-type": "text/html"})),
        times=1,
        retries=-1,
    ),
    Fault("an empty body", AGAIN, RESOLVED, at_once(lambda wire: wire.send(200, b""))),
    Fault("JSON of another shape", AGAIN, RESOLVED, at_once(lambda wire: wire.send(200, [{"choices": 3}]))),
    Fault(
        "an error with status 200",
        AGAIN,
        RESOLVED,
        at_once(lambda wire: wire.error(200, "the service behind us failed", "server_error")),
    ),
    Fault(
        "a body of 40 MB",
        "not read beyond a limit; tried again",
        RESOLVED,
        at_once(lambda wire: wire.send(200, b" " * 40_000_000)),
        times=1,
    ),
    Fault(
        "a header of 1 MB",
        AGAIN,
        RESOLVED,
        at_once(lambda wire: wire.send(200, wire.whole(), padding="x" * 1_000_000)),
        times=1,
    ),
    Fault(
        "a `content-length` longer than the body",
        AGAIN,
        RESOLVED,
        at_once(
            lambda wire: (
                wire.send(200, wire.whole(), **{"content-length": "99999"}),
                wire.writer.close(),
            )[0]
        ),
    ),
    Fault(
        "broken chunks",
        AGAIN,
        RESOLVED,
        at_once(
            lambda wire: (
                wire.raw("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n", b"zz\r\nnot a chunk\r\n"),
                wire.writer.close(),
            )[0]
        ),
    ),
    Fault(
        "gzip that is none",
        AGAIN,
        RESOLVED,
        at_once(lambda wire: wire.send(200, b"\x1f\x8bno", **{"content-encoding": "gzip"})),
    ),
    Fault("something that is not HTTP", AGAIN, RESOLVED, at_once(lambda wire: wire.raw("\x00\x16\x03 hello\r\n"))),
    Fault(
        "invalid UTF-8 around the answer",
        AGAIN,
        RESOLVED,
        at_once(lambda wire: wire.send(200, b"\xff\xfe" + wire.whole())),
    ),
    Fault(
        "a redirect",
        "not followed (keys go nowhere else): the move is VOID",
        VOID,
        at_once(lambda wire: wire.send(307, b"", location="http://127.0.0.1:9/")),
        times=1,
        retries=0,
        reason="307",
    ),
    Fault(
        "401 in the middle of a run",
        "not tried again: the move is VOID; the run ends if it goes on",
        VOID,
        at_once(lambda wire: wire.error(401, "Incorrect API key", "authentication_error")),
        times=1,
        retries=0,
        reason="check the key in SERVICE_KEY",
    ),
    Fault(
        "401 from the beginning",
        "the run ends at once and names the key's variable",
        VOID,
        at_once(lambda wire: wire.error(401, "Incorrect API key", "authentication_error")),
        times=FOR_EVER,
        at_once=True,
        retries=0,
        reason="401",
        refusal="check the key in SERVICE_KEY",
    ),
    Fault(
        "402, the purse is empty from the beginning",
        "the run ends at once and says what to do",
        VOID,
        at_once(lambda wire: wire.error(402, "Insufficient credits", "billing_error")),
        times=FOR_EVER,
        at_once=True,
        retries=0,
        reason="402",
        refusal="pay at the service",
    ),
    Fault(
        "404, the model is not known",
        "the run ends at once and says what to do",
        VOID,
        at_once(lambda wire: wire.error(404, "The model does not exist", "not_found_error")),
        times=FOR_EVER,
        at_once=True,
        retries=0,
        reason="404",
        refusal="check the name of the model",
    ),
    Fault(
        "the context is too short for the messages",
        "told to the agent, which sends shorter ones",
        RESOLVED,
        at_once(
            lambda wire: wire.error(
                400, "prompt is too long: maximum context length is 4096 tokens", "invalid_request_error"
            )
        ),
        times=1,
        retries=0,
    ),
    Fault(
        "a tool call left in the text",
        "read as the call it is, and counted",
        RESOLVED,
        at_once(
            lambda wire: wire.say(
                '<tool_call>\n{"name": "bash", "arguments": {"command": "' + OPEN + '"}}\n</tool_call>'
            )
        ),
        times=1,
        retries=0,
    ),
    Fault(
        "a tool call whose arguments are broken",
        "asked for once more, and counted; the agent is told if it stays so",
        RESOLVED,
        at_once(lambda wire: wire.call('{"command": "sed -i s/clo')),
        times=1,
        kinds=("openai",),
        retries=0,
    ),
    Fault(
        "a call of a tool that does not exist",
        "told to the agent, which answers the model",
        RESOLVED,
        at_once(lambda wire: wire.call('{"door": "open"}', tool="open_door")),
        times=1,
        retries=0,
    ),
    Fault(
        "an empty answer",
        "the agent asks again",
        RESOLVED,
        at_once(lambda wire: wire.say("")),
        times=1,
        retries=0,
    ),
)
CASES = [pytest.param(kind, fault, id=f"{kind}: {fault.name}") for fault in FAULTS for kind in fault.kinds]


@dataclass(frozen=True)
class Story:
    """What came of an evaluation."""

    record: object
    service: Service
    refusal: str | None
    spent: object
    events: tuple


@pytest.fixture(scope="module")
def sandbox():
    try:
        opened = open_sandbox("bwrap")
    except SandboxError as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(f"bwrap does not work here, so no agent met a flaky service: {error}")
    yield opened
    opened.close()


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
