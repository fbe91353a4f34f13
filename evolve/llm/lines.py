"""Kept connections to a model server in plain HTTP: what lies between the gateway and the models of one's own machines.

A call to a local model may end within milliseconds, and a fleet serves thousands of calls a minute, so this is as short
as it can be: llhttp reads the answers (as httptools), a request goes out in one piece. Services that are far away, with
TLS and proxies on the way, are `evolve.llm.remote`'s, where time does not matter and much else does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import cast

import httptools
from aiohappyeyeballs import start_connection

from evolve.llm.exchange import (
    ANSWER_LIMIT,
    CONNECT_SECONDS,
    Answer,
    BrokenOffError,
    NotSentError,
    Target,
    check_headers,
)

IDLE_SECONDS = 4.0
"""Unused for so long, a connection is not trusted any more: uvicorn, on which vLLM and many others run, hangs up after
five, and a request that meets its goodbye on the way counts as sent."""
HEAD_LIMIT = 64 * 1024
"""Bytes of an answer's headers after which it is not one."""


class Lines:
    """Connections to one address, made when they are needed and kept. Belongs to one event loop."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._idle: list[tuple[_Line, float]] = []
        """The one that was used last comes last: it is the most likely to live."""
        self._busy: set[_Line] = set()
        own = {"host": target.authority, "accept-encoding": "identity", **target.headers}
        self._head = f"POST {target.path} HTTP/1.1\r\n{_lines(own)}"

    async def post(self, body: bytes, headers: Mapping[str, str], seconds: float) -> Answer:
        """Raises: `NotSentError`, `BrokenOffError`, `TimeoutError` after so many seconds."""
        try:
            check_headers(headers)
        except ValueError as error:
            raise NotSentError(str(error)) from None
        head = f"{self._head}{_lines(headers)}content-length: {len(body)}\r\n\r\n".encode("latin-1", "replace")
        loop = asyncio.get_running_loop()
        ends = loop.time() + seconds
        line = self._kept(loop.time()) or await self._connected(min(CONNECT_SECONDS, seconds))
        self._busy.add(line)
        try:
            answer = await line.exchange(head + body, ends)
        finally:
            self._busy.discard(line)
        if line.alive:
            self._idle.append((line, loop.time()))
        return answer

    async def close(self) -> None:
        lines = [*self._busy, *(line for line, _ in self._idle)]
        self._idle.clear()
        for line in lines:
            line.close()
        await asyncio.gather(*(line.gone for line in lines))

    def _kept(self, now: float) -> _Line | None:
        while self._idle:
            line, since = self._idle.pop()
            if line.alive and now - since < IDLE_SECONDS:
                return line
            line.close()
        return None

    async def _connected(self, seconds: float) -> _Line:
        loop, target = asyncio.get_running_loop(), self._target
        try:
            async with asyncio.timeout(seconds):
                if target.socket is not None:
                    return (await loop.create_unix_connection(_Line, target.socket))[1]
                addresses = await loop.getaddrinfo(target.host, target.port, type=1)
                socket = await start_connection(addresses, happy_eyeballs_delay=0.25)
                return (await loop.create_connection(_Line, sock=socket))[1]
        except TimeoutError as error:
            raise NotSentError(f"no connection to {target.authority} within {seconds:g} s") from error
        except (OSError, UnicodeError) as error:  # UnicodeError: a host's name that is none
            raise NotSentError(f"cannot connect to {target.socket or target.authority}: {error}") from error


class _Line(asyncio.Protocol):
    """One connection, with one exchange at a time; httptools calls its `on_…` methods while it is fed."""

    def __init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self.gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done when the connection is lost, whoever ended it."""
        self._answered: asyncio.Future[Answer] | None = None
        self._headers: dict[str, str] = {}
        self._content: list[bytes] = []
        self._size = 0
        self._head = 0
        self._in_head = True

    @property
    def alive(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    async def exchange(self, request: bytes, ends: float) -> Answer:
        """Raises: `BrokenOffError`, `TimeoutError`; after either, or when cancelled, the connection is closed."""
        loop = asyncio.get_running_loop()
        self._answered = loop.create_future()
        timer = loop.call_at(ends, self._fail, TimeoutError())
        self._head = 0
        try:
            if self._transport is None:
                raise BrokenOffError("the connection was closed before the request was sent")
            self._transport.write(request)
            return await self._answered
        except BaseException:
            self.close()
            raise
        finally:
            timer.cancel()
            self._answered = None

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    # What the event loop tells.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if self._answered is None:  # nobody has asked
            self.close()
            return
        if self._in_head:
            self._head += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._fail(BrokenOffError("the server wants to speak another protocol than HTTP"))
        except httptools.HttpParserError as error:
            self._fail(BrokenOffError(f"the answer is not HTTP: {error}"))
        if self._in_head and self._head > HEAD_LIMIT:
            self._fail(BrokenOffError(f"the answer's headers are larger than {HEAD_LIMIT} bytes"))

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        self.gone.set_result(None)
        until_the_end = "content-length" not in self._headers and "transfer-encoding" not in self._headers
        if error is None and not self._in_head and until_the_end and self._answered is not None:
            self._complete()
        self._fail(BrokenOffError(f"the server closed the connection{f' ({error})' if error else ''}"))

    # What the parser tells.

    def on_message_begin(self) -> None:
        self._headers, self._content, self._size, self._in_head = {}, [], 0, True

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode("latin-1").lower()] = value.decode("utf-8", "replace")

    def on_headers_complete(self) -> None:
        self._in_head = False

    def on_body(self, body: bytes) -> None:
        self._size += len(body)
        self._content.append(body)
        if self._size > ANSWER_LIMIT:
            self._fail(BrokenOffError(f"the answer is larger than {ANSWER_LIMIT} bytes"))

    def on_message_complete(self) -> None:
        if self._parser.get_status_code() >= 200:  # before are those that only announce the answer
            self._complete()
            if not self._parser.should_keep_alive():
                self.close()
        self._in_head = True
        self._head = 0

    def _complete(self) -> None:
        if self._answered is None or self._answered.done():
            return
        self._answered.set_result(Answer(self._parser.get_status_code(), self._headers, b"".join(self._content)))

    def _fail(self, error: Exception) -> None:
        if self._answered is not None and not self._answered.done():
            self._answered.set_exception(error)


def _lines(headers: Mapping[str, str]) -> str:
    return "".join(f"{name}: {value}\r\n" for name, value in headers.items())
