"""Recorded and played through a real gateway, its answers coming from a real HTTP server on loopback."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from evolve.llm import (
    BudgetSpent,
    Caps,
    Cassette,
    Gateway,
    Json,
    Ledger,
    Mode,
    Model,
    ModelError,
    Price,
    Retry,
    Scope,
    read_transcript,
)
from evolve.llm.cassette.tape import BODIES, INDEX
from evolve.llm.openai_compatible import OpenAICompatible

SCOPE = Scope("evaluation-1", seed=7)
NOBODY = "http://127.0.0.1:9/v1"
"""Where no service listens."""


class Line:
    """A gateway with a cassette, for one mode at a time."""

    def __init__(self, path: Path, kit: Any) -> None:
        self.path = path
        self.kit = kit
        self.ledger = Ledger(None)

    @contextmanager
    def gateway(self, mode: Mode, url: str = NOBODY, *, key: str | None = None) -> Iterator[Gateway]:
        """`ledger` is a fresh one for each."""
        self.ledger = Ledger(None)
        with ExitStack() as stack:
            cassette = Cassette(self.path, mode)
            stack.callback(cassette.close)
            provider = OpenAICompatible("mine", url, key=key)
            model = Model(provider, "m-1", Price(1.0, 2.0), max_output_tokens=1000)
            models = {"solve": model, "improve": model}
            retry = Retry(attempts=2, base=0.001)
            yield stack.enter_context(Gateway(models, self.ledger, retry=retry, cassette=cassette))

    def ask(self, gateway: Gateway, *questions: str, caps: Caps | None = None, log: Path | None = None) -> list[Any]:
        """A rollout that asks them over its socket; status and body of each answer, and then its session."""
        with gateway.session(SCOPE, log=log, caps=caps or Caps()) as session:
            heard = [
                self.kit.ask(
                    session.socket,
                    {"model": "solve", "messages": [{"role": "user", "content": text}], "max_tokens": 500},
                )
                for text in questions
            ]
        return [*((each.status, each.body) for each in heard), session]


@pytest.fixture
def line(tmp_path: Path, kit: Any) -> Line:
    return Line(tmp_path / "tape", kit)


def texts(heard: list[Any]) -> list[str]:
    return [body["choices"][0]["message"]["content"] for _, body in heard[:-1]]


def events(path: Path) -> list[Json]:
    return [json.loads(line) for line in (path / INDEX).read_bytes().splitlines()]


def test_a_replay_answers_and_books_the_same_with_nobody_at_the_other_end(line: Line, upstream: Any, kit: Any) -> None:
    upstream.says(kit.completion("one"), kit.completion("two"))
    with line.gateway("record", f"{upstream.url}/v1") as gateway:
        then = line.ask(gateway, "first", "second")
        spent = line.ledger.spent().settled
    with line.gateway("replay") as gateway:
        now = line.ask(gateway, "first", "second")
        assert line.ledger.spent().settled == spent
    assert texts(now) == texts(then) == ["one", "two"]
    assert now[:-1] == then[:-1]
    assert len(upstream.requests) == 2
    assert spent.usd > 0
    assert [call.status for call in now[-1].bill] == ["replayed", "replayed"]
    assert now[-1].steps == then[-1].steps == 2


def test_a_replay_reports_a_missing_call_and_is_the_houses_fault(line: Line, upstream: Any) -> None:
    with line.gateway("record", f"{upstream.url}/v1") as gateway:
        line.ask(gateway, "first")
    with line.gateway("replay") as gateway:
        *heard, session = line.ask(gateway, "first", "something else", "first")
    assert heard[0][0] == 200
    assert all(status >= 400 for status, _ in heard[1:])
    assert session.fault is not None
    assert "call 2 of evaluation-1, by the role solve to mine:m-1, is not on" in session.fault
    assert "-first\n    +something else" in session.fault


def test_replay_or_call_plays_what_is_there_asks_the_rest_and_then_all_replays(
    line: Line, upstream: Any, kit: Any
) -> None:
    upstream.says(kit.completion("one"))
    with line.gateway("record", f"{upstream.url}/v1") as gateway:
        line.ask(gateway, "first")
    upstream.says(kit.completion("two"), kit.completion("three"))
    with line.gateway("replay-or-call", f"{upstream.url}/v1") as gateway:
        *heard, session = line.ask(gateway, "first", "second", "first")
        # The answer to the first "first" is given out; asked again it is a new call.
        assert texts([*heard, session]) == ["one", "two", "three"]
        assert [call.status for call in session.bill] == ["replayed", "ok", "ok"]
    assert [body["messages"][0]["content"] for _, _, body in upstream.requests] == ["first", "second", "first"]
    with line.gateway("replay") as gateway:
        assert texts(line.ask(gateway, "first", "second", "first")) == ["one", "two", "three"]
    with line.gateway("replay-or-call") as gateway:
        assert texts(line.ask(gateway, "first", "second", "first")) == ["one", "two", "three"]
    assert [each["event"] for each in events(line.path)] == ["session", "call", "session", "call", "call"]


@pytest.mark.parametrize(
    ("status", "told"), [(400, "maximum context length is 10 tokens"), (401, "bad key"), (503, "overloaded")]
)
def test_a_failure_is_played_as_the_same_failure(line: Line, upstream: Any, kit: Any, status: int, told: str) -> None:
    upstream.says(kit.Said({"error": {"message": told, "type": "x", "code": None}}, status=status))
    with line.gateway("record", f"{upstream.url}/v1") as gateway:
        then = line.ask(gateway, "first")
    asked = len(upstream.requests)
    assert then[0][0] >= 400
    with line.gateway("replay") as gateway:
        now = line.ask(gateway, "first")
    assert now[0] == then[0]
    assert (now[-1].fault is None) == (then[-1].fault is None)
    assert now[-1].fault == then[-1].fault
    assert len(upstream.requests) == asked


def test_the_end_of_the_money_is_played_where_it_came(line: Line, upstream: Any, tmp_path: Path) -> None:
    caps = Caps(calls=2)
    with line.gateway("record", f"{upstream.url}/v1") as gateway:
        then = line.ask(gateway, "1", "2", "3", "4", caps=caps, log=tmp_path / "then")
    with line.gateway("replay") as gateway:
        now = line.ask(gateway, "1", "2", "3", "4", caps=caps, log=tmp_path / "now")
    assert [status for status, _ in now[:-1]] == [status for status, _ in then[:-1]]
    assert [body for _, body in now[:-1]] == [body for _, body in then[:-1]]
    assert now[-1].spent_out == then[-1].spent_out == "rollout"
    calls = [each for each in events(line.path) if each["event"] == "call"]
    assert len(calls) == 3, "what is asked after the end of the money is no call"
    assert calls[-1]["error"]["whose"] == "rollout"
    with line.gateway("replay") as gateway:  # the recorded end holds, whatever the caps are now
        assert line.ask(gateway, "1", "2", "3", "4")[-1].spent_out == "rollout"


def test_a_question_of_the_house_is_played_too(line: Line, upstream: Any, kit: Any) -> None:
    asked: list[Json] = [{"role": "user", "content": "why?"}]
    scope = Scope("expansion-1-diagnosis", seed=3, move="expansion-1")
    upstream.says(kit.completion("because"))
    with line.gateway("record", f"{upstream.url}/v1") as gateway:
        gateway.complete(scope, "improve", asked)
        with pytest.raises(BudgetSpent) as then:
            gateway.complete(scope, "improve", asked, caps=Caps(calls=0))
    with line.gateway("replay") as gateway:
        reply = gateway.complete(scope, "improve", asked)
        assert (reply.text, reply.call.role, reply.call.status) == ("because", "improve", "replayed")
        with pytest.raises(BudgetSpent) as now:
            gateway.complete(scope, "improve", asked)
        assert (str(now.value), now.value.whose) == (str(then.value), then.value.whose)
        with pytest.raises(ModelError, match=r"call 3 of expansion-1-diagnosis, by the role improve to mine:m-1"):
            gateway.complete(scope, "improve", asked)


def test_no_key_comes_onto_the_tape(line: Line, upstream: Any, kit: Any) -> None:
    upstream.says(kit.completion(f"your key is {kit.canary}"), kit.Said({"error": f"bad: {kit.canary}"}, status=401))
    with line.gateway("record", f"{upstream.url}/v1", key=kit.canary) as gateway:
        line.ask(gateway, "what is my key?", "and now?")
    index, bodies = ((line.path / name).read_bytes() for name in (INDEX, BODIES))
    assert upstream.requests[0][0]["authorization"] == f"Bearer {kit.canary}"
    assert kit.canary.encode() not in index + bodies
    with line.gateway("replay") as gateway:
        heard = line.ask(gateway, "what is my key?")
    assert texts(heard) == ["your key is [redacted]"]


def test_a_replayed_call_is_written_down_with_what_was_sent_then(line: Line, upstream: Any, tmp_path: Path) -> None:
    for mode, words in (("record", "3 passed in 0.03s"), ("replay", "3 passed in 1.70s")):
        log = tmp_path / mode
        with line.gateway(mode, f"{upstream.url}/v1") as gateway:
            line.ask(gateway, words, log=log)
    then, now = (read_transcript(tmp_path / mode / "transcript.jsonl") for mode in ("record", "replay"))
    assert [event.messages for event in now] == [event.messages for event in then]
    assert len(upstream.requests) == 1
