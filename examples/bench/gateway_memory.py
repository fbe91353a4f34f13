"""Whether the gateway's memory stays flat: its resident size while a long run's calls go through it.

    python examples/bench/gateway_memory.py [--calls 100000]

As in a run, calls come in rollouts, here of five hundred: each has a session, its socket, a transcript. The gateway has
this process to itself; the service and the callers are others.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path

from gateway_overhead import measure, upstream

from evolve.llm import Caps, Gateway, Ledger, Model, Price, Scope
from evolve.llm.openai_compatible import OpenAICompatible

ROLLOUT = 500
"""Calls of one session."""
WARM_UP = 50
"""Further calls that `measure` makes before it counts."""


def resident_mb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=100_000)
    calls = parser.parse_args().calls
    with upstream() as port, tempfile.TemporaryDirectory() as folder:
        model = Model(OpenAICompatible("up", f"http://127.0.0.1:{port}/v1"), "m", Price(1, 2))
        with (
            Ledger(Path(folder) / "ledger.jsonl", Caps(usd=1e6)) as ledger,
            Gateway({"solve": model}, ledger) as gateway,
        ):
            print(f"{'calls':>8} {'resident MB':>12} {'seconds':>8}")
            began, made, step = time.monotonic(), 0, max(1, calls // 20)
            for rollout in range(calls // (ROLLOUT + WARM_UP)):
                log = Path(folder) / str(rollout)
                with gateway.session(Scope(f"evaluation-{rollout}"), log=log, caps=Caps()) as session:
                    measure(str(session.socket), ROLLOUT, 8)
                made += ROLLOUT + WARM_UP
                if made // step != (made - ROLLOUT - WARM_UP) // step:
                    print(f"{made:8} {resident_mb():12.1f} {time.monotonic() - began:8.0f}", flush=True)


if __name__ == "__main__":
    main()
