"""Anthropic's provider: the official SDK against a real HTTP server that speaks the Messages format."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from evolve.llm import Caps, Completion, Gateway, Ledger, Model, ModelError, Price, Retry, Scope, Usage
from evolve.llm.anthropic import Anthropic

SCOPE = Scope("evaluation-1")
REQUEST: dict[str, Any] = {
    "model": "claude-x",
    "messages": [{"role": "system", "content": "be good"}, {"role": "user", "content": "hi"}],
    "max_tokens": 50,
    "temperature": 1.0,  # which agents ask for, and which this service refuses
}


def message(text: str = "hello", **more: Any) -> dict[str, Any]:
    return {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-x", "stop_reason": "end_turn",
        "stop_sequence": None, "content": [{"type": "text", "text": text}],
        "usage": {
            "input_tokens": 20, "output_tokens": 10, "cache_read_input_tokens": 70, "cache_creation_input_tokens": 10,
        },
        **more,
    }  # fmt: skip


def error(text: str, type: str = "invalid_request_error") -> dict[str, Any]:
    return {"type": "error", "error": {"type": type, "message": text}, "request_id": "req_1"}


def complete(url: str, key: str, *, seconds: float = 5) -> Completion:
    async def once() -> Completion:
        provider = Anthropic("anthropic", key=key, url=url, seconds=seconds)
        try:
            return await provider.complete(REQUEST, SCOPE)
        finally:
            await provider.close()

    return asyncio.run(once())


def refused(url: str, key: str, **more: Any) -> ModelError:
    with pytest.raises(ModelError) as caught:
        complete(url, key, **more)
    return caught.value


def test_a_call(upstream: Any, kit: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-another-key-0000000")
    monkeypatch.setenv("ANTHROPIC_AUTH_TOKEN", "another-token")
    monkeypatch.setenv("ANTHROPIC_BASE_URL", "http://127.0.0.1:1")
    upstream.says(message())
    answer = complete(upstream.url, kit.canary)
    headers, path, body = upstream.requests[0]
    assert path == "/v1/messages"
    sent = [value for value in headers.values() if kit.canary in value or "another" in value]
    assert sent in ([kit.canary], [f"Bearer {kit.canary}"]), "only the key it was given, as the SDK likes to send it"
    assert "anthropic-version" in headers
    assert (
        body["max_tokens"] == 50
        and body["system"][0]["text"] == "be good"
        and "stream" not in body
        and "temperature" not in body
    )
    assert answer.usage == Usage(100, 70, 10, 10)
    assert answer.body["choices"][0]["message"] == {"role": "assistant", "content": "hello"}


def test_large_answers_are_not_refused_by_the_sdk(upstream: Any, kit: Any) -> None:
    """The SDK wants streaming for answers that could take more than ten minutes, unless a time-out is set."""
    upstream.says(message())
    big = {**REQUEST, "max_tokens": 128_000}

    async def once() -> Completion:
        provider = Anthropic("anthropic", key=kit.canary, url=upstream.url)
        try:
            return await provider.complete(big, SCOPE)
        finally:
            await provider.close()

    assert asyncio.run(once()).usage.output_tokens == 10


@pytest.mark.parametrize(
    ("status", "body", "kind", "shown"),
    [
        (429, error("slow down", "rate_limit_error"), "unavailable", 429),
        (529, error("Overloaded", "overloaded_error"), "unavailable", 529),
        (500, error("internal", "api_error"), "unavailable", 500),
        (500, "<html>", "unavailable", 500),
        (401, error("invalid x-api-key", "authentication_error"), "refused", 401),
        (404, error("model: claude-y", "not_found_error"), "refused", 404),
        (400, error("prompt is too long: 210000 tokens > 200000 maximum"), "context_length", 400),
        (400, error("Your credit balance is too low to access the Anthropic API"), "refused", 402),
        (400, error("messages: roles must alternate"), "refused", 400),
        (200, "no json", "unavailable", None),
        (200, {"type": "message", "usage": None}, "unavailable", None),
    ],
)
def test_errors(upstream: Any, kit: Any, status: int, body: Any, kind: str, shown: int | None) -> None:
    upstream.says(kit.Said(body, status=status, headers={"retry-after": "3"}))
    failure = refused(upstream.url, kit.canary)
    assert (failure.kind, failure.status) == (kind, shown)
    assert failure.retry_after == (3.0 if kind == "unavailable" and shown else None)
    assert len(upstream.requests) == 1, "the SDK does not retry"


def test_a_service_that_hangs_resets_or_is_not_there(upstream: Any, kit: Any) -> None:
    upstream.says(kit.Said(message(), seconds=5))
    assert "no answer within 0.2 s" in str(refused(upstream.url, kit.canary, seconds=0.2))
    upstream.says(kit.Said(message(), reset=True))
    assert refused(upstream.url, kit.canary).kind == "unavailable"
    assert refused("http://127.0.0.1:1", kit.canary).kind == "unavailable"


@pytest.fixture
def gateway(upstream: Any, kit: Any, tmp_path: Path) -> Iterator[Gateway]:
    provider = Anthropic("anthropic", key=kit.canary, url=upstream.url, seconds=5)
    model = Model(provider, "claude-x", Price(3.0, 15.0, 0.3, 3.75), 1000)
    with (
        Ledger(tmp_path / "ledger.jsonl") as ledger,
        Gateway({"solve": model}, ledger, retry=Retry(attempts=3, base=0.001)) as gateway,
    ):
        yield gateway


BODY: dict[str, Any] = {"model": "solve", "messages": [{"role": "user", "content": "hi"}]}


def test_an_agent_that_speaks_openai_meets_claude(gateway: Gateway, upstream: Any, kit: Any) -> None:
    use = {"type": "tool_use", "id": "toolu_1", "name": "bash", "input": {"command": "ls"}}
    upstream.says(kit.Said(error("busy"), status=529), message(content=[use], stop_reason="tool_use"), message("done"))
    tools = [{"type": "function", "function": {"name": "bash", "parameters": {"type": "object"}}}]
    with gateway.session(SCOPE, log=None, caps=Caps()) as session:
        first = kit.ask(session.socket, {**BODY, "tools": tools}).body["choices"][0]["message"]
        result = {"role": "tool", "tool_call_id": first["tool_calls"][0]["id"], "content": "a.py"}
        history = [*BODY["messages"], first, result]
        second = kit.ask(session.socket, {**BODY, "tools": tools, "messages": history}).body
        assert second["choices"][0]["message"]["content"] == "done"
    assert [turn["role"] for turn in upstream.requests[-1][2]["messages"]] == ["user", "assistant", "user"]
    assert session.bill[0].retries == 1
    assert session.bill[1].usd == pytest.approx((20 * 3.0 + 70 * 0.3 + 10 * 3.75 + 10 * 15.0) / 1e6)
    assert session.bill[1].cached_tokens == 70


def test_the_key_is_found_nowhere(gateway: Gateway, upstream: Any, kit: Any, tmp_path: Path) -> None:
    upstream.says(kit.Said(error(f"bad key {kit.canary}", "authentication_error"), status=401))
    with gateway.session(SCOPE, log=tmp_path, caps=Caps()) as session:
        heard = kit.ask(session.socket, BODY)
    assert heard.status == 502 and session.fault is not None
    assert kit.canary not in repr(heard) + session.fault
    assert all(kit.canary not in path.read_text() for path in tmp_path.rglob("*.jsonl"))
