"""Many seeds of many policies, over processes: a chunk of seeds at a time, results handed back as they come."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.synchronize import Event

from evolve.policies import AnyPolicy
from evolve.simulate.parameters import WorldSettings
from evolve.simulate.run import Plan, simulate
from evolve.simulate.trace import Trace

CHUNK = 10
"""Seeds handed to a process at a time: some seconds of work, lost when a study is interrupted."""
_stop: Event | None = None
"""In a process of a pool: set when it is to stop."""
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True, slots=True)
class Study:
    """One policy in one world, over seeds."""

    world: str
    """What the world is called."""
    settings: WorldSettings
    policy: AnyPolicy
    plan: Plan

    @property
    def name(self) -> str:
        return f"{self.world}/{self.label}"

    @property
    def label(self) -> str:
        """The policy with the options that are not as usual, as `clade simulate` takes them."""
        options = self.policy.model_dump(exclude_defaults=True, exclude={"name"})
        said = ",".join(f"{name}={'none' if value is None else value}" for name, value in options.items())
        return f"{self.policy.name}:{said}" if said else self.policy.name


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some seeds of a study."""

    study: Study
    seeds: tuple[int, ...]

    def perform(self) -> list[Trace]:
        """All its runs; in a process that is told to stop, those that were made by then."""
        study, traces = self.study, []
        for seed in self.seeds:
            if _stop is not None and _stop.is_set():
                break
            traces.append(simulate(study.settings, study.policy, study.plan, seed))
        return traces


def chunks(wanted: Sequence[tuple[Study, Sequence[int]]]) -> list[Chunk]:
    """The work in the order in which it is to be done: all studies go on side by side, so that what is there after an
    interruption can be compared."""
    cut = [
        [Chunk(study, tuple(seeds[at : at + CHUNK])) for at in range(0, len(seeds), CHUNK)] for study, seeds in wanted
    ]
    longest = max(map(len, cut), default=0)
    return [column[number] for number in range(longest) for column in cut if number < len(column)]


def perform(work: Sequence[Chunk], processes: int, done: Callable[[Chunk, list[Trace]], None]) -> None:
    """Perform the chunks and hand each one's traces to `done`, here, as they come. One process: this one.

    Raises: `ChildProcessError` if a process died.
    """
    if processes <= 1 or len(work) <= 1:
        for chunk in work:
            done(chunk, chunk.perform())
        return
    with _pool(min(processes, len(work))) as (pool, stop):
        try:
            with _deaf():
                flying: dict[Future[list[Trace]], Chunk] = {pool.submit(chunk.perform): chunk for chunk in work}
            for future in as_completed(flying):
                done(flying[future], future.result())
        except BrokenProcessPool:
            raise ChildProcessError(
                "a simulating process was ended from outside, perhaps for want of memory; try fewer with --jobs"
            ) from None
        finally:  # after Ctrl-C nobody waits for more than the runs under way
            stop.set()
            pool.shutdown(cancel_futures=True)


def processors() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0))


@contextmanager
def _pool(processes: int) -> Iterator[tuple[ProcessPoolExecutor, Event]]:
    """Processes, and what tells them to stop. Each computes with one thread: more would fight for the processors."""
    before = {name: os.environ.get(name) for name in THREADS}
    os.environ.update(dict.fromkeys(THREADS, "1"))  # read when a process first imports numpy, so set before it starts
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])  # imported once, not once a process
    try:
        stop = context.Event()
        with ProcessPoolExecutor(processes, mp_context=context, initializer=_begin, initargs=(stop,)) as pool:
            yield pool, stop
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def _deaf() -> Iterator[None]:
    """Ctrl-C is heard when this is over. Processes started in it never hear it: the one that leads tells them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _begin(stop: Event) -> None:
    """In a process that simulates."""
    global _stop
    _stop = stop
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Who leads was killed: nobody would take the results, and else this process would wait for work for ever."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
