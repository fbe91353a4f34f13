"""Anthropic's models, through the official SDK.

The SDK's own retries are switched off: the gateway retries. It is given its key and base URL explicitly, because
otherwise it would also take credentials from the environment and from profiles on disk.
"""

from __future__ import annotations

import asyncio

import aiohttp
from anthropic import (
    AnthropicError,
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    AsyncAnthropic,
    DefaultAioHttpClient,
)

from evolve.llm.anthropic_messages import from_message, to_messages, usage_of
from evolve.llm.base import Completion, Json, ModelError, Scope
from evolve.llm.faults import error_of
from evolve.llm.redact import redact

URL = "https://api.anthropic.com"


class Anthropic:
    """A `Provider` for Anthropic's Messages API."""

    def __init__(
        self, name: str, *, key: str, key_env: str | None = None, url: str = URL, seconds: float = 600.0
    ) -> None:
        """
        Args:
            key: shown nowhere.
            url: base URL, with or without the version that the SDK appends.
            key_env: name of the environment variable that the key came from, for messages.
            seconds: how long one answer may take.
        """
        self.name = name
        self._key = key
        self._key_env = key_env
        self._url = url.rstrip("/").removesuffix("/v1")
        self._seconds = seconds
        self._client: AsyncAnthropic | None = None

    async def complete(self, request: Json, scope: Scope) -> Completion:
        """See `Provider.complete`. Raises: `ModelError`."""
        params = to_messages(request)
        if self._client is None:  # made here because it belongs to the loop that calls
            self._client = AsyncAnthropic(
                api_key=self._key,
                base_url=self._url,
                max_retries=0,
                timeout=self._seconds,
                http_client=DefaultAioHttpClient(timeout=self._seconds, follow_redirects=False),
            )
        try:
            async with asyncio.timeout(self._seconds):  # the SDK's own ends silence, not an answer that drips in
                message = await self._client.messages.create(**params)
        except TimeoutError as error:
            raise self._unavailable(f"no answer within {self._seconds:g} s", lost=True) from error
        except APITimeoutError as error:
            raise self._unavailable(f"no answer within {self._seconds:g} s", lost=_was_sent(error)) from error
        except APIConnectionError as error:
            text = redact(f"{error} {error.__cause__ or ''}", (self._key,))
            raise self._unavailable(text, lost=_was_sent(error)) from error
        except APIStatusError as error:
            text = redact(str(error.body or error.message), (self._key,))
            raise error_of(self.name, error.status_code, text, error.response.headers, self._key_env) from error
        except (AnthropicError, ValueError) as error:
            text = redact(f"{type(error).__name__}: {error}", (self._key,))
            raise self._unavailable(text, lost=True) from error
        if not isinstance(getattr(message, "content", None), list) or getattr(message, "usage", None) is None:
            raise self._unavailable("the answer is not a message", lost=True)
        try:
            return Completion(from_message(message), usage_of(message))
        except (AttributeError, TypeError) as error:  # the SDK does not check the answers that it makes objects of
            raise self._unavailable(f"the answer is not a message: {error}", lost=True) from error

    async def close(self) -> None:
        if self._client is not None:
            await self._client.close()
            self._client = None

    def _unavailable(self, text: str, *, lost: bool) -> ModelError:
        return ModelError(f"{self.name} is not available: {text}", kind="unavailable", lost=lost)


def _was_sent(error: APIConnectionError) -> bool:
    """Whether a request without an answer had left. The SDK's own error does not tell a connection that was never made
    from one that broke off under way; aiohttp's, which lies below it, does."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError):
            return False
        cause = cause.__cause__ or cause.__context__
    return True
