"""OpenAI's models through the Responses API, in which they can think and call tools at once.

Chat completions refuse that for newer models: function tools together with reasoning "are not supported … in
/v1/chat/completions". Azure serves the same format.
"""

from __future__ import annotations

from evolve.llm.base import Completion, Json, Scope
from evolve.llm.http_client import HttpClient
from evolve.llm.openai_compatible import cache_key_of
from evolve.llm.responses_items import from_response, to_responses, usage_of

URL = "https://api.openai.com/v1"


class OpenAIResponses:
    """A `Provider` for a service that speaks OpenAI's Responses."""

    def __init__(
        self,
        name: str,
        url: str = URL,
        *,
        key: str | None = None,
        key_env: str | None = None,
        seconds: float = 600.0,
        cache_key: bool = True,
    ) -> None:
        """
        Args:
            url: base URL; a query, such as Azure's `?api-version=…`, is kept.
            key: sent as bearer token (at Azure as `api-key`), and shown nowhere.
            key_env: name of the environment variable that the key came from, for messages.
            seconds: how long one answer may take.
            cache_key: send `prompt_cache_key`, by which OpenAI keeps a rollout at one of its prompt caches.
        """
        self.name = name
        self._client = HttpClient(name, url, "responses", key=key, key_env=key_env, seconds=seconds)
        self._cache_key = cache_key

    async def complete(self, request: Json, scope: Scope) -> Completion:
        """See `Provider.complete`. Raises: `ModelError`."""
        body = to_responses(request)
        if self._cache_key:
            body.setdefault("prompt_cache_key", cache_key_of(scope))
        response = await self._client.post(body)
        try:
            completion = from_response(response)
        except ValueError as error:
            raise self._client.lost(f"the answer is not a response: {error}") from None
        return Completion(completion, usage_of(response.get("usage")))

    async def close(self) -> None:
        await self._client.close()
