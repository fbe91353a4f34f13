"""The way to services that are far away: TLS, proxies, names with many addresses. aiohttp's client does all that.

It is used instead of an SDK because it adds a fraction of a millisecond where the SDKs' HTTP pool adds several under
load.
"""

from __future__ import annotations

from collections.abc import Mapping

import aiohttp

from evolve.llm.exchange import ANSWER_LIMIT, CONNECT_SECONDS, Answer, BrokenOffError, NotSentError, Target


class Remote:
    """A `Way`."""

    def __init__(self, target: Target, proxy: str | None) -> None:
        self._target = target
        self._proxy = proxy
        self._client: aiohttp.ClientSession | None = None

    async def post(self, body: bytes, headers: Mapping[str, str], seconds: float) -> Answer:
        """See `Way.post`."""
        if self._client is None:  # made here because it belongs to the loop that calls
            socket = self._target.socket
            self._client = aiohttp.ClientSession(
                connector=aiohttp.UnixConnector(socket, limit=0) if socket else aiohttp.TCPConnector(limit=0),
                headers=self._target.headers,
                cookie_jar=aiohttp.DummyCookieJar(),  # nothing that a service sets links one rollout to the next
                proxy=self._proxy,
            )
        timeout = aiohttp.ClientTimeout(total=seconds, sock_connect=CONNECT_SECONDS)
        try:
            async with self._client.post(
                self._target.url, data=body, headers=headers, allow_redirects=False, timeout=timeout
            ) as response:
                return Answer(response.status, response.headers, await _read(response))
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.InvalidURL) as error:
            raise NotSentError(f"{type(error).__name__}: {error}") from error
        except TimeoutError:
            raise
        except (aiohttp.ClientError, OSError) as error:
            raise BrokenOffError(f"{type(error).__name__}: {error}") from error

    async def close(self) -> None:
        if self._client is not None:
            await self._client.close()
            self._client = None


async def _read(response: aiohttp.ClientResponse) -> bytes:
    """The answer's bytes. Raises: `BrokenOffError` beyond the limit."""
    content = bytearray()
    async for chunk in response.content.iter_any():
        content += chunk
        if len(content) > ANSWER_LIMIT:
            raise BrokenOffError(f"the answer is larger than {ANSWER_LIMIT} bytes")
    return bytes(content)
