"""Any service that speaks OpenAI's chat completions: OpenAI, OpenRouter, vLLM, SGLang, llama.cpp and many more.

A request is passed on as it is; there is no translation that could be wrong. aiohttp's client is used instead of an SDK
because it adds a fraction of a millisecond where the SDKs' HTTP pool adds several under load.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp

from evolve.llm.base import Completion, Json, ModelError, Scope, Usage
from evolve.llm.faults import error_of
from evolve.llm.redact import redact

ANSWER_LIMIT = 32 * 1024 * 1024
"""Bytes of an answer after which it is not one."""
CONNECT_SECONDS = 10.0

TokenField = Literal["max_tokens", "max_completion_tokens"]


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
    ) -> None:
        """
        Args:
            url: base URL, such as `https://api.openai.com/v1`.
            key: sent as bearer token, and shown nowhere.
            key_env: name of the environment variable that the key came from, for messages.
            token_field: OpenAI's own models want `max_completion_tokens`; most other services know only `max_tokens`.
            seconds: how long one answer may take.
        """
        self.name = name
        self._url = url.rstrip("/") + "/chat/completions"
        self._secrets = (key,) if key else ()
        self._key_env = key_env
        self._headers = {"authorization": f"Bearer {key}"} if key else {}
        self._token_field = token_field
        self._timeout = aiohttp.ClientTimeout(total=seconds, sock_connect=CONNECT_SECONDS)
        self._client: aiohttp.ClientSession | None = None

    async def complete(self, request: Json, scope: Scope) -> Completion:
        """See `Provider.complete`. Raises: `ModelError`."""
        body = {name: value for name, value in request.items() if name != "max_tokens"}
        body[self._token_field] = request["max_tokens"]
        if self._client is None:  # made here because it belongs to the loop that calls
            connector = aiohttp.TCPConnector(limit=0)
            self._client = aiohttp.ClientSession(
                connector=connector, headers=self._headers, timeout=self._timeout, proxy=_proxy(self._url)
            )
        try:
            async with self._client.post(
                self._url,
                data=json.dumps(body).encode(),
                headers={"content-type": "application/json"},
                allow_redirects=False,
            ) as response:
                content = await _read(response)
        except aiohttp.InvalidURL as error:
            raise ModelError(f"{self.name}: {self._url} is not a URL", kind="refused") from error
        except TimeoutError as error:
            raise self._unavailable(f"no answer within {self._timeout.total:g} s") from error
        except (aiohttp.ClientError, OSError) as error:
            raise self._unavailable(redact(f"{type(error).__name__}: {error}", self._secrets)) from error
        if len(content) > ANSWER_LIMIT:
            raise self._unavailable(f"the answer is larger than {ANSWER_LIMIT} bytes")
        text = redact(content.decode("utf-8", "replace"), self._secrets)
        return self._completion(response.status, text, response.headers)

    async def close(self) -> None:
        if self._client is not None:
            await self._client.close()
            self._client = None

    def _completion(self, status: int, text: str, headers: Mapping[str, str]) -> Completion:
        try:
            body = json.loads(text)
        except (ValueError, RecursionError):
            body = None
        if not 200 <= status < 300:
            raise error_of(self.name, status, _error_text(body) or text, headers, self._key_env)
        if isinstance(body, dict) and body.get("error") and not body.get("choices"):
            # OpenRouter answers 200 when a service behind it fails, and tells the status in the body.
            code = body["error"].get("code") if isinstance(body["error"], dict) else None
            status = code if isinstance(code, int) else 502
            raise error_of(self.name, status, _error_text(body) or text, headers, self._key_env)
        answer = _checked(body)
        if answer is None:
            raise self._unavailable(f"the answer is not a chat completion: {text[:200]!r}")
        return Completion(answer, usage_of(answer.get("usage")))

    def _unavailable(self, text: str) -> ModelError:
        return ModelError(f"{self.name} is not available: {text}", kind="unavailable")


def _proxy(url: str) -> str | None:
    """The proxy that the environment names for an address (http_proxy, https_proxy, no_proxy).

    aiohttp's own `trust_env` would also send credentials that it finds in ~/.netrc.
    """
    parts = urlsplit(url)
    if not parts.hostname or proxy_bypass(parts.hostname):
        return None
    return getproxies().get(parts.scheme)


async def _read(response: aiohttp.ClientResponse) -> bytes:
    """The answer's bytes; reading ends beyond the limit."""
    content = bytearray()
    async for chunk in response.content.iter_any():
        content += chunk
        if len(content) > ANSWER_LIMIT:
            break
    return bytes(content)


def usage_of(usage: object) -> Usage:
    """Token counts of an answer; all zero if it tells none."""
    if not isinstance(usage, dict):
        return Usage()
    details = usage.get("prompt_tokens_details")
    cached = _count(details, "cached_tokens") if isinstance(details, dict) else 0
    written = _count(details, "cache_write_tokens") if isinstance(details, dict) else 0
    sent = _count(usage, "prompt_tokens")
    return Usage(sent, min(cached, sent), min(written, sent - min(cached, sent)), _count(usage, "completion_tokens"))


def _count(counts: Mapping[str, Any], name: str) -> int:
    value = counts.get(name)
    return value if isinstance(value, int) and value > 0 else 0


def _checked(body: object) -> Json | None:
    """The body if it has the shape of a completion: a first choice with a message, and well-formed tool calls."""
    if not isinstance(body, dict) or not isinstance(body.get("choices"), list) or not body["choices"]:
        return None
    choice = body["choices"][0]
    message = choice.get("message") if isinstance(choice, dict) else None
    if not isinstance(message, dict):
        return None
    content = message.get("content")
    if content is not None and not isinstance(content, str):
        return None
    for call in message.get("tool_calls") or []:
        function = call.get("function") if isinstance(call, dict) else None
        if not isinstance(function, dict) or not isinstance(function.get("name"), str):
            return None
        if not isinstance(function.get("arguments"), str):
            # Some services answer with an object where the format has JSON text.
            function["arguments"] = json.dumps(function.get("arguments") or {})
    return {**body, "choices": [{**choice, "message": {"role": "assistant", **message}}]}


def _error_text(body: object) -> str | None:
    """What an error body says, in the shapes that services use."""
    if not isinstance(body, dict):
        return None
    error = body.get("error", body)
    if isinstance(error, str):
        return error
    if isinstance(error, dict):
        said = [error.get(name) for name in ("message", "detail", "code", "type", "param")]
        metadata = error.get("metadata")
        raw = metadata.get("raw") if isinstance(metadata, dict) else None
        return " ".join(str(each) for each in (*said, raw) if each) or None
    return None
