"""What every provider promises, through a session's socket, against real servers as strict as the real services.

The agent of these tests speaks plain chat completions, as agents do: it knows nothing of formats, and of reasoning
neither. Whatever it may legally say, the service must take; whatever the service says, it must understand.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from evolve.llm import Caps, Gateway, Ledger, Model, Price, Provider, Retry, Scope, Session, Usage
from evolve.llm.anthropic import Anthropic
from evolve.llm.offline import OfflineProvider
from evolve.llm.openai_compatible import OpenAICompatible
from evolve.llm.openai_responses import OpenAIResponses
from evolve.llm.parameters import refused_fields

PRICE = Price(2.0, 10.0, 0.2, 2.5)
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "bash",
            "description": "Run a command",
            "parameters": {"type": "object", "properties": {"command": {"type": "string"}}, "required": ["command"]},
        },
    },
    {"type": "function", "function": {"name": "done"}},
]
PIXEL = "data:image/png;base64,iVBORw0KGgo="


@dataclass
class Bench:
    """An agent's socket, and the service behind the gateway."""

    service: Any
    session: Session
    kit: Any
    kind: str

    def ask(self, messages: list[dict[str, Any]], **more: Any) -> Any:
        body = {"model": "solve", "messages": messages, "tools": TOOLS, **more}
        return self.kit.ask(self.session.socket, body)

    def said(self, messages: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
        """The model's message. The service has refused nothing on the way."""
        heard = self.ask(messages, **more)
        assert heard.status == 200, (heard.content, self.service.refused)
        assert self.service.refused == []
        message: dict[str, Any] = heard.body["choices"][0]["message"]
        return message


@dataclass(frozen=True)
class Kind:
    """A format with its provider."""

    settings: str
    model: str
    wire: Callable[[Any], Any]
    provider: Callable[[str, str], Provider]
    carries: bool = True
    """Whether the service takes thoughts back at all."""


KINDS = {
    "chat": Kind(
        "openai",
        "m",
        lambda strict: strict.Chat(),
        lambda url, key: OpenAICompatible("up", url, key=key, seconds=2),
        carries=False,
    ),
    "chat, thinking": Kind(
        "openai",
        "gpt-5-mini",
        lambda strict: strict.Chat(thinking=True),
        lambda url, key: OpenAICompatible(
            "up", url, key=key, seconds=2, token_field="max_completion_tokens", cache_key=True
        ),
        carries=False,
    ),
    "chat, open model": Kind(
        "openai",
        "m",
        lambda strict: strict.Chat(open_model=True),
        lambda url, key: OpenAICompatible("up", url, key=key, seconds=2),
    ),
    "responses": Kind(
        "openai-responses",
        "gpt-6-sol",
        lambda strict: strict.Responses(),
        lambda url, key: OpenAIResponses("up", url, key=key, seconds=2),
    ),
    "messages": Kind(
        "anthropic",
        "claude-opus-5",
        lambda strict: strict.Messages(),
        lambda url, key: Anthropic("up", key=key, url=url, seconds=2),
    ),
}


@pytest.fixture(params=KINDS)
def bench(request: pytest.FixtureRequest, strict: Any, kit: Any, tmp_path: Path) -> Iterator[Bench]:
    kind = KINDS[request.param]
    service = strict.start(kind.wire(strict))
    provider = kind.provider(service.url, kit.canary)
    model = Model(provider, kind.model, PRICE, 4096, unsupported=refused_fields(kind.settings, kind.model))
    with (
        Ledger(tmp_path / "ledger.jsonl") as ledger,
        Gateway({"solve": model}, ledger, retry=Retry(attempts=3, base=0.001)) as gateway,
        gateway.session(Scope("evaluation-1"), log=tmp_path / "log", caps=Caps()) as session,
    ):
        yield Bench(service, session, kit, request.param)
    assert all(kit.canary not in path.read_text() for path in tmp_path.rglob("*") if path.is_file())


USER = {"role": "user", "content": "repair it"}
SYSTEM = {"role": "system", "content": "You are an engineer."}


def results(message: dict[str, Any], content: Any = "ok") -> list[dict[str, Any]]:
    return [{"role": "tool", "tool_call_id": call["id"], "content": content} for call in message["tool_calls"]]


def echo(message: dict[str, Any]) -> dict[str, Any]:
    """The message as an agent keeps it: what it knows of, and no more."""
    return {name: message[name] for name in ("role", "content", "tool_calls") if name in message}


def test_a_text_and_what_it_cost(bench: Bench, strict: Any) -> None:
    bench.service.says(strict.Says("done", thought="hm"))
    heard = bench.ask([SYSTEM, USER])
    choice = heard.body["choices"][0]
    assert (choice["message"], choice["finish_reason"]) == (
        {**choice["message"], "role": "assistant", "content": "done"},
        "stop",
    )
    assert "hm" not in heard.content.decode(), "what the model thought is not the agent's"
    usage = heard.body["usage"]
    assert (usage["prompt_tokens"], usage["completion_tokens"], usage["total_tokens"]) == (100, 10, 110)
    (call,) = bench.session.bill
    assert (call.input_tokens, call.cached_tokens, call.output_tokens) == (100, 60, 10)
    assert call.usd == pytest.approx(PRICE.of(Usage(100, 60, 20, 10, 4)))


def test_parallel_calls_and_their_results(bench: Bench, strict: Any) -> None:
    calls = (("call_a", "bash", {"command": "ls"}), ("call_b", "bash", {"command": 'echo "ü"'}))
    bench.service.says(strict.Says("I look", calls, thought="first"), strict.Says("done"))
    first = bench.said([SYSTEM, USER])
    assert first["content"] == "I look"
    heard = [(c["id"], c["function"]["name"], json.loads(c["function"]["arguments"])) for c in first["tool_calls"]]
    assert heard == [tuple(call) for call in calls]
    assert bench.said([SYSTEM, USER, echo(first), *results(first)])["content"] == "done"


def test_a_long_loop_gives_every_thought_back_and_shows_none(bench: Bench, strict: Any) -> None:
    rounds = 12
    script = [strict.Says(None, ((f"call_{n}", "bash", {"n": n}),), thought=f"thought {n}") for n in range(rounds)]
    bench.service.says(*script, strict.Says("done", thought="the last"))
    messages = [SYSTEM, USER]
    for _ in range(rounds):
        message = bench.said(messages)
        assert "thought" not in json.dumps(message)
        messages += [echo(message), *results(message, "line\n" * 20)]
    assert bench.said(messages)["content"] == "done"
    thoughts = [f"thought {n}" for n in range(rounds)] if KINDS[bench.kind].carries else []
    assert bench.service.wire.thoughts(bench.service.bodies[-1]) == thoughts
    assert bench.session.fault is None and all(call.retries == 0 for call in bench.session.bill)


def changed(messages: list[dict[str, Any]], how: str) -> list[dict[str, Any]]:
    """A history as an agent may have changed it, each call still with its result."""
    if how == "shortened":
        return [*messages[:2], *messages[4:]]
    if how == "another system message":
        return [{"role": "system", "content": "You are a careful engineer."}, *messages[1:]]
    if how == "a later system message":
        return [*messages, {"role": "system", "content": "Hurry."}]
    if how == "clipped results":
        return [{**each, "content": "(cut)"} if each["role"] == "tool" else each for each in messages]
    if how == "words of its own":
        return [{**each, "content": "I look."} if each["role"] == "assistant" else each for each in messages]
    return [
        {**each, "tool_calls": [{**call, "function": {**call["function"], "arguments": '{ "n": 7}'}}]}
        if (call := (each.get("tool_calls") or [None])[0])
        else each
        for each in messages
    ]


@pytest.mark.parametrize(
    "how",
    ["shortened", "another system message", "a later system message", "clipped results", "words of its own", "args"],
)
def test_an_agent_may_change_its_history(bench: Bench, strict: Any, how: str) -> None:
    script = [strict.Says("hm", ((f"call_{n}", "bash", {"n": n}),), thought=f"thought {n}") for n in range(5)]
    bench.service.says(*script, strict.Says("done"))
    messages = [SYSTEM, USER]
    for number in range(5):
        message = bench.said(changed(messages, how) if number == 3 else messages)
        messages = changed(messages, how) if number == 3 else messages
        messages += [echo(message), *results(message)]
    assert bench.said(messages)["content"] == "done"


AWKWARD: dict[str, list[dict[str, Any]]] = {
    "content in parts": [
        {"role": "system", "content": [{"type": "text", "text": "Be"}, {"type": "text", "text": "good"}]},
        {"role": "user", "content": [{"type": "text", "text": "hi"}]},
    ],
    "a picture": [
        {
            "role": "user",
            "content": [{"type": "text", "text": "see"}, {"type": "image_url", "image_url": {"url": PIXEL}}],
        }
    ],
    "several in a row": [
        SYSTEM,
        USER,
        USER,
        {"role": "assistant", "content": "yes"},
        {"role": "user", "content": "go"},
    ],
    "the developer's word": [{"role": "developer", "content": "Be good."}, USER],
    "system in the middle": [SYSTEM, USER, {"role": "assistant", "content": "yes"}, SYSTEM, USER],
    "nothing but a system message": [SYSTEM, {"role": "user", "content": ""}],
    "the agent begins": [{"role": "assistant", "content": "I begin."}, USER],
    "empty words": [USER, {"role": "assistant", "content": ""}, {"role": "user", "content": " \n"}],
    "calls of its own making": [
        USER,
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"id": "mine-1", "type": "function", "function": {"name": "bash", "arguments": '{"command": "ls"}'}},
                {"id": "mine-2", "type": "function", "function": {"name": "done", "arguments": "{}"}},
            ],
        },
        {"role": "tool", "tool_call_id": "mine-2", "content": ""},
        {"role": "tool", "tool_call_id": "mine-1", "content": [{"type": "text", "text": "a.py"}]},
    ],
    "an answer as a client keeps it": [
        USER,
        {"role": "assistant", "content": "yes", "refusal": None, "annotations": [], "audio": None},
        USER,
    ],
}


@pytest.mark.parametrize("name", AWKWARD)
def test_every_legal_history_is_taken(bench: Bench, name: str) -> None:
    assert bench.said(AWKWARD[name])["content"] == "hello"


@pytest.mark.parametrize(
    "more",
    [
        {"tool_choice": "auto"},
        {"tool_choice": "none"},
        {"tool_choice": "required"},
        {"tool_choice": {"type": "function", "function": {"name": "bash"}}},
        {"parallel_tool_calls": False},
        {"tools": [], "temperature": 0.0, "top_p": 0.9, "seed": 3, "stop": ["END"]},
        {"tools": [], "presence_penalty": 0.1, "frequency_penalty": 0.1},
        {"max_tokens": 999_999},
        {"max_completion_tokens": 64, "stream": True, "stream_options": {"include_usage": True}},
        {"reasoning_effort": "low"},
        {
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "n", "strict": True, "schema": {"type": "object", "properties": {}}},
            }
        },
    ],
    ids=lambda more: "+".join(more),
)
def test_every_field_that_agents_may_set_is_taken(bench: Bench, more: dict[str, Any]) -> None:
    heard = bench.ask([SYSTEM, USER], **more)
    assert (heard.status, bench.service.refused) == (200, []), heard.content
    sent = bench.service.bodies[-1]
    caps = [
        value for name, value in sent.items() if name in ("max_tokens", "max_completion_tokens", "max_output_tokens")
    ]
    assert caps == [min(4096, more.get("max_tokens", more.get("max_completion_tokens", 4096)))]
    assert not sent.get("stream")


@pytest.mark.parametrize(("end", "reason"), [("length", "length"), ("filter", "content_filter")])
def test_why_an_answer_ended(bench: Bench, strict: Any, end: str, reason: str) -> None:
    bench.service.says(strict.Says("half a sen", end=end))
    choice = bench.ask([USER]).body["choices"][0]
    assert (choice["finish_reason"], choice["message"]["content"]) == (reason, "half a sen")


def test_calls_end_an_answer_in_the_same_word_everywhere(bench: Bench, strict: Any) -> None:
    bench.service.says(strict.Says(None, (("call_1", "done", {}),)))
    assert bench.ask([USER]).body["choices"][0]["finish_reason"] == "tool_calls"


LOST = ("reset", "truncated", "empty")
"""The service had the request and may have charged for it: the worst case is paid, each time."""


@pytest.mark.parametrize(
    ("how", "status", "code", "house"),
    [
        ("too_long", 400, "context_length_exceeded", False),
        ("bad_request", 400, "model_refused", False),
        ("bad_key", 502, "model_refused", True),
        ("no_model", 502, "model_refused", True),
        ("no_money", 502, "model_refused", True),
        ("rate", 503, "model_unavailable", True),
        ("overloaded", 503, "model_unavailable", True),
        ("reset", 503, "model_unavailable", True),
        ("html", 503, "model_unavailable", True),
        ("truncated", 503, "model_unavailable", True),
        ("empty", 503, "model_unavailable", True),
    ],
)
def test_whose_fault_a_failure_is(bench: Bench, strict: Any, how: str, status: int, code: str, house: bool) -> None:
    bench.service.says(strict.Fails(how, (("retry-after", "0.01"),)))
    heard = bench.ask([USER])
    assert (heard.status, heard.body["error"]["code"]) == (status, code), heard.content
    assert (bench.session.fault is not None) is house
    assert all((call.usd > 0) is (how in LOST) for call in bench.session.bill)


@pytest.mark.parametrize("how", ["rate", "overloaded", "reset", "html", "truncated", "empty"])
def test_what_passes_is_lived_through(bench: Bench, strict: Any, how: str) -> None:
    bench.service.says(strict.Fails(how, (("retry-after", "0.01"),)), strict.Says("at last"))
    assert bench.said([USER])["content"] == "at last"
    assert bench.session.fault is None
    last = bench.session.bill[-1]
    assert (last.status, last.retries) == ("ok", 1)
    assert last.usd == pytest.approx(PRICE.of(Usage(100, 60, 20, 10, 4)))
    assert (len(bench.session.bill) == 2) is (how in LOST), "an answer that was lost is paid as well"


@pytest.mark.parametrize("bench", ["responses", "messages"], indirect=True)
def test_a_service_that_takes_its_thoughts_back_no_more_is_asked_without_them(bench: Bench, strict: Any) -> None:
    bench.service.says(strict.Says(None, (("call_1", "done", {}),), thought="sealed"), strict.Says("done"))
    first = bench.said([USER])
    bench.service.wire.secret = "another"
    heard = bench.ask([USER, echo(first), *results(first)])
    assert heard.body["choices"][0]["message"]["content"] == "done"
    assert len(bench.service.refused) == 1 and bench.session.fault is None
    assert [call.retries for call in bench.session.bill] == [0, 1]


def test_two_rollouts_do_not_share_their_thoughts(bench: Bench, strict: Any, tmp_path: Path) -> None:
    """The same history in another session: what was thought in the first one is not known there."""
    bench.service.says(strict.Says("I look", (("call_1", "done", {}),), thought="private"), strict.Says("done"))
    first = bench.said([USER])
    history = [USER, echo(first), *results(first)]
    kind = KINDS[bench.kind]
    model = Model(kind.provider(bench.service.url, "k"), kind.model, PRICE, 4096)
    with (
        Ledger(tmp_path / "other.jsonl") as ledger,
        Gateway({"solve": model}, ledger, retry=Retry(attempts=1)) as gateway,
        gateway.session(Scope("evaluation-2"), log=None, caps=Caps()) as session,
    ):
        bench.kit.ask(session.socket, {"model": "solve", "messages": history, "tools": TOOLS})
    assert all("private" not in json.dumps(body) for body in bench.service.bodies)


@pytest.mark.parametrize("name", AWKWARD)
def test_the_embedded_model_takes_every_legal_history_too(kit: Any, tmp_path: Path, name: str) -> None:
    """It has no wire of its own, so no server can be strict with it; what it answers has the shape of all answers."""
    model = Model(OfflineProvider(), "repair", Price(0.0, 0.0), 4096)
    with (
        Ledger(tmp_path / "ledger.jsonl") as ledger,
        Gateway({"solve": model}, ledger) as gateway,
        gateway.session(Scope("evaluation-1"), log=None, caps=Caps()) as session,
    ):
        heard = kit.ask(session.socket, {"model": "solve", "messages": AWKWARD[name], "tools": TOOLS})
    assert heard.status == 200, heard.content
    choice = heard.body["choices"][0]
    calls = choice["message"].get("tool_calls") or []
    assert choice["finish_reason"] == ("tool_calls" if calls else "stop")
    assert all(isinstance(json.loads(call["function"]["arguments"]), dict) for call in calls)
    assert calls or isinstance(choice["message"]["content"], str)
    assert heard.body["usage"]["total_tokens"] > 0
