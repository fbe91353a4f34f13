"""Any service that speaks OpenAI's chat completions: OpenRouter, Azure, vLLM, SGLang, llama.cpp, Ollama and many more.

A request is passed on as it is; there is no translation that could be wrong. What differs between the services is in
their answers, and is made even there: arguments as objects, content in parts, calls without ids, odd finish reasons,
token counts in many places.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Literal

from evolve.llm.base import Completion, Json, Scope, Usage
from evolve.llm.http_client import HttpClient, error_status, error_text

TokenField = Literal["max_tokens", "max_completion_tokens"]

FINISH_REASONS = {
    "function_call": "tool_calls",
    "tool_use": "tool_calls",
    "max_tokens": "length",
    "MAX_TOKENS": "length",
    "model_length": "length",
    "safety": "content_filter",
    "SAFETY": "content_filter",
    "refusal": "content_filter",
}
"""Other services' words for OpenAI's. What is not known at all is `tool_calls` where there are calls, else `stop`."""
KNOWN_REASONS = frozenset({"stop", "length", "tool_calls", "content_filter"})
BROKEN_OFF = frozenset({"error", "abort", "insufficient_system_resource"})
"""The service stopped half-way through: no answer (OpenRouter, vLLM and SGLang, DeepSeek)."""


class OpenAICompatible:
    """A `Provider` for a base URL."""

    def __init__(
        self,
        name: str,
        url: str,
        *,
        key: str | None = None,
        key_env: str | None = None,
        token_field: TokenField = "max_tokens",
        seconds: float = 600.0,
        socket: str | None = None,
        tell_rollout: bool = False,
        cache_key: bool = False,
    ) -> None:
        """
        Args:
            url: base URL, such as `https://api.openai.com/v1`.
            key: sent as bearer token (at Azure as `api-key`), and shown nowhere.
            key_env: name of the environment variable that the key came from, for messages.
            token_field: OpenAI's own models want `max_completion_tokens`; most other services know only `max_tokens`.
            seconds: how long one answer may take.
            socket: Unix socket to connect to, in place of the URL's host.
            tell_rollout: send `X-Session-ID`, by which routers in front of replicas keep a rollout at one of them.
            cache_key: send `prompt_cache_key`, by which OpenAI keeps a rollout at one of its prompt caches.
        """
        self.name = name
        self._client = HttpClient(
            name, url, "chat/completions", key=key, key_env=key_env, seconds=seconds, socket=socket
        )
        self._token_field = token_field
        self._tell_rollout = tell_rollout
        self._cache_key = cache_key

    async def complete(self, request: Json, scope: Scope) -> Completion:
        """See `Provider.complete`. Raises: `ModelError`."""
        body = {name: value for name, value in request.items() if name != "max_tokens"}
        body[self._token_field] = request["max_tokens"]
        body["messages"] = [_sent(message) if "carried" in message else message for message in request["messages"]]
        if self._cache_key:
            body.setdefault("prompt_cache_key", cache_key_of(scope))
        headers = {"x-session-id": scope.key} if self._tell_rollout else None
        answer = await self._client.post(body, headers)
        completion = self._checked(answer, f"{scope.key}:{len(request['messages'])}")
        return Completion(completion, usage_of(completion.get("usage")))

    async def close(self) -> None:
        await self._client.close()

    def _checked(self, body: Json, seed: str) -> Json:
        """The body as a completion with one choice. Raises: `ModelError` if it has not the shape of one."""
        choice = body["choices"][0] if body["choices"] else None
        if not isinstance(choice, dict):
            raise self._client.lost("the answer is not a chat completion: it has no choice")
        if choice.get("error"):
            raise self._client.error(error_status(choice["error"]), error_text(choice) or "a choice with an error")
        reason = choice.get("finish_reason")
        if reason in BROKEN_OFF:
            raise self._client.lost(f"the answer broke off with finish_reason {reason!r}")
        try:
            message = _message(choice.get("message"), seed)
        except _NoMessageError as error:
            raise self._client.lost(f"the answer is not a chat completion: {error}") from None
        return {**body, "choices": [{**choice, "message": message, "finish_reason": _reason(reason, message)}]}


class _NoMessageError(ValueError):
    """Says what of a message has not the shape it must have."""


def cache_key_of(scope: Scope) -> str:
    """One key a rollout, and nothing of the rollout in it."""
    return "clade-" + sha256(f"{scope.key}\0{scope.seed}".encode()).hexdigest()[:16]


def usage_of(usage: object) -> Usage:
    """Token counts of an answer, in the shapes that services write them; all zero if it tells none.

    Cached: OpenAI's details (OpenRouter, vLLM, SGLang, llama.cpp too), DeepSeek's `prompt_cache_hit_tokens`, Moonshot's
    `cached_tokens`, and Anthropic's words, which LiteLLM passes on. What the total has beyond the parts is output: xAI
    and Gemini do not count reasoning among the completion's tokens, but charge for it.
    """
    if not isinstance(usage, dict):
        return Usage()
    prompt, answer = _details(usage, "prompt_tokens_details"), _details(usage, "completion_tokens_details")
    sent = _count(usage, "prompt_tokens")
    cached = _count(prompt, "cached_tokens") or _count(usage, *_CACHED)
    written = _count(prompt, "cache_write_tokens", "cache_creation_tokens") or _count(usage, *_WRITTEN)
    cached = min(cached, sent)
    output = max(_count(usage, "completion_tokens"), _count(usage, "total_tokens") - sent if sent else 0)
    reasoning = _count(answer, "reasoning_tokens") or _count(usage, "reasoning_tokens")
    return Usage(sent, cached, min(written, sent - cached), output, min(reasoning, output))


_CACHED = ("prompt_cache_hit_tokens", "cached_tokens", "cache_read_input_tokens")
_WRITTEN = ("cache_creation_input_tokens",)


def _details(usage: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    details = usage.get(name)
    return details if isinstance(details, dict) else {}


def _count(counts: Mapping[str, Any], *names: str) -> int:
    """The first of these that tells a number above zero."""
    for name in names:
        value = counts.get(name)
        if isinstance(value, int) and value > 0:
            return value
    return 0


def _message(message: object, seed: str) -> Json:
    """The assistant's message in OpenAI's shape. Raises: `_NoMessageError`."""
    if not isinstance(message, dict):
        raise _NoMessageError("its choice has no message")
    mended: Json = {**message, "role": "assistant", "content": _text(message.get("content"))}
    calls = message.get("tool_calls") or []
    if not isinstance(calls, list):
        raise _NoMessageError("its tool calls are no list")
    if not calls:
        mended.pop("tool_calls", None)
        return mended
    seen: set[str] = set()
    mended["tool_calls"] = [_call(call, index, seed, seen) for index, call in enumerate(calls)]
    extras = {
        mended["tool_calls"][index]["id"]: call["extra_content"]
        for index, call in enumerate(calls)
        if call.get("extra_content")
    }
    if extras:
        # Gemini signs its calls, and refuses a history in which a call has lost its signature.
        mended["carried"] = {"kind": "calls", "extra_content": extras}
    return mended


def _text(content: object) -> str | None:
    """A message's text. Some services answer in parts (Mistral's reasoning models); their thinking is no answer."""
    if content is None or isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise _NoMessageError("its content is no text")
    parts = [part.get("text") for part in content if isinstance(part, dict) and part.get("type") != "thinking"]
    return "".join(part for part in parts if isinstance(part, str)) or None


def _call(call: object, index: int, seed: str, seen: set[str]) -> Json:
    function = call.get("function") if isinstance(call, dict) else None
    if not isinstance(call, dict) or not isinstance(function, dict) or not isinstance(function.get("name"), str):
        raise _NoMessageError("a tool call has no function with a name")
    arguments = function.get("arguments")
    if not isinstance(arguments, str):  # Ollama's own format, and some proxies: an object where JSON text belongs
        arguments = json.dumps(arguments or {})
    id = str(call.get("id") or "")
    if not id or id in seen:
        # Without an id of its own no result can be told from another's. Nine characters: Mistral wants it so.
        id = sha256(f"{seed}:{index}".encode()).hexdigest()[:9]
    seen.add(id)
    return {"id": id, "type": "function", "function": {"name": function["name"], "arguments": arguments}}


def _reason(reason: object, message: Json) -> str:
    """Why the answer ended, in OpenAI's words; with calls in it, `stop` means that they are to be run."""
    named = FINISH_REASONS.get(reason, reason) if isinstance(reason, str) else None
    if named not in KNOWN_REASONS:
        named = "stop"
    return "tool_calls" if named == "stop" and message.get("tool_calls") else str(named)


def _sent(message: Json) -> Json:
    """A message of the history with what the service wants back in its place, and nothing of ours."""
    carried = message["carried"]
    plain = {name: value for name, value in message.items() if name != "carried"}
    extras = carried.get("extra_content") if carried.get("kind") == "calls" else None
    if extras and plain.get("tool_calls"):
        plain["tool_calls"] = [
            {**call, "extra_content": extras[call["id"]]} if call["id"] in extras else call
            for call in plain["tool_calls"]
        ]
    return plain
