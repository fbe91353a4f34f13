"""What the gateway adds to a model call: the same calls to one fake service, straight and through a session's socket.

    python examples/bench/gateway_overhead.py [--calls 500] [--litellm EXECUTABLE]

The service, the caller and the gateway are three processes. "free" books without waiting for the disk, as for local
models; "priced" writes each reservation through to the disk first, as wherever dollars are spent. With --litellm a
LiteLLM proxy (`pip install 'litellm[proxy]'`, in an environment of its own) stands in front of the same service in the
same run. The ways take turns, round by round, so that what else the machine does falls on all of them; each figure is
the median of its rounds.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import http.client
import json
import multiprocessing
import socket
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
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
WIDTHS = (1, 8, 32)
"""Calls under way at once."""


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


@dataclass(frozen=True)
class Figures:
    """One round of calls at one width."""

    median: float
    """Milliseconds, as `p95`."""
    p95: float
    per_second: float


def measure(target: str | int, calls: int, width: int) -> Figures:
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=caller, args=(there, target, calls, width))
    process.start()
    times, whole = here.recv()
    process.join()
    return Figures(statistics.median(times) * 1e3, statistics.quantiles(times, n=20)[-1] * 1e3, len(times) / whole)


@contextlib.contextmanager
def upstream() -> Iterator[int]:
    """The fake service; its port."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=service, args=(there,))
    process.start()
    try:
        yield here.recv()
    finally:
        here.send(None)
        process.join()


@contextlib.contextmanager
def gateway(port: int, price: Price) -> Iterator[str]:
    """A session of the gateway with ledger and transcript on disk; its socket."""
    with tempfile.TemporaryDirectory() as folder:
        model = Model(OpenAICompatible("up", f"http://127.0.0.1:{port}/v1"), "m", price)
        with (
            Ledger(Path(folder) / "ledger.jsonl", Caps(usd=1e6)) as ledger,
            Gateway({"solve": model}, ledger) as gateway,
            gateway.session(Scope("bench"), log=Path(folder), caps=Caps()) as session,
        ):
            yield str(session.socket)


@contextlib.contextmanager
def litellm(executable: str, port: int) -> Iterator[int]:
    """A LiteLLM proxy with one worker in front of the service; its port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        own = free.getsockname()[1]
    target = {"model": "openai/m", "api_base": f"http://127.0.0.1:{port}/v1", "api_key": "none"}
    settings = {
        "model_list": [{"model_name": "solve", "litellm_params": target}],
        "general_settings": {"dangerously_permit_weak_or_unset_master_key": True},  # as open as the fake service
    }
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "config.yaml"  # JSON is YAML
        config.write_text(json.dumps(settings))
        argv = [executable, "--config", str(config), "--host", "127.0.0.1", "--port", str(own)]
        with (Path(folder) / "log").open("wb") as log:
            process = subprocess.Popen(argv, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        try:
            _wait_for(own, process)
            yield own
        finally:
            process.terminate()
            process.wait()


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    """Until the proxy has answered a call; it takes a quarter of a minute to start, and longer on a busy machine."""
    for _ in range(600):
        if process.poll() is not None:
            raise SystemExit(f"the LiteLLM proxy ended with status {process.returncode}")
        with contextlib.suppress(OSError), closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as line:
            line.request("POST", "/v1/chat/completions", BODY, {"content-type": "application/json"})
            if line.getresponse().status == 200:
                return
        time.sleep(0.5)
    raise SystemExit("the LiteLLM proxy did not answer within five minutes")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=500, help="calls of one round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--litellm", metavar="EXECUTABLE", help="a LiteLLM proxy to measure beside it")
    asked = parser.parse_args()
    rounds: dict[str, dict[int, list[Figures]]] = {}
    with contextlib.ExitStack() as stack:
        port = stack.enter_context(upstream())
        ways: dict[str, str | int] = {"direct": port}
        ways["gateway, free"] = stack.enter_context(gateway(port, Price(0, 0)))
        ways["gateway, priced"] = stack.enter_context(gateway(port, Price(1, 2)))
        if asked.litellm:
            ways["LiteLLM proxy"] = stack.enter_context(litellm(asked.litellm, port))
        for _ in range(asked.rounds):
            for name, target in ways.items():
                for width in WIDTHS:
                    calls = asked.calls // 5 if name.startswith("LiteLLM") else asked.calls
                    rounds.setdefault(name, {}).setdefault(width, []).append(measure(target, calls, width))
    show(rounds)


def show(rounds: dict[str, dict[int, list[Figures]]]) -> None:
    direct = statistics.median(each.median for each in rounds["direct"][1])
    heads = "".join(f"{f'calls/s at {width}':>15}" for width in WIDTHS)
    print(f"{'':16} {'median ms':>10} {'p95 ms':>8} {'added ms':>9} {'ratio':>6}{heads}")
    for name, widths in rounds.items():
        one = statistics.median(each.median for each in widths[1])
        p95 = statistics.median(each.p95 for each in widths[1])
        rates = "".join(f"{statistics.median(each.per_second for each in widths[width]):15.0f}" for width in WIDTHS)
        print(f"{name:16} {one:10.2f} {p95:8.2f} {one - direct:9.2f} {one / direct:6.1f}{rates}")


if __name__ == "__main__":
    main()
