"""What the gateway adds to a model call: the same calls to one fake service, straight and through a session's socket.

    python examples/bench/gateway_overhead.py [--calls 500]

The service, the caller and the gateway are three processes. "free" books without waiting for the disk, as for local
models; "priced" writes each reservation through to the disk first, as wherever dollars are spent.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import multiprocessing
import statistics
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path

from aiohttp import web

from evolve.llm import Caps, Gateway, Ledger, Model, Price, Scope
from evolve.llm.openai_compatible import OpenAICompatible

PROMPT = "def f(x):\n    return x + 1\n" * 300
"""About 8 kB."""
BODY = json.dumps({"model": "solve", "messages": [{"role": "user", "content": PROMPT}], "max_tokens": 100}).encode()
ANSWER = json.dumps(
    {
        "id": "c", "object": "chat.completion", "created": 0, "model": "m",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "ok"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 2000, "completion_tokens": 1, "total_tokens": 2001},
    }
).encode()  # fmt: skip
WARM_UP = 50


def service(ready: Connection) -> None:
    """A process: answers every request at once with the same completion."""

    async def answer(request: web.BaseRequest) -> web.Response:
        await request.content.read()
        return web.Response(body=ANSWER, content_type="application/json")

    async def serve() -> None:
        loop = asyncio.get_running_loop()
        listener = await loop.create_server(web.Server(answer, access_log=None), "127.0.0.1", 0)
        ready.send(listener.sockets[0].getsockname()[1])
        await loop.run_in_executor(None, ready.recv)
        listener.close()

    asyncio.run(serve())


def caller(done: Connection, target: str | int, calls: int, width: int) -> None:
    """A process: `calls` calls over `width` kept connections; sends their times and the whole time, in seconds."""
    request = (
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: "
        + str(len(BODY)).encode()
        + b"\r\n\r\n"
        + BODY
    )

    async def connection(calls: int, times: list[float]) -> None:
        if isinstance(target, int):
            reader, writer = await asyncio.open_connection("127.0.0.1", target)
        else:
            reader, writer = await asyncio.open_unix_connection(target)
        for _ in range(calls):
            began = time.perf_counter()
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200"), head
            length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
            await reader.readexactly(int(length.split(b":")[1]))
            times.append(time.perf_counter() - began)
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()

    async def run() -> tuple[list[float], float]:
        await connection(WARM_UP, [])
        times: list[float] = []
        began = time.perf_counter()
        await asyncio.gather(*(connection(calls // width, times) for _ in range(width)))
        return times, time.perf_counter() - began

    done.send(asyncio.run(run()))


def measure(target: str | int, calls: int, width: int) -> tuple[float, float, float]:
    """Median and 95th percentile in milliseconds, and calls per second."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=caller, args=(there, target, calls, width))
    process.start()
    times, whole = here.recv()
    process.join()
    return statistics.median(times) * 1e3, statistics.quantiles(times, n=20)[-1] * 1e3, len(times) / whole


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=500)
    calls = parser.parse_args().calls
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    upstream = context.Process(target=service, args=(there,))
    upstream.start()
    port = here.recv()
    rows: dict[str, list[tuple[float, float, float]]] = {
        "direct": [measure(port, calls, width) for width in (1, 8, 32)]
    }
    for name, price in (("gateway, free", Price(0, 0)), ("gateway, priced", Price(1, 2))):
        with tempfile.TemporaryDirectory() as folder:
            model = Model(OpenAICompatible("up", f"http://127.0.0.1:{port}/v1"), "m", price)
            with (
                Ledger(Path(folder) / "ledger.jsonl", Caps(usd=1e6)) as ledger,
                Gateway({"solve": model}, ledger) as gateway,
                gateway.session(Scope("bench"), log=Path(folder), caps=Caps()) as session,
            ):
                rows[name] = [measure(str(session.socket), calls, width) for width in (1, 8, 32)]
    here.send(None)
    upstream.join()
    direct = rows["direct"]
    print(
        f"{'':16} {'median ms':>10} {'p95 ms':>8} {'added ms':>9} {'ratio':>6} {'calls/s at 1':>13} {'8':>7} {'32':>7}"
    )
    for name, (one, eight, many) in rows.items():
        print(
            f"{name:16} {one[0]:10.2f} {one[1]:8.2f} {one[0] - direct[0][0]:9.2f} {one[0] / direct[0][0]:6.1f} "
            f"{one[2]:13.0f} {eight[2]:7.0f} {many[2]:7.0f}"
        )


if __name__ == "__main__":
    main()
