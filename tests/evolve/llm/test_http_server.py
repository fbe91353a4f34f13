"""The server at an agent's socket, asked over real connections."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
import uvloop

from evolve.llm.http_server import HEAD_LIMIT, HttpServer, Request, Response

LIMIT = 1000
Test = Callable[[Path], Awaitable[None]]


async def echo(request: Request) -> Response:
    said = "too large" if request.body is None else request.body.decode()
    return Response(200, f"{request.method} {request.path} {said}".encode(), "text/plain", (("x-more", "1"),))


@asynccontextmanager
async def serving(
    folder: Path, handler: Callable[[Request], Awaitable[Response]] = echo, connections: int = 3
) -> AsyncIterator[tuple[HttpServer, str]]:
    server, path = HttpServer(handler, body_limit=LIMIT, connections=connections), str(folder / "s")
    listener = await asyncio.get_running_loop().create_unix_server(server, path)
    try:
        yield server, path
    finally:
        listener.close()
        await server.shutdown(1.0)
        await listener.wait_closed()


async def said(path: str, *pieces: bytes, more: bool = False) -> bytes:
    """All that the server answers to these pieces, until it or (unless there is more to say) the client hangs up."""
    reader, writer = await asyncio.open_unix_connection(path)
    for piece in pieces:
        writer.write(piece)
        await writer.drain()
        await asyncio.sleep(0.01)
    if not more:
        writer.write_eof()
    answer = await asyncio.wait_for(reader.read(), 20)
    writer.close()
    return answer


def run(test: Awaitable[None]) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(test)  # type: ignore[arg-type]


def post(body: bytes, head: str = "", path: str = "/a") -> bytes:
    return f"POST {path} HTTP/1.1\r\nhost: x\r\n{head}content-length: {len(body)}\r\n\r\n".encode() + body


def test_a_client_library_is_served_on_one_connection(tmp_path: Path) -> None:
    async def test() -> None:
        async with (
            serving(tmp_path, connections=1) as (server, path),
            aiohttp.ClientSession(connector=aiohttp.UnixConnector(path)) as client,
        ):
            for body in ("one", "two", ""):
                async with client.post("http://x/a/b?c=d", data=body) as answer:
                    assert (answer.status, await answer.text()) == (200, f"POST /a/b {body}")
                    assert answer.headers["x-more"] == "1" and answer.content_type == "text/plain"
            assert len(server.connections) == 1

    run(test())


@pytest.mark.parametrize(
    ("pieces", "answer"),
    [
        ([post(b"hi")], b"POST /a hi"),
        ([bytes([byte]) for byte in post(b"hi")], b"POST /a hi"),
        (
            [b"POST /a HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n", b"1\r\n!\r\n0\r\n\r\n"],
            b"POST /a hi!",
        ),
        ([post(b"x" * (LIMIT + 1))], b"POST /a too large"),
        ([post(b"x" * LIMIT)], b"POST /a " + b"x" * LIMIT),
        ([b"GET http://host:80/b?c HTTP/1.1\r\n\r\n"], b"GET /b "),
        ([b"GET /b HTTP/1.0\r\n\r\n"], b"GET /b "),
        ([b"\r\n\r\nGET /b HTTP/1.1\r\n\r\n"], b"GET /b "),
        ([b"GET /b HTTP/1.1\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n"], b"GET /b "),
        ([b"CONNECT a:1 HTTP/1.1\r\nhost: a:1\r\n\r\n"], b"CONNECT"),
    ],
    ids=["plain", "bytewise", "chunked", "large", "largest", "absolute", "1.0", "blank", "upgrade", "connect"],
)
def test_what_is_asked_is_answered(tmp_path: Path, pieces: list[bytes], answer: bytes) -> None:
    async def test() -> None:
        async with serving(tmp_path) as (_, path):
            got = await said(path, *pieces)
            assert got.startswith(b"HTTP/1.1 200 OK\r\n") and answer in got and got.count(b"HTTP/1.1") == 1

    run(test())


def test_a_head_is_asked_for(tmp_path: Path) -> None:
    async def test() -> None:
        async with serving(tmp_path) as (_, path):
            got = await said(path, b"HEAD /b HTTP/1.1\r\n\r\n")
            assert got.endswith(b"\r\n\r\n") and b"content-length: 8\r\n" in got

    run(test())


@pytest.mark.parametrize(
    ("pieces", "status"),
    [
        ([b"\x16\x03\x01\x02\x00 what\r\n\r\n"], 400),
        ([b"POST /a HTTP/1.1\r\ncontent-length: -5\r\n\r\n"], 400),
        ([b"POST /a HTTP/1.1\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"], 400),
        ([b"GET /a HTTP/1.1\r\n" + b"a: b\r\n" * (HEAD_LIMIT // 3)], 431),
        ([post(b"x" * 5 * LIMIT)[:-1]], 413),
    ],
    ids=["tls", "length", "smuggled", "head", "body"],
)
def test_what_is_no_request_ends_the_connection(tmp_path: Path, pieces: list[bytes], status: int) -> None:
    async def test() -> None:
        async with serving(tmp_path) as (server, path):
            got = await said(path, *pieces, more=True)
            assert got.startswith(f"HTTP/1.1 {status} ".encode()) and b"connection: close" in got
            assert not server.connections

    run(test())


def test_requests_sent_ahead_are_answered_in_their_order(tmp_path: Path) -> None:
    """However many: what is not begun is not read beyond a piece."""
    under_way = 0

    async def slowly(request: Request) -> Response:
        nonlocal under_way
        under_way += 1
        assert under_way == 1
        await asyncio.sleep(0.001)
        under_way -= 1
        return await echo(request)

    async def test() -> None:
        async with serving(tmp_path, slowly) as (_, path):
            reader, writer = await asyncio.open_unix_connection(path)
            for number in range(100):
                writer.write(post(b"%d" % number))
            for number in range(100):
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                assert await reader.readexactly(length) == b"POST /a %d" % number
            writer.close()

    run(test())


def test_a_good_request_before_a_bad_one_is_answered(tmp_path: Path) -> None:
    async def test() -> None:
        async with serving(tmp_path) as (_, path):
            got = await said(path, post(b"hi") + b"\x00\x01\r\n\r\n", more=True)
            assert b"POST /a hi" in got and b"connection: close" in got

    run(test())


def test_who_expects_to_be_told_to_go_on_is_told(tmp_path: Path) -> None:
    async def test() -> None:
        async with serving(tmp_path) as (_, path):
            reader, writer = await asyncio.open_unix_connection(path)
            head, _, _ = post(b"hi", "expect: 100-continue\r\n").partition(b"hi")
            writer.write(head)
            assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
            writer.write(b"hi")
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
            writer.close()

    run(test())


def test_one_connection_too_many_is_dropped(tmp_path: Path) -> None:
    async def test() -> None:
        async with serving(tmp_path, connections=2) as (server, path):
            held = [await asyncio.open_unix_connection(path) for _ in range(2)]
            while len(server.connections) < 2:
                await asyncio.sleep(0.01)
            reader, writer = await asyncio.open_unix_connection(path)
            assert await reader.read() == b""
            writer.close()
            held[0][1].close()
            while len(server.connections) == 2:
                await asyncio.sleep(0.01)
            assert b"POST /a hi" in await said(path, post(b"hi"))
            held[1][1].close()

    run(test())


def test_what_a_client_asked_for_goes_on_when_it_hangs_up(tmp_path: Path) -> None:
    begun, gone, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def slowly(request: Request) -> Response:
        begun.set()
        await gone.wait()
        ended.set()
        return await echo(request)

    async def test() -> None:
        async with serving(tmp_path, slowly) as (server, path):
            _, writer = await asyncio.open_unix_connection(path)
            writer.write(post(b"hi"))
            await begun.wait()
            writer.transport.abort()
            await asyncio.sleep(0.05)
            gone.set()
            await asyncio.wait_for(ended.wait(), 20)
            while server.connections:
                await asyncio.sleep(0.01)

    run(test())


def test_the_end_waits_for_an_answer_but_not_for_a_client_that_does_not_read(tmp_path: Path) -> None:
    async def large(request: Request) -> Response:
        await asyncio.sleep(0.02)
        return Response(200, b"x" * (1 << 24 if request.path == "/large" else 1))

    async def test() -> None:
        async with serving(tmp_path, large) as (server, path):
            reader, writer = await asyncio.open_unix_connection(path)
            writer.write(post(b"hi"))
            stuck = socket.socket(socket.AF_UNIX)
            stuck.connect(path)
            stuck.sendall(post(b"hi", path="/large"))
            await asyncio.sleep(0.01)
            await server.shutdown(0.3)
            assert not server.connections
            assert (await reader.read()).endswith(b"\r\n\r\nx")
            writer.close()
            stuck.close()

    run(test())
