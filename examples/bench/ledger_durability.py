"""What a durable reservation costs: 64 callers, one write-through for each call against one for all who wait.

    python examples/bench/ledger_durability.py [--calls 2000] [--folder DIR]

Both are measured in one run and in turn, on the disk of DIR: the ledger as it is, and a ledger of which each
reservation waits for a write-through of its own, as it is done where there is no group commit. The event loop's lag is
how late a timer of one millisecond comes while the callers are at work.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from evolve.llm import Caps, Ledger, Usage
from evolve.llm.ledger import Worst

if TYPE_CHECKING:
    from _typeshed import FileDescriptorLike

CALLERS = 64
ROUNDS = 3
WORST = Worst(2000, 1000, 0.01)


async def call(ledger: Ledger, calls: int, *, alone: asyncio.Lock | None) -> None:
    account = ledger.account("bench")
    for _ in range(calls):
        if alone is None:
            made = await account.set_aside("solve", "a:b", WORST)
        else:
            async with alone:  # nobody else writes while one waits: each gets a write-through of its own
                made = await account.set_aside("solve", "a:b", WORST)
        account.settle(made, Usage(1500, 0, 0, 100), 0.001, status="ok")


async def lag(late: list[float]) -> None:
    while True:
        began = time.perf_counter()
        await asyncio.sleep(0.001)
        late.append(time.perf_counter() - began - 0.001)


async def storm(ledger: Ledger, calls: int, *, grouped: bool) -> tuple[float, float]:
    """Calls a second, and the 99th percentile of the loop's lag in milliseconds."""
    late: list[float] = []
    watch = asyncio.create_task(lag(late))
    alone = None if grouped else asyncio.Lock()
    began = time.perf_counter()
    await asyncio.gather(*(call(ledger, calls // CALLERS, alone=alone) for _ in range(CALLERS)))
    seconds = time.perf_counter() - began
    watch.cancel()
    return calls // CALLERS * CALLERS / seconds, statistics.quantiles(late, n=100)[-1] * 1e3


def measure(folder: str | None, calls: int, *, grouped: bool) -> tuple[float, float, float]:
    """Calls a second, write-throughs for each call, and the loop's lag."""
    plain, count = os.fdatasync, [0]

    def counted(fd: FileDescriptorLike) -> None:
        count[0] += 1
        plain(fd)

    os.fdatasync = counted
    try:
        with (
            tempfile.TemporaryDirectory(dir=folder) as place,
            Ledger(Path(place) / "ledger.jsonl", Caps(usd=1e9)) as ledger,
        ):
            rate, late = asyncio.run(storm(ledger, calls, grouped=grouped))
    finally:
        os.fdatasync = plain
    return rate, count[0] / (calls // CALLERS * CALLERS), late


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=2000)
    parser.add_argument("--folder", help="where the ledgers are written; default: among the temporary files")
    options = parser.parse_args()
    ratios = []
    print(f"{'':22} {'calls/s':>9} {'syncs/call':>11} {'lag p99 ms':>11}")
    for _ in range(ROUNDS):
        single = measure(options.folder, options.calls, grouped=False)
        grouped = measure(options.folder, options.calls, grouped=True)
        ratios.append(grouped[0] / single[0])
        for name, (rate, syncs, late) in (("one sync for each call", single), ("one for all who wait", grouped)):
            print(f"{name:22} {rate:9.0f} {syncs:11.3f} {late:11.1f}")
    print(f"group commit is {statistics.median(ratios):.1f} times as fast (median of {ROUNDS})")


if __name__ == "__main__":
    main()
