"""One exchange with a model service: what is sent where, what comes back, and how it may fail on the way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import urlsplit

ANSWER_LIMIT = 32 * 1024 * 1024
"""Bytes of an answer after which it is not one."""
CONNECT_SECONDS = 10.0


class NotSentError(ConnectionError):
    """The request did not leave: it cannot have been served."""


class BrokenOffError(ConnectionError):
    """The request left, and no whole answer came: it may have been served, and charged."""


@dataclass(frozen=True, slots=True)
class Target:
    """An address to post to, and the headers that every request to it has."""

    url: str
    headers: Mapping[str, str]
    socket: str | None = None
    """Unix socket to connect to, in place of the URL's host."""

    def check(self) -> None:
        """Raises: `ValueError` if nothing can be posted there."""
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not self.host:
            raise ValueError(f"{self.url} is not a URL that begins with http:// or https:// and names a host")
        check_headers(self.headers)
        _ = self.port

    @property
    def host(self) -> str:
        return urlsplit(self.url).hostname or ""

    @property
    def port(self) -> int:
        """Raises: `ValueError` for one that is no number."""
        parts = urlsplit(self.url)
        return parts.port or (443 if parts.scheme == "https" else 80)

    @property
    def authority(self) -> str:
        """The `host` header."""
        return urlsplit(self.url).netloc.rpartition("@")[2]

    @property
    def path(self) -> str:
        """What stands in the request's first line: path and query."""
        parts = urlsplit(self.url)
        return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def check_headers(headers: Mapping[str, str]) -> None:
    """Raises: `ValueError` for one that would begin another line."""
    for name, value in headers.items():
        if not value.isprintable():
            raise ValueError(f"the header {name} has characters that no header may have")


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, whatever its status says."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case, or in a mapping that does not care."""
    content: bytes


class Way(Protocol):
    """How to get to a target: `evolve.llm.lines.Lines`, or `evolve.llm.remote.Remote`. Belongs to one event loop."""

    async def post(self, body: bytes, headers: Mapping[str, str], seconds: float) -> Answer:
        """Raises: `NotSentError`, `BrokenOffError`, `TimeoutError` after so many seconds."""
        ...

    async def close(self) -> None: ...
