"""A run with a model service behind HTTP: one setting changed, the same loop; money, outages and keys as promised.

The services are real servers on loopback that speak OpenAI's and Anthropic's wire formats. Behind both works the
offline model's own function, so the tree that grows is measured, not scripted, and costs what the service bills.
"""

import asyncio
import json
import math
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from zlib import crc32

import pytest
from aiohttp import web

from archive import Archive, History, Outcome
from evolve.llm import ModelError
from evolve.llm.offline.provider import answer

pytestmark = [pytest.mark.usefixtures("boxes"), pytest.mark.timeout(400)]

KEY = "canary9f3a61c2d47b4f0e8812"
"""Of no known shape: what hides it must know it, not guess it."""
MODEL = "fixer-1"
PRICES = {"input": Fraction(3), "output": Fraction(15), "cached": Fraction(3, 10), "cache_write": Fraction(15, 4)}
"""Dollars per million tokens."""
SETTINGS = """
seed = 11
workers = 2
[models]
solve = "mine:fixer-1"
improve = "mine:fixer-1"
diagnose = "mine:fixer-1"
max_output_tokens = {max_output_tokens}
[providers.mine]
kind = "{kind}"
url = "{url}"
key_env = "MY_KEY"
prices.fixer-1 = {{ input = 3.0, output = 15.0, cached = 0.3, cache_write = 3.75 }}
[budget]
{budget}
[rollout]
solve_seconds = 25
improve_seconds = 30
"""


@dataclass
class Service:
    """A model service on loopback: answers at the price it tells, and can be out of order in the ways services are."""

    loopback: type
    kind: str
    billed: Fraction = Fraction(0)
    calls: int = 0
    refused: int = 0
    down: bool = False
    """Answer 503 to everything."""
    down_after: int | None = None
    """Go down by itself after so many calls."""
    seen: dict = field(default_factory=dict)
    """Input tokens by conversation: the prompt cache."""

    def __post_init__(self):
        self.server = self.loopback(self.serve)

    @property
    def url(self):
        return self.server.url + ("/v1" if self.kind == "openai" else "")

    async def serve(self, request):
        if self.kind == "openai":
            path = "/v1/chat/completions"
        else:
            path = "/v1/messages"
            assert request.headers["anthropic-version"] >= "2026-10-21"
        told = request.headers.get("authorization", "").removeprefix("Bearer ")
        if (request.method, request.path) != ("POST", path):
            return self.error(404, "no such address")
        if told != KEY:
            self.refused += 1
            return self.error(401, f"Incorrect API key provided: {told}")
        if self.down_after is not None and self.calls >= self.down_after:
            self.down = True
        if self.down:
            self.refused += 1
            return self.error(503, "the engine is overloaded")
        body = await request.json()
        if self.kind == "anthropic" and (wrong := body.keys() & {"temperature", "top_p", "top_k"}):
            return self.error(400, f"{min(wrong)}: Extra inputs are not permitted")
        chat = body if self.kind == "openai" else chat_of(body)
        try:
            completion = await asyncio.to_thread(answer, chat, crc32(repr(chat["messages"][:2]).encode()))
        except ModelError as error:
            return self.error(400, f"prompt is too long: {error} (context_length_exceeded)")
        return web.json_response(self.bill(chat, completion))

    def bill(self, chat, completion):
        """The answer in the service's format, charged: what an earlier call of the conversation sent is cheaper."""
        sent, made = completion.usage.input_tokens, completion.usage.output_tokens
        read = min(sent, self.seen.get(self.fingerprint(chat, chat["messages"][:-2]), 0))
        written = 0 if self.kind == "openai" else (sent - read) // 2
        self.seen[self.fingerprint(chat, chat["messages"])] = sent
        tokens = {"input": sent - read - written, "cached": read, "cache_write": written, "output": made}
        self.billed += sum(count * PRICES[name] for name, count in tokens.items()) / 10**6
        self.calls += 1
        if self.kind == "anthropic":
            return message_of(completion.body, tokens)
        usage = {"prompt_tokens": sent, "completion_tokens": made, "prompt_tokens_details": {"cached_tokens": read}}
        return {**completion.body, "usage": usage}

    @staticmethod
    def fingerprint(chat, messages):
        return json.dumps([chat.get("tools"), messages], sort_keys=True)

    def error(self, status, text):
        kinds = {401: "authentication_error", 503: "overloaded_error"}
        error = {"type": kinds.get(status, "invalid_request_error"), "message": text}
        return web.json_response({"type": "error", "error": error}, status=status)


def chat_of(body):
    """A Messages request as chat completions."""
    messages = [{"role": "system", "content": block["text"]} for block in body.get("system", ())]
    for turn in body["messages"]:
        texts = [block["text"] for block in turn["content"] if block["type"] == "text"]
        calls = [
            {
                "id": block["id"],
                "type": "function",
                "function": {"name": block["name"], "arguments": json.dumps(block["input"])},
            }
            for block in turn["content"]
            if block["type"] == "tool_use"
        ]
        for block in turn["content"]:
            if block["type"] == "tool_result":
                content = "".join(part["text"] for part in block.get("content", ()))
                messages.append({"role": "tool", "tool_call_id": block["tool_use_id"], "content": content})
        if texts or calls:
            messages.append(
                {"role": turn["role"], "content": "".join(texts), **({"tool_calls": calls} if calls else {})}
            )
    chat = {"messages": messages, "max_tokens": body["max_tokens"]}
    if "tools" in body:
        chat["parallel_tool_calls"] = not body["tool_choice"].get("disable_parallel_tool_use", False)
        chat["tools"] = [
            {
                "type": "function",
                "function": {
                    "name": tool["name"],
                    "description": tool["description"],
                    "parameters": tool["input_schema"],
                },
            }
            for tool in body["tools"]
        ]
    return chat


def message_of(body, tokens):
    """A chat completion as a Messages answer."""
    choice = body["choices"][0]
    said = choice["message"]
    content = [{"type": "text", "text": said["content"]}] if said["content"] else []
    for call in said.get("tool_calls", ()):
        function = call["function"]
        content.append(
            {"type": "tool_use", "id": call["id"], "name": function["name"], "input": json.loads(function["arguments"])}
        )
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": MODEL,
        "content": content,
        "stop_reason": {"stop": "end_turn", "tool_calls": "tool_use", "length": "max_tokens"}[choice["finish_reason"]],
        "stop_sequence": None,
        "usage": {
            "input_tokens": tokens["input"],
            "cache_read_input_tokens": tokens["cached"],
            "cache_creation_input_tokens": tokens["cache_write"],
            "output_tokens": tokens["output"],
        },
    }


@pytest.fixture
def service(shared):
    """Starts services, and stops them in the end."""
    started = []

    def start(kind, **state):
        started.append(Service(shared.Loopback, kind, **state))
        return started[-1]

    yield start
    for each in started:
        each.server.stop()


def make_run(folder: Path, service: Service, budget: str, *, max_output_tokens: int = 1000) -> Path:
    folder.mkdir(exist_ok=True)
    text = SETTINGS.format(kind=service.kind, url=service.url, budget=budget, max_output_tokens=max_output_tokens)
    (folder / "run.toml").write_text(text)
    return folder


IMPATIENT = """
import functools
import evolve.workshop
from evolve.llm import Gateway, Retry
evolve.workshop.Gateway = functools.partial(Gateway, retry=Retry(attempts=3, base=0.1))
"""
"""Run before the command: a service that is down is given up after some tenths of a second instead of minutes."""


def start(run: Path, *, key: str = KEY, before: str = "") -> subprocess.Popen:
    environment = {**os.environ, "MY_KEY": key, "no_proxy": "127.0.0.1"}
    program = [sys.executable, "-c", f"{before}\nfrom evolve.cli import main\nmain()", "run", str(run)]
    return subprocess.Popen(program, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def grow(run: Path, *, code: int = 0, **options) -> str:
    """The output of a `clade run` that ends by itself."""
    with start(run, **options) as process:
        try:
            out, _ = process.communicate(timeout=300)
        finally:
            process.kill()
    assert process.returncode == code, out
    return out


def history_of(run: Path) -> History:
    with Archive.open(run) as archive:
        return archive.history()


def evidence(history: History) -> int:
    return sum(row.passed or row.failed for row in history.evaluations)


def ledger_dollars(run: Path) -> float:
    lines = [json.loads(line) for line in (run / "ledger.jsonl").read_text().splitlines()]
    assert all(line["measured"] for line in lines if line["event"] == "settle"), "nothing was guessed"
    return math.fsum(line["usd"] for line in lines if line["event"] == "settle")


def everything(run: Path) -> bytes:
    """All that a run folder holds, compressed objects and rows spread over pages included."""
    content = [path.read_bytes() for path in run.rglob("*") if path.is_file()]
    git = ["git", "-C", str(run / "agents.git"), "cat-file", "--batch", "--batch-all-objects"]
    content.append(subprocess.run(git, capture_output=True, check=True).stdout)
    with closing(sqlite3.connect(run / "archive.db")) as rows:
        content.append("\n".join(rows.iterdump()).encode())
    assert any(b"def complete(" in each for each in content), "the seed agent's source is among it"
    return b"\n".join(content)


@pytest.mark.parametrize("kind", ["openai", "anthropic"])
def test_one_setting_makes_the_same_loop_run_on_a_service(service, tmp_path, kind):
    served = service(kind)
    run = make_run(tmp_path / "run", served, "evaluations = 8")  # enough for several attempts at a child
    grow(run)
    with Archive.open(run) as archive:
        history, told = archive.history(), archive.about
        calls = archive.calls()
    assert evidence(history) == 8
    assert any(row.issue and row.outcome is not Outcome.VOID for row in history.expansions)
    assert len(history.agents) > 1, "a tree has grown"
    assert {call.role for call in calls} == {"solve", "improve", "diagnose"}
    assert {call.model for call in calls} == {"mine:fixer-1"}
    assert len(calls) == served.calls and served.refused == 0
    billed = float(served.billed)
    assert billed > 0.1 and history.spent().cached_tokens > 0
    assert history.spent().usd == pytest.approx(billed, abs=1e-9)
    assert ledger_dollars(run) == pytest.approx(billed, abs=1e-9)
    assert float(told["spent_usd"]) == pytest.approx(billed, abs=1e-9)
    assert KEY.encode() not in everything(run)


def test_the_budget_in_dollars_holds_to_the_cent(service, tmp_path):
    served = service("openai")
    run = make_run(tmp_path / "run", served, "evaluations = 50\nusd = 0.25", max_output_tokens=400)
    out = grow(run)
    assert "models' budget is spent" in out
    spent = ledger_dollars(run)
    assert spent == pytest.approx(float(served.billed), abs=1e-9)
    assert 0.2 < spent <= 0.25
    history = history_of(run)
    cut = [row for row in (*history.evaluations, *history.expansions) if row.outcome is Outcome.VOID]
    assert cut and all("the run's budget ended" in row.reason for row in cut), "and no agent is blamed for it"


@pytest.mark.slow
def test_a_service_that_is_down_costs_time_but_no_evidence(service, tmp_path):
    """It goes away for longer than any rollout may take; the run waits, says so, and goes on."""
    served = service("openai", down_after=40)
    run = make_run(tmp_path / "run", served, "evaluations = 4\nvoids_in_a_row = 1")
    process = start(run, before=IMPATIENT)
    watchdog = threading.Timer(200, process.kill)
    watchdog.start()
    said = []
    try:
        for line in process.stdout:
            said.append(line)
            if "VOID" in line and any("paused: mine takes no calls since" in each for each in said):
                served.down, served.down_after = False, None
        out = "".join(said)
        assert process.wait() == 0, out
    finally:
        watchdog.cancel()
        process.kill()
        process.stdout.close()
    assert "the engine is overloaded" in out and "goes on: mine takes calls again after" in out
    history = history_of(run)
    assert evidence(history) == 4
    assert not any(row.outcome is Outcome.AGENT_CRASHED for row in history.evaluations), "nobody is blamed for it"
    voids = [row for row in (*history.evaluations, *history.expansions) if row.outcome is Outcome.VOID]
    assert 1 <= len(voids) <= 2, "those that were under way, and none began before it was over"
    assert all(row.reason.startswith("outage: ") for row in voids)
    assert ledger_dollars(run) == pytest.approx(float(served.billed), abs=1e-9), "what was not answered costs nothing"
    asked = float(served.billed) - history.spent().usd
    assert 0 < asked < 0.01, "but for the question of the house's own that was answered in the end"


@pytest.mark.slow
def test_a_short_outage_is_ridden_out(service, tmp_path):
    """Nobody listens for three seconds in the middle of the run; the gateway's retries bridge that."""
    served = service("openai")
    run = make_run(tmp_path / "run", served, "evaluations = 4\nexpansions = 0")
    process = start(run)
    try:
        while served.calls < 5 and process.poll() is None:
            time.sleep(0.05)
        served.server.shut()
        time.sleep(3)
        served.server.open()
        out, _ = process.communicate(timeout=300)
    finally:
        process.kill()
    assert process.returncode == 0, out
    history = history_of(run)
    assert evidence(history) == 4
    assert not any(row.outcome is Outcome.AGENT_CRASHED for row in history.evaluations)
    with Archive.open(run) as archive:
        assert sum(call.retries for call in archive.calls()) > 0


@pytest.mark.slow
def test_a_wrong_key_is_nobodys_failure_and_told_by_its_variable(service, tmp_path):
    served, wrong = service("anthropic"), "wrong71c2" + KEY
    run = make_run(tmp_path / "run", served, "evaluations = 5\nvoids_in_a_row = 2")
    out = grow(run, key=wrong, code=1)
    assert "check the key in MY_KEY" in out
    history = history_of(run)
    assert {row.outcome for row in history.evaluations} == {Outcome.VOID}
    assert history.spent().usd == 0 == served.billed
    assert wrong not in out and wrong.encode() not in everything(run), "the service said it aloud, we do not"


@pytest.mark.slow
def test_ctrl_c_in_an_outage_waits_for_no_provider(service, tmp_path):
    """The gateway would try for minutes and the agents have minutes: who asks to stop waits for neither."""
    served = service("openai", down=True)
    run = make_run(tmp_path / "run", served, "evaluations = 5")
    text = (run / "run.toml").read_text()
    (run / "run.toml").write_text(text.replace("solve_seconds = 25", "solve_seconds = 600"))
    patient = IMPATIENT.replace("attempts=3, base=0.1", "attempts=99, base=1000, ceiling=1000, deadline=100_000")
    process = start(run, before=patient)
    try:
        while served.refused < 2 and process.poll() is None:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 130, out
    assert "Ctrl-C again stops at once" in out and "Asked to stop" in out
    rows = history_of(run).evaluations
    assert [row.outcome for row in rows] == [Outcome.VOID] * 2
    assert all("503" in row.reason for row in rows)
