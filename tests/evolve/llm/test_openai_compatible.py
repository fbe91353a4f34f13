"""The pass-through provider against a real HTTP server, and the whole way from the official SDK to it."""

from __future__ import annotations

import asyncio
import json
import re
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
    url: str,
    *,
    key: str | None = None,
    key_env: str | None = None,
    token_field: TokenField = "max_tokens",
    seconds: float = 5,
) -> Completion:
    address = url.replace("?", "/v1/?") if "?" in url else url + "/v1/"

    async def once() -> Completion:
        provider = OpenAICompatible("up", address, key=key, key_env=key_env, token_field=token_field, seconds=seconds)
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
        ({"prompt_tokens": 9, "completion_tokens": 2, "prompt_cache_hit_tokens": 4}, Usage(9, 4, 0, 2)),  # DeepSeek
        ({"prompt_tokens": 9, "completion_tokens": 2, "cached_tokens": 4}, Usage(9, 4, 0, 2)),  # Moonshot
        (  # LiteLLM before Anthropic
            {"prompt_tokens": 9, "cache_read_input_tokens": 4, "cache_creation_input_tokens": 3},
            Usage(9, 4, 3, 0),
        ),
        (  # OpenRouter
            {
                "prompt_tokens": 9, "completion_tokens": 5, "total_tokens": 14, "cost": 0.01,
                "prompt_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 2, "audio_tokens": 0},
                "completion_tokens_details": {"reasoning_tokens": 3, "image_tokens": 0},
            },
            Usage(9, 4, 2, 5, 3),
        ),
        (  # xAI and Gemini count reasoning in the total alone
            {
                "prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 41,
                "completion_tokens_details": {"reasoning_tokens": 30},
            },
            Usage(9, 0, 0, 32, 30),
        ),
        ({"total_tokens": 41}, Usage()),
        ({"prompt_tokens": 9, "completion_tokens": 2, "completion_tokens_details": {"reasoning_tokens": 7}},
         Usage(9, 0, 0, 2, 2)),
        (None, Usage()),
        ([], Usage()),
    ],
)  # fmt: skip
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


def answered(upstream: Any, body: Any) -> dict[str, Any]:
    """The first choice that becomes of an answer."""
    upstream.says(body)
    choice: dict[str, Any] = complete(upstream.url).body["choices"][0]
    return choice


def tool_call(**fields: Any) -> dict[str, Any]:
    return {"function": {"name": "bash", "arguments": "{}"}, **fields}


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (None, None),
        ("", ""),
        ([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}], "ab"),
        ([{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, {"type": "text", "text": "b"}], "b"),
        ([], None),
    ],
)
def test_content_in_parts_becomes_a_text(upstream: Any, kit: Any, content: Any, text: str | None) -> None:
    """Mistral's reasoning models answer in parts."""
    assert answered(upstream, kit.completion(content))["message"]["content"] == text


def test_calls_without_an_id_get_one_each(upstream: Any, kit: Any) -> None:
    """Some proxies and older servers leave ids out, or give all calls of an answer the same."""
    calls = [tool_call(), tool_call(id=""), tool_call(id=None), tool_call(id=7), tool_call(id="x"), tool_call(id="x")]
    message = answered(upstream, kit.completion(None, message={"tool_calls": calls}))["message"]
    ids = [call["id"] for call in message["tool_calls"]]
    assert len(set(ids)) == 6 and ids[3:5] == ["7", "x"]
    assert all(re.fullmatch(r"[a-zA-Z0-9]{9}", id) for id in (*ids[:3], ids[5])), "as Mistral wants them"
    again = answered(upstream, kit.completion(None, message={"tool_calls": calls}))["message"]
    assert again == message, "the same call gets the same ids, so that a recording is exact"


@pytest.mark.parametrize("calls", [None, []])
def test_no_calls_are_none(upstream: Any, kit: Any, calls: Any) -> None:
    assert "tool_calls" not in answered(upstream, kit.completion("hi", message={"tool_calls": calls}))["message"]


def test_calls_have_nothing_but_what_the_format_has(upstream: Any, kit: Any) -> None:
    """Ollama tells an index within the function, others their own fields beside it; agents send back what they get."""
    call = {"id": "1", "index": 0, "function": {"index": 0, "name": "bash", "arguments": {}}, "custom": True}
    message = answered(upstream, kit.completion(None, message={"tool_calls": [call]}))["message"]
    assert message["tool_calls"] == [{"id": "1", "type": "function", "function": {"name": "bash", "arguments": "{}"}}]


@pytest.mark.parametrize(
    ("reason", "calls", "told"),
    [
        ("stop", [], "stop"),
        ("stop", [tool_call()], "tool_calls"),
        (None, [], "stop"),
        ("", [tool_call()], "tool_calls"),
        ("eos", [], "stop"),
        ("function_call", [tool_call()], "tool_calls"),
        ("length", [tool_call()], "length"),
        ("max_tokens", [], "length"),
        ("MAX_TOKENS", [], "length"),
        ("model_length", [], "length"),
        ("content_filter", [], "content_filter"),
        ("SAFETY", [], "content_filter"),
        (7, [], "stop"),
    ],
)
def test_finish_reasons_are_said_in_one_way(upstream: Any, kit: Any, reason: Any, calls: Any, told: str) -> None:
    body = kit.completion("hi", message={"tool_calls": calls}, finish_reason=reason)
    assert answered(upstream, body)["finish_reason"] == told


@pytest.mark.parametrize("reason", ["error", "abort", "insufficient_system_resource"])
def test_an_answer_that_broke_off_is_none(upstream: Any, kit: Any, reason: str) -> None:
    upstream.says(kit.completion("half an ans", finish_reason=reason))
    error = refused(upstream.url)
    assert (error.kind, error.lost) == ("unavailable", True) and reason in str(error)


def test_an_error_within_a_choice_is_one(upstream: Any, kit: Any) -> None:
    """OpenRouter, when a service behind it fails half-way through."""
    body = kit.completion("")
    body["choices"][0] |= {"finish_reason": "error", "error": {"code": 429, "message": "upstream busy"}}
    upstream.says(body)
    error = refused(upstream.url)
    assert (error.kind, error.status) == ("unavailable", 429) and "upstream busy" in str(error)


def test_what_a_service_does_not_tell_is_not_counted(upstream: Any, kit: Any) -> None:
    body = kit.completion("hi")
    del body["usage"]
    upstream.says(body)
    assert complete(upstream.url).usage == Usage(), "the gateway then charges the worst case"


@pytest.mark.parametrize("name", ["reasoning", "reasoning_content", "reasoning_details", "thinking_blocks"])
def test_reasoning_stays_in_its_field_for_the_gateway_to_take(upstream: Any, kit: Any, name: str) -> None:
    assert answered(upstream, kit.completion("hi", message={name: "hm"}))["message"][name] == "hm"


def test_signed_calls_get_their_signature_back(upstream: Any, kit: Any) -> None:
    """Gemini refuses a history in which the signature of a call is missing."""
    signed = {"google": {"thought_signature": "sig"}}
    message = answered(
        upstream, kit.completion(None, message={"tool_calls": [tool_call(id="a", extra_content=signed)]})
    )
    assert message["message"]["carried"] == {"kind": "calls", "extra_content": {"a": signed}}
    request = {**REQUEST, "messages": [*REQUEST["messages"], message["message"]]}

    async def once() -> None:
        provider = OpenAICompatible("up", upstream.url)
        await provider.complete(request, SCOPE)
        await provider.close()

    asyncio.run(once())
    sent = upstream.requests[-1][2]["messages"][-1]
    assert sent["tool_calls"][0]["extra_content"] == signed and "carried" not in sent


@pytest.mark.parametrize(
    ("status", "body", "kind", "said"),
    [
        (400, {"error": {"message": "m", "param": "tools", "code": None}}, "refused", "m tools"),  # OpenAI
        (404, {"error": "model 'x' not found, try pulling it first"}, "refused", "try pulling it first"),  # Ollama
        (422, {"detail": [{"loc": ["body", "n"], "msg": "wrong"}]}, "refused", "wrong"),  # FastAPI: vLLM, SGLang
        (400, {"object": "error", "message": "bad", "type": "BadRequestError", "code": 400}, "refused", "bad"),  # vLLM
        (
            503,
            {"error": {"message": "Loading model", "type": "unavailable_error", "code": 503}},
            "unavailable",
            "Loadi",
        ),
        (
            401,
            {"statusCode": 401, "message": "Access denied due to invalid subscription key"},
            "refused",
            "check the key",
        ),
        (400, [{"error": {"code": 400, "message": "API key not valid."}}], "refused", "check the key"),  # Gemini
        (
            502,
            {"error": {"message": "Provider returned error", "code": 502, "metadata": {"raw": "x"}}},
            "unavailable",
            "x",
        ),
        (502, "<html><head><title>502 Bad\nGateway</title></head></html>", "unavailable", "a web page titled '502 Bad"),
        (200, "<html><title>Sign in</title>", "unavailable", "a web page titled 'Sign in'"),
        (200, {"error": {"message": "busy", "code": "429"}}, "unavailable", "answered 429"),
        (200, "data: {}\n\n", "unavailable", "not a chat completion"),
        (200, '{"choices": [{"message": {"conte', "unavailable", "not a chat completion"),
    ],
)
def test_errors_in_the_shapes_that_services_write(
    upstream: Any, kit: Any, status: int, body: Any, kind: str, said: str
) -> None:
    raw = json.dumps(body) if isinstance(body, list) else body
    upstream.says(kit.Said(raw, status=status))
    error = refused(upstream.url, key="k-12345678", key_env="K")
    assert error.kind == kind and said in str(error)


def test_an_answer_of_another_content_type_is_read(upstream: Any, kit: Any) -> None:
    upstream.says(kit.Said(b"\n\n  " + json.dumps(kit.completion()).encode(), headers={"content-type": "text/plain"}))
    assert complete(upstream.url).usage.input_tokens == 100


def test_azure_gets_its_key_in_a_header_of_its_own(upstream: Any, kit: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", upstream.url)
    monkeypatch.setenv("no_proxy", "")
    complete("http://mine.openai.azure.com/openai/deployments/d?api-version=1&x=", key=kit.canary)
    headers, path, _ = upstream.requests[0]
    assert headers["api-key"] == kit.canary and "authorization" not in headers
    assert headers["host"] == "mine.openai.azure.com" and path.endswith("/openai/deployments/d/v1/chat/completions")


def test_one_cache_key_a_rollout_and_nothing_of_it_told(upstream: Any) -> None:
    async def twice(scope: Scope) -> None:
        provider = OpenAICompatible("up", upstream.url, cache_key=True)
        await provider.complete(REQUEST, scope)
        await provider.complete(REQUEST, scope)
        await provider.close()

    asyncio.run(twice(SCOPE))
    asyncio.run(twice(Scope("evaluation-2")))
    keys = [body["prompt_cache_key"] for _, _, body in upstream.requests]
    assert keys[0] == keys[1] != keys[2] and "evaluation" not in keys[0]
    complete(upstream.url)
    assert "prompt_cache_key" not in upstream.requests[-1][2], "only where the service is said to know it"


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


def test_the_sdk_asks_once_when_the_service_is_busy(gateway: Gateway, upstream: Any, kit: Any) -> None:
    upstream.says(kit.Said("busy", status=429, headers={"retry-after": "0.001"}))
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
    assert [call.status for call in session.bill] == ["cut_off", "cut_off", "ok"], "what was lost is paid"
    assert session.bill[-1].retries == 3


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
