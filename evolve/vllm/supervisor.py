"""The process behind a fleet: `python -m evolve.vllm.supervisor NAME`, started by `clade vllm up`, ended by SIGTERM."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from evolve.vllm import logs
from evolve.vllm.engine import Engine, engine_of
from evolve.vllm.plan import Plan, read_plan
from evolve.vllm.process import boot_id, start_time
from evolve.vllm.registry import (
    Fleet,
    FleetError,
    Handle,
    Replica,
    read_fleet,
    write_fleet,
    write_supervisor,
)
from evolve.vllm.replica import Keeper, put_away

LOG = logging.getLogger("clade.vllm")


def main(name: str) -> int:
    """Supervise a fleet until it is ended, or until all its replicas have been given up.

    Returns: 0 for ended, 1 for given up.
    """
    os.umask(0o077)
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s")
    plan = read_plan(name)
    if plan is None:
        raise FleetError(f"the fleet {name} has no plan; start it with `clade vllm up`")
    key = (plan.folder / "key").read_text(encoding="utf-8").strip()
    engine = engine_of(plan)
    try:
        return asyncio.run(Supervisor(plan, key, engine, read_fleet(name)).serve())
    finally:
        engine.close()


class Supervisor:
    """All keepers of a fleet, and its entry in the registry."""

    def __init__(self, plan: Plan, key: str, engine: Engine, left: Fleet | None) -> None:
        """`left`: the fleet as a supervisor before us has left it; what runs of it is taken over."""
        self._plan = plan
        self._engine = engine
        self._fleet = Fleet(
            name=plan.name,
            model=plan.model,
            served_name=plan.served_name,
            key=key,
            context_length=left.context_length if left else plan.max_model_len,
            replicas=(),
            engine=plan.engine,
            tool_parser=plan.tool_parser,
            reasoning_parser=plan.reasoning_parser,
            started=left.started if left else time.time(),
        )
        self._left = [each.handle for each in (left.replicas if left else ()) if each.handle is not None]
        taken = {each.index: each for each in (left.replicas if left else ()) if self._runs(each)}
        for index in sorted(taken):
            LOG.info("replica %d: taken over", index)
        self._keepers = [
            Keeper(plan, index, engine, key, self._write, taken.get(index)) for index in range(plan.replicas)
        ]

    async def serve(self) -> int:
        """Until SIGTERM or SIGINT, or until nothing is left to supervise."""
        stop = asyncio.Event()
        for each in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(each, stop.set)
        self._write()  # first: who sees that we live may trust what is written
        write_supervisor(self._plan.name, Handle(os.getpid(), start_time(os.getpid()) or 0, boot_id()))
        await asyncio.to_thread(self._put_strays_away)
        tasks = [asyncio.create_task(keeper.run()) for keeper in self._keepers]
        waiting = asyncio.create_task(stop.wait())
        everything: asyncio.Future[Any] = asyncio.gather(*tasks)
        rotating = asyncio.create_task(self._rotate())
        try:
            events: set[asyncio.Future[Any]] = {waiting, everything}
            await asyncio.wait(events, return_when=asyncio.FIRST_COMPLETED)
            if everything.done():
                everything.result()  # a fault of ours, if there was one
                LOG.error("all replicas have been given up")
                return 1
            LOG.info("ending the fleet")
            everything.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await asyncio.gather(*(keeper.end() for keeper in self._keepers))
            return 0
        finally:
            waiting.cancel()
            rotating.cancel()

    def _runs(self, replica: Replica) -> bool:
        return replica.handle is not None and self._engine.ended(replica.handle) is None

    def _put_strays_away(self) -> None:
        """End what a crashed supervisor has left and we do not take over: it may not even have written it down."""
        ours = {keeper.replica.handle for keeper in self._keepers}
        strays = {handle for handle in (*self._left, *self._engine.strays()) if handle not in ours}
        if strays:
            LOG.warning("what is left of %d replica(s) is cleared away", len(strays))
            put_away(self._engine, list(strays), self._plan.pace.stop)

    def _write(self) -> None:
        """Tell everyone how things stand."""
        length = next((k.context_length for k in self._keepers if k.context_length), self._fleet.context_length)
        self._fleet = replace(
            self._fleet, replicas=tuple(keeper.replica for keeper in self._keepers), context_length=length
        )
        try:
            write_fleet(self._fleet)
        except OSError as error:  # a full disk must not end the fleet
            LOG.error("the registry cannot be written: %s", error)

    async def _rotate(self) -> None:
        files = [self._plan.folder / "supervisor.log"]
        files += [self._plan.folder / f"replica-{index}.log" for index in range(self._plan.replicas)]
        while True:
            for path in files:
                await asyncio.to_thread(_rotated, path)
            await asyncio.sleep(self._plan.pace.poll)


def _rotated(path: Path) -> None:
    try:
        logs.rotate(path)
    except OSError as error:
        LOG.warning("%s cannot be rotated: %s", path.name, error)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1]))
    except FleetError as error:
        sys.exit(f"clade vllm: {error}")
