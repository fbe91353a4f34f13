"""HTTP/1.1 for an agent's client, as much of it as that needs, in a tenth of a millisecond a request.

llhttp reads what comes (as httptools), and each answer goes out in one piece. A general-purpose server took a quarter
of a call's whole time, for things that nobody asks of a socket in a box: routes, cookies, files, compression. Requests
of one connection are answered one after another; when a client hangs up, what it asked for goes on all the same,
because it is paid for.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import cast

import httptools

HEAD_LIMIT = 64 * 1024
"""Bytes of a request's line and headers, after which it is not one. (A piece as it comes from the socket is read whole,
so a head may be longer by one piece.)"""
PATIENCE = 4
"""Times the limit of a body: so much of what is too large is read and dropped, so that its client gets to read why."""
PHRASES = {status.value: status.phrase for status in HTTPStatus}


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked."""

    method: str
    path: str
    """Without the query, which nothing here has a use for."""
    body: bytes | None
    """None if it was larger than the limit."""


@dataclass(frozen=True, slots=True)
class Response:
    """What is answered."""

    status: int
    body: bytes
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()


Handler = Callable[[Request], Awaitable[Response]]


class HttpServer:
    """Makes the protocol of each connection; to be handed to the event loop as the factory that it asks."""

    def __init__(self, handler: Handler, *, body_limit: int, connections: int) -> None:
        """
        Args:
            handler: answers a request; it must not raise.
            body_limit: bytes of a body that are kept.
            connections: how many a client may hold at once; one too many is dropped at once.
        """
        self.handler = handler
        self.body_limit = body_limit
        self.limit = connections
        self.connections: set[_Connection] = set()
        self._gone = asyncio.Event()
        """Set whenever a connection is lost."""

    def __call__(self) -> asyncio.Protocol:
        return _Connection(self)

    def lost(self, connection: _Connection) -> None:
        self.connections.discard(connection)
        self._gone.set()

    async def shutdown(self, seconds: float) -> None:
        """End all connections, those with an answer under way after it, but none later than in so many seconds."""
        for connection in tuple(self.connections):
            connection.finish()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._all_gone()
        for connection in tuple(self.connections):
            connection.abort()
        await self._all_gone()

    async def _all_gone(self) -> None:
        while self.connections:
            self._gone.clear()
            await self._gone.wait()


class _Connection(asyncio.Protocol):
    """One connection: httptools calls its `on_…` methods while it is fed."""

    def __init__(self, server: HttpServer) -> None:
        self._server = server
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._waiting: deque[tuple[Request, bool]] = deque()
        """Requests that are read and not begun, and whether the connection lives on after them."""
        self._task: asyncio.Task[None] | None = None
        """Answers what waits; None while nothing does."""
        self._room: asyncio.Event | None = None
        """Clear while the client does not read; made when that happens first."""
        self._closing = False
        """No further request is read."""
        self._url = b""
        self._body: list[bytes] = []
        self._size = 0
        self._head = 0
        self._in_head = True
        self._expects = False

    # What the event loop tells.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        if len(self._server.connections) >= self._server.limit:
            self._transport.abort()
            self._transport = None
            return
        self._server.connections.add(self)

    def data_received(self, data: bytes) -> None:
        if self._closing:
            return
        if self._in_head:
            self._head += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._closing = True  # no other protocol is spoken here; the request itself is answered as any
        except httptools.HttpParserError as error:
            self._refuse(400, f"the request is not HTTP: {error}")
        else:
            if self._in_head and self._head > HEAD_LIMIT:
                self._refuse(431, f"the headers are larger than {HEAD_LIMIT} bytes")
            elif self._size > PATIENCE * self._server.body_limit:
                self._refuse(413, f"the body is larger than {self._server.body_limit} bytes")
        if not self._waiting:
            return
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._answer())
        elif self._transport is not None:
            self._transport.pause_reading()  # who asks ahead of the answers waits

    def eof_received(self) -> bool:
        self._closing = True
        return self._task is not None  # half-closed: who has said all may still want to read

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        self._closing = True
        self._waiting.clear()
        if self._room is not None:
            self._room.set()
        self._server.lost(self)

    def pause_writing(self) -> None:
        if self._room is None:
            self._room = asyncio.Event()
        self._room.clear()

    def resume_writing(self) -> None:
        if self._room is not None:
            self._room.set()

    # What the parser tells.

    def on_message_begin(self) -> None:
        self._url, self._body, self._size = b"", [], 0
        self._in_head, self._expects = True, False

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == b"expect":
            self._expects = value.lower() == b"100-continue"

    def on_headers_complete(self) -> None:
        self._in_head = False
        if self._expects and self._task is None and self._transport is not None:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        self._size += len(body)
        if self._size <= self._server.body_limit:
            self._body.append(body)
        else:
            self._body.clear()

    def on_message_complete(self) -> None:
        body = b"".join(self._body) if self._size <= self._server.body_limit else None
        request = Request(self._parser.get_method().decode("latin-1"), _path(self._url), body)
        self._waiting.append((request, self._parser.should_keep_alive()))
        self._body, self._in_head, self._head = [], True, 0

    # What the server does.

    def finish(self) -> None:
        """End the connection as soon as nothing is under way."""
        self._closing = True
        self._waiting.clear()
        if self._task is None and self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    async def _answer(self) -> None:
        try:
            while self._waiting:
                request, lives_on = self._waiting.popleft()
                response = await self._server.handler(request)
                self._closing = self._closing or not lives_on
                self._write(request.method, response, last=self._closing and not self._waiting)
                if self._room is not None:
                    await self._room.wait()
        except BaseException:
            self.abort()  # the loop tells of the error; the client must not wait for an answer
            raise
        finally:
            self._task = None
        if self._transport is None:
            return
        if self._closing:
            self._transport.close()
        else:
            self._transport.resume_reading()

    def _write(self, method: str, response: Response, *, last: bool) -> None:
        if self._transport is None:
            return
        more = "".join(f"{name}: {value}\r\n" for name, value in response.headers) + ("connection: close\r\n" * last)
        head = (
            f"HTTP/1.1 {response.status} {PHRASES.get(response.status, '')}\r\n"
            f"content-type: {response.content_type}\r\ncontent-length: {len(response.body)}\r\n{more}\r\n"
        )
        self._transport.write(head.encode("latin-1") + (response.body if method != "HEAD" else b""))

    def _refuse(self, status: int, text: str) -> None:
        """Answer what is not even a request, after all that came before it, and end the connection."""
        self._closing = True
        if self._task is None and not self._waiting:
            self._write("", Response(status, f"{text}\n".encode(errors="replace"), "text/plain"), last=True)
            if self._transport is not None:
                self._transport.close()


def _path(url: bytes) -> str:
    """A request target's path. Clients that think they talk to a proxy send the whole URL."""
    if not url.startswith(b"/"):
        with contextlib.suppress(httptools.HttpParserInvalidURLError):
            url = httptools.parse_url(url).path or b"/"
    return url.partition(b"?")[0].decode("latin-1")
