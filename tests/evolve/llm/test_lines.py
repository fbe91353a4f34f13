"""The way to servers in plain HTTP, and the way to far ones: the same exchanges, with a real server that misbehaves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import pytest
import uvloop

from evolve.llm import lines
from evolve.llm.exchange import ANSWER_LIMIT, BrokenOffError, NotSentError, Target, Way, check_headers
from evolve.llm.lines import Lines
from evolve.llm.remote import Remote

Make = Callable[[Target], Way]
ANSWER = b"HTTP/1.1 200 OK\r\nX-Seen: 1\r\ncontent-length: 2\r\n\r\nok"


@pytest.fixture(params=[Lines, lambda target: Remote(target, None)], ids=["lines", "remote"])
def make(request: pytest.FixtureRequest) -> Make:
    way: Make = request.param
    return way


def run(test: Awaitable[None]) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(test)  # type: ignore[arg-type]


class Server:
    """Answers each request with the next of `says`: pieces of bytes, with a pause in between; None ends it there."""

    def __init__(self) -> None:
        self.says: list[list[bytes | None]] = []
        self.heard: list[bytes] = []
        self.connections = 0
        self.writers: list[asyncio.StreamWriter] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.writers.append(writer)
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                self.heard.append(head + await reader.readexactly(length))
                for piece in self.says.pop(0):
                    if piece is None:
                        writer.close()
                        return
                    writer.write(piece)
                    await writer.drain()
                    await asyncio.sleep(0.01)


@asynccontextmanager
async def serving() -> AsyncIterator[tuple[Server, str]]:
    server = Server()
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    try:
        yield server, f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}/v1/x?y=z"
    finally:
        listener.close()
        for writer in server.writers:
            writer.transport.abort()
            with suppress(ConnectionError):
                await writer.wait_closed()


def test_a_request_as_it_arrives_and_a_connection_that_is_kept(make: Make) -> None:
    async def test() -> None:
        async with serving() as (server, url):
            way = make(Target(url, {"authorization": "Bearer k", "content-type": "application/json"}))
            for number in range(3):
                server.says.append([ANSWER])
                answer = await way.post(b"%d" % number, {"x-session-id": "s"}, 20)
                assert (answer.status, answer.content, answer.headers["x-seen"]) == (200, b"ok", "1")
            head, _, body = server.heard[2].partition(b"\r\n\r\n")
            assert body == b"2" and head.startswith(b"POST /v1/x?y=z HTTP/1.1\r\n")
            for line in (b"authorization: bearer k", b"x-session-id: s", b"host: 127.0.0.1:"):
                assert line in head.lower()
            assert server.connections == 1
            await way.close()

    run(test())


@pytest.mark.parametrize(
    ("pieces", "status", "content"),
    [
        ([ANSWER[:20], ANSWER[20:60], ANSWER[60:]], 200, b"ok"),
        ([b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\no\r\n", b"1\r\nk\r\n0\r\n\r\n"], 200, b"ok"),
        ([b"HTTP/1.1 200 OK\r\n\r\no", b"k", None], 200, b"ok"),
        ([b"HTTP/1.1 100 Continue\r\n\r\n", ANSWER], 200, b"ok"),
        ([b"HTTP/1.1 429 Slow\r\ncontent-length: 0\r\n\r\n"], 429, b""),
        ([b"HTTP/1.0 500 Oh\r\ncontent-length: 2\r\n\r\nno", None], 500, b"no"),
        ([b"HTTP/1.1 302 Away\r\nlocation: /z\r\ncontent-length: 0\r\n\r\n"], 302, b""),
    ],
    ids=["pieces", "chunks", "until the end", "continue", "empty", "1.0", "redirect"],
)
def test_answers_of_every_form(make: Make, pieces: list[bytes | None], status: int, content: bytes) -> None:
    async def test() -> None:
        async with serving() as (server, url):
            way = make(Target(url, {}))
            server.says += [pieces, [ANSWER]]
            answer = await way.post(b"a", {}, 20)
            assert (answer.status, answer.content) == (status, content)
            assert (await way.post(b"b", {}, 20)).content == b"ok"
            await way.close()

    run(test())


@pytest.mark.parametrize(
    "pieces",
    [
        [None],
        [ANSWER[:10], None],
        [ANSWER[:-1], None],
        [b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\no", None],
        [b"this is not HTTP\r\n\r\n", None],
    ],
    ids=["nothing", "head", "body", "chunk", "garbage"],
)
def test_an_answer_that_breaks_off_may_have_been_charged(make: Make, pieces: list[bytes | None]) -> None:
    async def test() -> None:
        async with serving() as (server, url):
            way = make(Target(url, {}))
            server.says += [pieces, [ANSWER]]
            with pytest.raises(BrokenOffError):
                await way.post(b"a", {}, 20)
            assert (await way.post(b"b", {}, 20)).content == b"ok"
            await way.close()

    run(test())


def test_an_answer_that_does_not_come(make: Make) -> None:
    async def test() -> None:
        async with serving() as (server, url):
            way = make(Target(url, {}))
            server.says += [[ANSWER[:10]], [ANSWER], [ANSWER[:10]]]
            with pytest.raises(TimeoutError):
                await way.post(b"a", {}, 0.1)
            assert (await way.post(b"b", {}, 20)).content == b"ok"
            task = asyncio.ensure_future(way.post(b"c", {}, 20))
            await asyncio.sleep(0.05)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await way.close()

    run(test())


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/", "http://nowhere.invalid/", "http://[::1]:1/"])
def test_what_is_not_reached_is_not_charged(make: Make, url: str) -> None:
    async def test() -> None:
        way = make(Target(url, {}))
        with pytest.raises(NotSentError):
            await way.post(b"a", {}, 20)
        await way.close()

    run(test())


def test_an_answer_without_end_is_cut_off(make: Make) -> None:
    async def test() -> None:
        async with serving() as (server, url):
            way = make(Target(url, {}))
            size = ANSWER_LIMIT + 1
            server.says.append([b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % size, bytes(size)])
            with pytest.raises(BrokenOffError, match="larger than"):
                await way.post(b"a", {}, 60)
            await way.close()

    run(test())


def test_a_connection_that_rested_too_long_or_was_closed_is_not_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        async with serving() as (server, url):
            way = Lines(Target(url, {}))
            server.says += [[ANSWER, None], [ANSWER], [ANSWER]]
            await way.post(b"a", {}, 20)
            await asyncio.sleep(0.1)  # meanwhile the server hangs up
            await way.post(b"b", {}, 20)
            assert server.connections == 2
            monkeypatch.setattr(lines, "IDLE_SECONDS", 0.0)
            await way.post(b"c", {}, 20)
            assert server.connections == 3
            await way.close()

    run(test())


def test_words_that_nobody_asked_for_end_a_connection() -> None:
    async def test() -> None:
        async with serving() as (server, url):
            way = Lines(Target(url, {}))
            server.says += [[ANSWER + ANSWER], [ANSWER.replace(b"ok", b"no")]]
            assert (await way.post(b"a", {}, 20)).content == b"ok"
            assert (await way.post(b"b", {}, 20)).content == b"no", "never the answer to another question"
            await way.close()

    run(test())


def test_no_header_begins_another_line(make: Make) -> None:
    with pytest.raises(ValueError, match="authorization"):
        check_headers({"authorization": "a\r\nx: y"})

    async def test() -> None:
        way = make(Target("http://127.0.0.1:1/", {}))
        with pytest.raises(NotSentError):
            await way.post(b"a", {"x": "a\nb"}, 20)
        await way.close()

    run(test())
