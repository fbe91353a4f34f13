"""Tries whose answers were lost on the way are paid for; a replay books them again, and tells of them as it was then.

The service is a real HTTP server on loopback that hangs up in the middle of its answers.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from archive import Call
from evolve.llm import Caps, Cassette, Gateway, Ledger, Mode, Model, Price, Retry, Scope, read_transcript, render
from evolve.llm.cassette.tape import INDEX
from evolve.llm.meter import CUT_OFF
from evolve.llm.openai_compatible import OpenAICompatible
from evolve.llm.spending import Entry, read_book

SCOPE = Scope("evaluation-1", seed=7)
NOBODY = "http://127.0.0.1:9/v1"
"""Where no service listens."""
QUESTION = {"model": "solve", "messages": [{"role": "user", "content": "what is 6 times 7?"}], "max_tokens": 500}


class Service(ThreadingHTTPServer):
    """Does with each request what `script` says next: `lost` half way, `503`, or the answer."""

    daemon_threads = True

    def __init__(self, *script: str) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.script = list(script)
        self.asked = 0
        self.thread = threading.Thread(target=self.serve_forever)
        self.thread.start()

    def stop(self) -> None:
        self.shutdown()
        self.server_close()
        self.thread.join()


class Answer(BaseHTTPRequestHandler):
    """One request to the service."""

    protocol_version = "HTTP/1.1"
    server: Service

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.server.asked += 1
        what = self.server.script.pop(0) if len(self.server.script) > 1 else self.server.script[0]
        body = {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "model": "m-1",
            "choices": [{"index": 0, "message": {"role": "assistant", "content": "42"}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 20, "completion_tokens": 3, "total_tokens": 23},
        }
        raw = json.dumps({"error": {"message": "overloaded"}} if what == "503" else body).encode()
        self.send_response(503 if what == "503" else 200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(raw)))
        self.end_headers()
        with suppress(BrokenPipeError):  # the gateway's own question whether we are back does not wait for its answer
            self.wfile.write(raw[: len(raw) // 2] if what == "lost" else raw)
        self.close_connection = what == "lost"

    def log_message(self, *_: object) -> None:
        """Nothing: the test's output is not the service's log."""


@pytest.fixture
def serving() -> Iterator[Any]:
    services: list[Service] = []

    def serve(*script: str) -> Service:
        services.append(Service(*script))
        return services[-1]

    yield serve
    for service in services:
        service.stop()


def rollout(folder: Path, mode: Mode, kit: Any, service: Service | None = None, caps: Caps | None = None) -> Any:
    """A rollout's one question, its cassette in `folder`, its other papers in a folder of the mode's name there."""
    url = NOBODY if service is None else f"http://127.0.0.1:{service.server_port}/v1"
    model = Model(OpenAICompatible("mine", url), "m-1", Price(1.0, 2.0), max_output_tokens=1000)
    papers, cassette = folder / mode, Cassette(folder / "tape", mode)
    retry = Retry(attempts=3, base=0.001)
    with (
        Ledger(papers / "ledger.jsonl") as ledger,
        Gateway({"solve": model}, ledger, retry=retry, cassette=cassette) as gateway,
        gateway.session(SCOPE, log=papers, caps=caps or Caps()) as session,
    ):
        heard = kit.ask(session.socket, QUESTION)
    cassette.close()
    return heard, session


def booked(folder: Path, mode: Mode) -> list[Entry]:
    """What the ledger has of the rollout; a service that is out is asked by others too whether it is back."""
    return [entry for entry in read_book(folder / mode / "ledger.jsonl").entries if entry.scope == SCOPE.key]


def shown(folder: Path, mode: Mode) -> str:
    """The transcript as a diagnosis reads it."""
    return render(read_transcript(folder / mode / "transcript.jsonl"))


def without_status(bill: tuple[Call, ...]) -> list[Call]:
    """What was paid; that it was replayed this time is no difference."""
    return [replace(call, status="ok" if call.status == "replayed" else call.status) for call in bill]


@pytest.mark.parametrize(
    ("script", "caps", "statuses"),
    [
        (("lost", "answer"), Caps(), [CUT_OFF, "ok"]),
        (("lost", "503", "answer"), Caps(), [CUT_OFF, "ok"]),
        (("503", "lost", "lost"), Caps(), [CUT_OFF, "unavailable"]),
        (("lost", "lost", "503"), Caps(), [CUT_OFF, CUT_OFF, "unavailable"]),
        (("lost", "answer"), Caps(usd=0.0015), [CUT_OFF]),  # one try may cost about $0.001: no room for another
    ],
)
def test_what_lost_tries_cost_is_the_same_in_a_replay(
    serving: Any, kit: Any, tmp_path: Path, script: tuple[str, ...], caps: Caps, statuses: list[str]
) -> None:
    service = serving(*script)
    heard, session = rollout(tmp_path, "record", kit, service, caps)
    asked = service.asked
    assert [call.status for call in session.bill] == statuses
    lost = [call for call in session.bill if call.status == CUT_OFF]
    assert all(call.usd > 0.001 and call.output_tokens == 500 for call in lost), "charged in full"

    again, replayed = rollout(tmp_path, "replay", kit, caps=caps)
    assert service.asked == asked
    assert (again.status, again.body) == (heard.status, heard.body)
    assert without_status(replayed.bill) == list(session.bill)
    assert (replayed.spent_out, replayed.fault, replayed.steps) == (session.spent_out, session.fault, session.steps)
    assert shown(tmp_path, "replay") == shown(tmp_path, "record"), "a diagnosis asks the same"

    then, now = booked(tmp_path, "record"), booked(tmp_path, "replay")
    assert [entry.cost for entry in now] == [entry.cost for entry in then]
    assert all(entry.paid for entry in then)
    assert not any(entry.paid for entry in now), "nothing of it was paid again"


def test_a_cassette_that_does_not_say_why_answers_were_lost_is_played_all_the_same(
    serving: Any, kit: Any, tmp_path: Path
) -> None:
    _, session = rollout(tmp_path, "record", kit, serving("lost", "answer"))
    index = tmp_path / "tape" / INDEX
    lines = [json.loads(line) for line in index.read_text().splitlines()]
    assert ["tried again" in line["lost"][0] for line in lines if "lost" in line] == [True]
    index.write_text("".join(json.dumps({k: v for k, v in line.items() if k != "lost"}) + "\n" for line in lines))
    heard, replayed = rollout(tmp_path, "replay", kit)
    assert heard.body["choices"][0]["message"]["content"] == "42"
    assert without_status(replayed.bill) == list(session.bill)
