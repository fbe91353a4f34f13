"""What one move of the loop costs beside its work, in archives of 100 to 10,000 rows.

    python examples/bench/moves.py [--rows 100,1000,10000] [--moves 60]

A move is chosen by HGM, its decision and row are committed, its job is made, it is performed (at once: nothing is
solved here), its row is closed and the board is told. All of that is the real loop's, on a real archive in a temporary
folder. Shown are medians in milliseconds: the wall's and the processor's, as it is ("now") and as it was while a move
was made from all rows ("walking": the rows are copied after each write and walked for each move), and the ratio of the
processor's two. The two ways take turns, so that both meet the same load, which is printed. The trees are as wide as
HGM lets them grow: rows to the power 0.6.
"""

from __future__ import annotations

import argparse
import itertools
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, insert

from archive import Agent, Archive, Bill, Decision, Evaluation, Expansion, Outcome, schema
from benchmarks import Benchmark, Task, Verdict
from evolve.jobs import ExpansionJob, Job, Record
from evolve.loop import Evolution
from evolve.openings import Known
from evolve.rows import Row
from evolve.settings import Settings
from evolve.supply import Supply
from sandbox import Sandbox

TASKS = tuple(f"task-{number}" for number in range(60))
KINDS = {"evaluation": 0.3, "expansion": 0.99}
"""What is measured, and the exponent of widening with which nothing else is chosen."""
TURNS = 4
"""How often the two ways take turns."""
START = datetime(2026, 1, 1, tzinfo=UTC)


class Tasks(Benchmark):
    """Sixty tasks that nobody grades."""

    name = "tasks"

    def prepare(self, sandbox: Sandbox, progress: Any = None) -> tuple[()]:
        return ()

    def ids(self) -> tuple[str, ...]:
        return TASKS

    def prove(self, id: str, sandbox: Sandbox) -> Any:
        raise NotImplementedError("nothing is proven here")

    def fingerprint(self, id: str) -> str:
        return id

    def tasks(self, split: str) -> tuple[str, ...]:
        return TASKS if split == "search" else ()

    def task(self, id: str) -> Task:
        return Task(id, "search", f"Do {id}.", {})

    def grade(self, id: str, diff: Any, sandbox: Sandbox) -> Verdict:
        raise NotImplementedError("nothing is graded here")


class AtOnce(Executor):
    """Performs a job where it is submitted."""

    def submit(self, work: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result(work(*args, **kwargs))
        return future


def perform(job: Job) -> Record:
    if isinstance(job, ExpansionJob):
        child = {"__main__.py": str(job.seed).encode()}
        return Record(Outcome.BORN, "lives", 0.1, issue="Be better.", child=child, shape=f"child of {job.seed}")
    return Record(Outcome.RESOLVED if job.seed % 2 else Outcome.UNRESOLVED, "drawn", 0.1)


@dataclass(frozen=True)
class AllRows:
    """What moves were made from: all rows, whichever agent is asked about."""

    archive: Archive

    def evaluations_of(self, agent: int) -> tuple[Evaluation, ...]:
        return self.archive.history().evaluations

    def shapes(self) -> frozenset[str]:
        return frozenset(agent.shape for agent in self.archive.history().agents)


class Walking(Evolution):
    """The loop as it was."""

    def known(self) -> Known:
        return AllRows(self.archive)

    def _twin(self, record: Record) -> int | None:
        return next((agent.id for agent in self.archive.history().agents if agent.shape == record.shape), None)


class Watch:
    """Takes the time from one closed row to the next, and asks the loop to stop."""

    def __init__(self, moves: int) -> None:
        self.moves = moves
        self.evolution: Evolution | None = None
        self.times: list[tuple[float, float]] = []

    def closed(self, row: Row) -> None:
        self.times.append((time.perf_counter(), time.process_time()))
        if len(self.times) > self.moves and self.evolution is not None:
            self.evolution.stop()

    def opened(self, row: Row) -> None: ...

    def tick(self, view: object) -> None: ...

    def say(self, text: str) -> None: ...

    def paused(self, outages: object) -> None: ...

    def taken(self) -> list[tuple[float, float]]:
        """Of each move but the first, milliseconds of the wall and of the processor."""
        return [(1e3 * (b[0] - a[0]), 1e3 * (b[1] - a[1])) for a, b in itertools.pairwise(self.times)]


def moves_of(rows: int, seed: Agent) -> Iterator[Agent | Decision | Row]:
    """An archive's rows after the seed's."""
    agents = round(rows**0.6)
    moments = (START + timedelta(seconds=number) for number in itertools.count())
    for id in range(1, agents):
        parent, when = id // 2, next(moments)
        yield replace(seed, id=id, parent=parent, shape=f"shape {id}", born=when)
        yield Decision(id, "hgm", "expand", parent, None, "{}", when)
        yield Expansion(id, id, parent, "task:task-0", 1, when, Outcome.BORN, child=id, closed=next(moments))
    pairs = itertools.product(TASKS, range(agents))  # so that every agent has results, and tasks left
    for id, (task, agent) in enumerate(itertools.islice(pairs, rows - agents), start=1):
        number, when = agents + id, next(moments)
        outcome = Outcome.RESOLVED if (id + agent) % 3 == 0 else Outcome.UNRESOLVED
        yield Decision(number, "hgm", "evaluate", agent, task, "{}", when)
        yield Evaluation(id, number, agent, "tasks", "search", task, 0, 1, when, outcome, "", next(moments))


def planted(folder: Path, rows: int) -> Path:
    """A run folder with an archive of so many rows, all agents with the seed's code."""
    tables = {  # in this order: rows refer to those of the tables before
        Agent: schema.agents,
        Decision: schema.decisions,
        Expansion: schema.expansions,
        Evaluation: schema.evaluations,
    }
    with Archive.create(folder) as archive:
        seed = archive.add_seed({"__main__.py": b"seed"}, "shape 0")
    planned = list(moves_of(rows, seed))
    engine = create_engine(f"sqlite:///{folder / 'archive.db'}")
    with engine.begin() as connection:
        for kind, table in tables.items():
            connection.execute(insert(table), [schema.values_of(row) for row in planned if type(row) is kind])
    engine.dispose()
    return folder


def session(loop: type[Evolution], folder: Path, alpha: float, moves: int) -> list[tuple[float, float]]:
    """What each of so many moves took, all of one kind."""
    settings = Settings.model_validate(
        {
            "workers": 1,
            "policy": {"name": "hgm", "alpha": alpha},
            "budget": {"evaluations": 10**6, "expansions": 10**6},
        }
    )
    watch = Watch(moves)
    with Archive.open(folder, write=True) as archive:
        supply = Supply(Bill)
        watch.evolution = loop(archive, settings, Tasks(), AtOnce(), perform, supply, watch)
        watch.evolution.run()
    return watch.taken()


def measure(kind: str, first: Path, moves: int) -> str:
    """Of the two ways in turns, each on a copy of the run folder: the figures of a line."""
    ways: dict[str, type[Evolution]] = {"now": Evolution, "walking": Walking}
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    folders = {name: Path(shutil.copytree(first, first.with_name(f"{kind} {name}"))) for name in ways}
    for _ in range(TURNS):
        for name, loop in ways.items():
            found[name] += session(loop, folders[name], KINDS[kind], max(1, moves // TURNS))
    wall = {name: statistics.median(wall for wall, _ in taken) for name, taken in found.items()}
    cpu = {name: statistics.median(cpu for _, cpu in taken) for name, taken in found.items()}
    figures = f"{wall['now']:9.2f} {wall['walking']:9.2f} {cpu['now']:9.2f} {cpu['walking']:9.2f}"
    return f"{figures} {cpu['walking'] / cpu['now']:7.2f} {os.getloadavg()[0]:6.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=lambda text: [int(part) for part in text.split(",")], default=[100, 1000, 10000])
    parser.add_argument("--moves", type=int, default=60, help="of each kind, way and size")
    asked = parser.parse_args()
    print(f"{'':19} {'wall ms':>9} {'':9} {'CPU ms':>9}")
    print(f"{'move':11} {'rows':>7} {'now':>9} {'walking':>9} {'now':>9} {'walking':>9} {'ratio':>7} {'load':>6}")
    for rows in asked.rows:
        with tempfile.TemporaryDirectory() as place:
            first = planted(Path(place) / "first", rows)
            for kind in KINDS:
                print(f"{kind:11} {rows:7,} {measure(kind, first, asked.moves)}", flush=True)


if __name__ == "__main__":
    main()
