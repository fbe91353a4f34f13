"""The pass-through provider against a real HTTP server, and the whole way from the official SDK to it."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from evolve.llm import Caps, Completion, Gateway, Ledger, Model, ModelError, Price, Retry, Scope, Usage
from evolve.llm.openai_compatible import OpenAICompatible, TokenField, usage_of

SCOPE = Scope("evaluation-1")
REQUEST: dict[str, Any] = {"model": "big", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 50}


def complete(
    url: str, *, key: str | None = None, token_field: TokenField = "max_tokens", seconds: float = 5
) -> Completion:
    async def once() -> Completion:
        provider = OpenAICompatible("up", url + "/v1/", key=key, token_field=token_field, seconds=seconds)
        try:
            return await provider.complete(REQUEST, SCOPE)
        finally:
            await provider.close()

    return asyncio.run(once())


def refused(url: str, **more: Any) -> ModelError:
    with pytest.raises(ModelError) as caught:
        complete(url, **more)
    return caught.value


def test_the_request_is_passed_on_as_it_is_with_the_key(upstream: Any, kit: Any) -> None:
    answer = complete(upstream.url, key=kit.canary)
    headers, path, body = upstream.requests[0]
    assert path == "/v1/chat/completions" and body == REQUEST
    assert headers["authorization"] == f"Bearer {kit.canary}"
    assert answer.body["choices"][0]["message"]["content"] == "hello"
    assert answer.usage == Usage(100, 0, 0, 10)


def test_no_key_no_header(upstream: Any) -> None:
    complete(upstream.url)
    assert "authorization" not in upstream.requests[0][0]


def test_the_cap_is_called_as_the_service_calls_it(upstream: Any) -> None:
    complete(upstream.url, token_field="max_completion_tokens")
    body = upstream.requests[0][2]
    assert body["max_completion_tokens"] == 50 and "max_tokens" not in body


@pytest.mark.parametrize(
    ("usage", "counted"),
    [
        (
            {"prompt_tokens": 9, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 4}},
            Usage(9, 4, 0, 2),
        ),
        (
            {"prompt_tokens": 9, "prompt_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 99}},
            Usage(9, 4, 5, 0),
        ),
        ({"prompt_tokens": 9, "completion_tokens": 2, "prompt_tokens_details": None}, Usage(9, 0, 0, 2)),
        ({"prompt_tokens": "many", "completion_tokens": -2}, Usage()),
        (None, Usage()),
        ([], Usage()),
    ],
)
def test_usage(usage: object, counted: Usage) -> None:
    assert usage_of(usage) == counted


@pytest.mark.parametrize(
    ("status", "body", "kind", "said"),
    [
        (429, {"error": {"message": "Rate limit reached", "code": "rate_limit_exceeded"}}, "unavailable", "Rate limit"),
        (500, "oops", "unavailable", "oops"),
        (401, {"error": {"message": "Incorrect API key provided"}}, "refused", "Incorrect API key"),
        (400, {"error": {"message": "too many", "code": "context_length_exceeded"}}, "context_length", "too many"),
        (400, {"object": "error", "message": "maximum context length is 4096"}, "context_length", "4096"),
        (400, {"error": "the request exceeds the available context size"}, "context_length", "context size"),
        (400, {"error": {"message": "Unsupported value", "param": "temperature"}}, "refused", "temperature"),
        (200, {"error": {"message": "Provider returned error", "code": 429}}, "unavailable", "answered 429"),
        (
            200,
            {"error": {"message": "x", "code": 400, "metadata": {"raw": "prompt is too long"}}},
            "context_length",
            "x",
        ),
        (200, {"error": {"message": "Provider returned error"}}, "unavailable", "answered 502"),
        (200, "<html>", "unavailable", "not a chat completion"),
        (200, b"\xff\xfe", "unavailable", "not a chat completion"),
        (200, "[" * 100_000, "unavailable", "not a chat completion"),
        (200, {"choices": []}, "unavailable", "not a chat completion"),
        (200, {"choices": [{"message": {"content": 3}}]}, "unavailable", "not a chat completion"),
        (200, {"choices": [{"message": {"tool_calls": [{"function": {}}]}}]}, "unavailable", "not a chat completion"),
        (302, "", "refused", "answered 302"),
    ],
)
def test_what_is_not_an_answer(upstream: Any, kit: Any, status: int, body: Any, kind: str, said: str) -> None:
    upstream.says(kit.Said(body, status=status, headers={"location": "http://127.0.0.1:1/"}))
    error = refused(upstream.url)
    assert error.kind == kind and said in str(error)


def test_tool_calls_come_through_and_odd_arguments_become_text(upstream: Any, kit: Any) -> None:
    calls = [
        {"id": "1", "type": "function", "function": {"name": "bash", "arguments": '{"command": '}},
        {"id": "2", "type": "function", "function": {"name": "bash", "arguments": {"command": "ls"}}},
    ]
    upstream.says(kit.completion(None, message={"tool_calls": calls}))
    message = complete(upstream.url).body["choices"][0]["message"]
    assert [call["function"]["arguments"] for call in message["tool_calls"]] == ['{"command": ', '{"command": "ls"}']


def test_a_service_that_hangs_resets_or_is_not_there(upstream: Any, kit: Any) -> None:
    upstream.says(kit.Said(kit.completion(), seconds=5))
    assert "no answer within 0.1 s" in str(refused(upstream.url, seconds=0.1))
    upstream.says(kit.Said(kit.completion(), reset=True))
    assert refused(upstream.url).kind == "unavailable"
    assert refused("http://127.0.0.1:1").kind == "unavailable"
    assert refused("no url at all").kind == "refused"


def test_the_proxy_of_the_environment_is_used(upstream: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", upstream.url)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    assert complete("http://models.invalid").usage.input_tokens == 100
    assert upstream.requests[0][0]["host"] == "models.invalid"
    assert refused("http://127.0.0.1:1").kind == "unavailable"


def test_retry_after_is_told(upstream: Any, kit: Any) -> None:
    upstream.says(kit.Said({"error": {"message": "slow down"}}, status=429, headers={"retry-after": "7"}))
    error = refused(upstream.url)
    assert (error.status, error.retry_after) == (429, 7.0)


# From the agent's end, through the official SDK and a session's socket.


@pytest.fixture
def gateway(upstream: Any, kit: Any, tmp_path: Path) -> Iterator[Gateway]:
    provider = OpenAICompatible("up", upstream.url + "/v1", key=kit.canary, seconds=5)
    model = Model(provider, "big", Price(1.0, 2.0), 1000)
    with (
        Ledger(tmp_path / "ledger.jsonl") as ledger,
        Gateway({"solve": model, "diagnose": model}, ledger, retry=Retry(attempts=4, base=0.001)) as gateway,
    ):
        yield gateway


def client(socket: Path) -> openai.OpenAI:
    """The unmodified SDK on a Unix socket; its HTTP library is taken from it, because that differs between versions."""
    base = next(kind for kind in openai.DefaultHttpxClient.__mro__ if kind.__name__ == "Client")
    http = sys.modules[base.__module__.split(".")[0]]
    transport = http.HTTPTransport(uds=str(socket))
    return openai.OpenAI(
        api_key="none", base_url="http://gateway/v1", http_client=openai.DefaultHttpxClient(transport=transport)
    )


MESSAGES: Any = [{"role": "user", "content": "hi"}]
TOOLS: Any = [{"type": "function", "function": {"name": "bash", "parameters": {"type": "object", "properties": {}}}}]


def test_the_sdk_works_through_the_socket(gateway: Gateway, upstream: Any, kit: Any) -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "bash", "arguments": "{}"}}
    upstream.says(kit.completion(None, message={"tool_calls": [call]}), kit.completion("done"))
    with gateway.session(SCOPE, log=None, caps=Caps()) as session, client(session.socket) as sdk:
        assert [model.id for model in sdk.models.list()] == ["solve", "diagnose"]
        first = sdk.chat.completions.create(model="solve", messages=MESSAGES, tools=TOOLS)
        answer = first.choices[0].message
        assert answer.tool_calls is not None
        history: Any = [*MESSAGES, answer.model_dump(), {"role": "tool", "tool_call_id": "c1", "content": "ok"}]
        second = sdk.chat.completions.create(model="solve", messages=history, tools=TOOLS)
        assert second.choices[0].message.content == "done" and second.model == "solve"
    headers, _, body = upstream.requests[1]
    assert [message["role"] for message in body["messages"]] == ["user", "assistant", "tool"]
    assert not {name for name in headers if name.startswith("x-stainless")}, "the client's headers end at the gateway"
    assert headers["authorization"] == f"Bearer {kit.canary}"


def test_the_sdk_streams_though_the_service_is_asked_without(gateway: Gateway, upstream: Any, kit: Any) -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "bash", "arguments": '{"command": "ls"}'}}
    upstream.says(kit.completion("on it", message={"tool_calls": [call]}, finish_reason="tool_calls"))
    with gateway.session(SCOPE, log=None, caps=Caps()) as session, client(session.socket) as sdk:
        with sdk.chat.completions.stream(
            model="solve", messages=MESSAGES, tools=TOOLS, stream_options={"include_usage": True}
        ) as stream:
            final = stream.get_final_completion()
        assert final.choices[0].message.content == "on it"
        assert final.choices[0].message.tool_calls is not None
        assert final.choices[0].message.tool_calls[0].function.arguments == '{"command": "ls"}'
        assert final.usage is not None and final.usage.total_tokens == 110
    assert "stream" not in upstream.requests[0][2]
    assert session.bill[0].output_tokens == 10


def test_the_sdk_raises_the_right_errors_and_does_not_retry(gateway: Gateway, upstream: Any, kit: Any) -> None:
    with gateway.session(SCOPE, log=None, caps=Caps(calls=2)) as session, client(session.socket) as sdk:
        upstream.says(kit.Said({"error": {"message": "no", "code": "context_length_exceeded"}}, status=400))
        with pytest.raises(openai.BadRequestError) as long:
            sdk.chat.completions.create(model="solve", messages=MESSAGES)
        assert long.value.code == "context_length_exceeded"
        with pytest.raises(openai.NotFoundError):
            sdk.chat.completions.create(model="gpt-5", messages=MESSAGES)
        upstream.says(kit.Said({"error": {"message": "busy"}}, status=429), kit.completion("at last"))
        assert sdk.chat.completions.create(model="solve", messages=MESSAGES).choices[0].message.content == "at last"
        with pytest.raises(openai.APIStatusError) as spent:
            sdk.chat.completions.create(model="solve", messages=MESSAGES)
        assert spent.value.status_code == 402
    assert len(upstream.requests) == 3
    assert [(call.status, call.retries) for call in session.bill] == [("context_length", 0), ("ok", 1)]


def test_the_sdk_asks_once_when_the_service_is_down(gateway: Gateway, upstream: Any, kit: Any) -> None:
    upstream.says(kit.Said("down", status=503))
    with gateway.session(SCOPE, log=None, caps=Caps()) as session, client(session.socket) as sdk:
        with pytest.raises(openai.InternalServerError):
            sdk.chat.completions.create(model="solve", messages=MESSAGES)
        assert session.fault is not None
    assert len(upstream.requests) == 4, "the gateway's four tries, and none of the SDK's"


def test_flaky_services_are_lived_through(gateway: Gateway, upstream: Any, kit: Any) -> None:
    upstream.says(kit.Said("{", status=200), kit.Said("", reset=True), kit.Said("no", status=500), kit.completion("ok"))
    with gateway.session(SCOPE, log=None, caps=Caps()) as session:
        body = {"model": "solve", "messages": MESSAGES}
        assert kit.ask(session.socket, body).body["choices"][0]["message"]["content"] == "ok"
    assert session.bill[0].retries == 3


def test_the_key_is_found_nowhere(gateway: Gateway, upstream: Any, kit: Any, tmp_path: Path) -> None:
    """The service echoes the key in an answer, in errors of all kinds, and in a retried failure."""
    echo = f"the key is {kit.canary} !"
    heard = []
    answers = [
        [kit.completion(echo)],
        [kit.Said({"error": {"message": echo}}, status=400)],
        [kit.Said(echo, status=500), kit.completion("ok")],
        [kit.Said(echo, status=401)],
    ]
    for number, script in enumerate(answers):
        upstream.says(*script)
        with gateway.session(Scope(f"evaluation-{number}"), log=tmp_path / str(number), caps=Caps()) as session:
            heard.append(kit.ask(session.socket, {"model": "solve", "messages": MESSAGES}))
            heard.append(kit.ask(session.socket, method="GET", url="/v1/models"))
            heard.append(kit.ask(session.socket, method="GET", url="/budget"))
        assert kit.canary not in repr(session.bill) + str(session.fault)
    assert [each.status for each in heard[::3]] == [200, 400, 200, 502]
    assert all(kit.canary not in repr(each) for each in heard)
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(written) == 5
    assert all(kit.canary not in path.read_text() for path in written)
    upstream.says(kit.Said(echo, status=401))
    with pytest.raises(ModelError) as caught:
        gateway.complete(SCOPE, "diagnose", MESSAGES)
    assert kit.canary not in str(caught.value)
    assert all(headers["authorization"] == f"Bearer {kit.canary}" for headers, _, _ in upstream.requests)


def test_a_key_of_an_unusual_shape_is_hidden_as_well(upstream: Any, kit: Any) -> None:
    upstream.says(kit.completion("hunter2hunter2"))
    assert "hunter2" not in json.dumps(complete(upstream.url, key="hunter2").body)
