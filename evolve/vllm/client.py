"""How a supervisor talks with one replica: is it well, what is it doing, and does it really answer?"""

from __future__ import annotations

import json
from typing import Any

import aiohttp

from evolve.vllm.metrics import Reading, read_metrics

SECONDS = 10.0
"""For /health, /metrics and /v1/models."""
ANSWER_LIMIT = 8 << 20
"""Bytes of an answer that are read."""

TOOL = {
    "type": "function",
    "function": {
        "name": "add",
        "description": "Add two whole numbers.",
        "parameters": {
            "type": "object",
            "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
            "required": ["a", "b"],
        },
    },
}


class Client:
    """Of one replica, for one event loop."""

    def __init__(self, url: str, socket: str | None, key: str) -> None:
        connector = aiohttp.UnixConnector(socket) if socket else aiohttp.TCPConnector()
        headers = {"authorization": f"Bearer {key}"}
        self._url = url
        self._session = aiohttp.ClientSession(connector=connector, headers=headers)

    async def close(self) -> None:
        await self._session.close()

    async def health(self) -> int | None:
        """The status of /health; None if it does not answer."""
        answer = await self._get("/health")
        return None if answer is None else answer[0]

    async def reading(self) -> Reading | None:
        """What /metrics tells; None if it does not answer."""
        answer = await self._get("/metrics")
        return read_metrics(answer[1]) if answer is not None and answer[0] == 200 else None

    async def context_length(self) -> int | None:
        """Tokens of the model's context, as /v1/models tells them."""
        answer = await self._get("/v1/models")
        try:
            length = json.loads(answer[1])["data"][0]["max_model_len"] if answer is not None else None
        except (ValueError, KeyError, IndexError, TypeError):
            return None
        return length if isinstance(length, int) and length > 0 else None

    async def complete(self, model: str, *, tools: bool, tokens: int, seconds: float) -> str | None:
        """Ask for one completion, with a tool to call or without: what was wrong with the answer, or None."""
        request: dict[str, Any] = {
            "model": model,
            "messages": [{"role": "user", "content": "What is 17 + 25?"}],
            "max_tokens": tokens,
            "stream": False,
        }
        if tools:
            request |= {"tools": [TOOL], "tool_choice": "auto"}
        try:
            async with self._session.post(
                self._url + "/v1/chat/completions", json=request, timeout=aiohttp.ClientTimeout(total=seconds)
            ) as response:
                text = await _text(response)
        except TimeoutError:
            return f"no answer within {seconds:g} s"
        except (aiohttp.ClientError, OSError) as error:
            return f"{type(error).__name__}: {error}"
        if response.status != 200:
            return f"it answered {response.status}: {' '.join(text.split())[:300]}"
        return None if _is_completion(text) else f"its answer is not a chat completion: {text[:200]!r}"

    async def _get(self, path: str) -> tuple[int, str] | None:
        try:
            timeout = aiohttp.ClientTimeout(total=SECONDS)
            async with self._session.get(self._url + path, timeout=timeout) as response:
                return response.status, await _text(response)
        except (aiohttp.ClientError, OSError):  # a time-out is an OSError
            return None


def _is_completion(text: str) -> bool:
    try:
        return isinstance(json.loads(text)["choices"][0]["message"], dict)
    except (ValueError, KeyError, IndexError, TypeError):
        return False


async def _text(response: aiohttp.ClientResponse) -> str:
    content = bytearray()
    async for chunk in response.content.iter_any():
        content += chunk
        if len(content) > ANSWER_LIMIT:
            break
    return content.decode("utf-8", "replace")
