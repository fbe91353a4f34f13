"""The Responses provider against a real HTTP server: addresses, keys, errors, and what is no response."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from evolve.llm import Completion, ModelError, Scope, Usage
from evolve.llm.openai_responses import OpenAIResponses

SCOPE = Scope("evaluation-1")
REQUEST: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 50}
ANSWER: dict[str, Any] = {
    "id": "resp_1", "object": "response", "created_at": 1, "model": "m-1", "status": "completed", "error": None,
    "output": [
        {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed",
         "content": [{"type": "output_text", "text": "hello", "annotations": []}]}
    ],
    "usage": {"input_tokens": 100, "output_tokens": 10, "output_tokens_details": {"reasoning_tokens": 4}},
}  # fmt: skip


def complete(url: str, *, scope: Scope = SCOPE, **more: Any) -> Completion:
    async def once() -> Completion:
        provider = OpenAIResponses("up", url, key_env="MY_KEY", seconds=5, **more)
        try:
            return await provider.complete(REQUEST, scope)
        finally:
            await provider.close()

    return asyncio.run(once())


def test_a_call(upstream: Any, kit: Any) -> None:
    upstream.says(ANSWER)
    answer = complete(upstream.url + "/v1", key=kit.canary)
    headers, path, body = upstream.requests[0]
    assert path == "/v1/responses" and headers["authorization"] == f"Bearer {kit.canary}"
    assert body["input"] == [{"role": "user", "content": "hi"}] and body["store"] is False
    assert answer.body["choices"][0]["message"] == {"role": "assistant", "content": "hello"}
    assert answer.usage == Usage(100, 0, 0, 10, 4)


def test_a_rollout_has_one_cache_key_where_the_service_knows_it(upstream: Any) -> None:
    upstream.says(ANSWER)
    for scope in (SCOPE, SCOPE, Scope("evaluation-2")):
        complete(upstream.url, scope=scope)
    keys = [body["prompt_cache_key"] for _, _, body in upstream.requests]
    assert keys[0] == keys[1] != keys[2] and "evaluation" not in "".join(keys)
    complete(upstream.url, cache_key=False)
    assert "prompt_cache_key" not in upstream.requests[-1][2]


@pytest.mark.parametrize(
    ("status", "body", "kind", "said", "lost"),
    [
        (401, {"error": {"message": "Incorrect API key provided"}}, "refused", "check the key in MY_KEY", False),
        (429, {"error": {"message": "Rate limit"}}, "unavailable", "Rate limit", False),
        (400, {"error": {"message": "m", "code": "context_length_exceeded"}}, "context_length", "m", False),
        (404, {"error": {"message": "The model does not exist"}}, "refused", "does not exist", False),
        (200, {**ANSWER, "status": "failed", "output": [], "error": {"code": "server_error", "message": "sorry"}},
         "unavailable", "sorry", False),
        (200, {**ANSWER, "status": "failed", "output": [],
               "error": {"code": "rate_limit_exceeded", "message": "slow"}}, "unavailable", "slow", False),
        (200, {**ANSWER, "output": [{"type": "message"}]}, "unavailable", "not a response", True),
        (200, {**ANSWER, "output": None}, "unavailable", "not a response", True),
        (200, "<html><title>Sign in</title>", "unavailable", "titled 'Sign in'", True),
    ],
)  # fmt: skip
def test_what_is_not_an_answer(
    upstream: Any, kit: Any, status: int, body: Any, kind: str, said: str, lost: bool
) -> None:
    upstream.says(kit.Said(body, status=status))
    with pytest.raises(ModelError) as caught:
        complete(upstream.url, key=kit.canary)
    assert (caught.value.kind, caught.value.lost) == (kind, lost) and said in str(caught.value)


def test_azures_address_and_key(upstream: Any, kit: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", upstream.url)
    monkeypatch.setenv("no_proxy", "")
    upstream.says(ANSWER)
    complete("http://mine.openai.azure.com/openai/responses?api-version=2025-04-01-preview", key=kit.canary)
    headers, path, _ = upstream.requests[0]
    assert headers["api-key"] == kit.canary and "authorization" not in headers
    assert headers["host"] == "mine.openai.azure.com" and path.endswith("/openai/responses")
