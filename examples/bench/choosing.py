"""What a policy's choice and an update of its statistics cost, on trees of 100 to 100,000 agents.

    python examples/bench/choosing.py [--agents 100,1000,10000,100000] [--shape chain,star,random] [--policy hgm,dgm]
                                      [--repeats 200] [--rate 0.5]

Every tree has 10 results an agent on 60 tasks, told to a board event by event. Shown are medians and 95 % quantiles, in
milliseconds: of the choice of a parent (the tree may widen) and of an agent and task to measure (it may not), of the
best agent, of the update by one result or one birth with the view after it, and of the plain recomputation from all
rows, which is what all of this replaces (up to 1,000 agents). The shape "turns", two chains whose births take turns, is
the update's worst case. "peer" is what the peers' released code takes for the same on a random tree of that size. One
core. The machine's load is printed, since it is in the wall's times; beside them stands the processor's median.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import numpy as np

from archive import Agent, Bill, Evaluation, Expansion, History, Outcome
from evolve.board import Board
from evolve.events import Measured, Opened, Tried
from evolve.policies import Evaluate, Expand, View
from evolve.settings import POLICIES, Settings
from evolve.state import view_of

TASKS = tuple(f"task-{number}" for number in range(60))
RESULTS = 10
"""An agent's, on its first tasks."""
LARGEST_PLAIN = 1_000
PEERS = {("hgm", "measure", 10_000): 82.0, ("hgm", "expand", 10_000): 250.0, ("dgm", "expand", 10_000): 622.0}
"""Milliseconds in the peers' released code on random trees, measured for issue 5 on a machine of this kind."""


def parents_of(shape: str, n: int) -> list[int]:
    """The parent of every agent but the seed, in the order of birth."""
    rng = np.random.default_rng(n)
    how: dict[str, Callable[[int], int]] = {
        "chain": lambda child: child - 1,
        "star": lambda child: 0,
        "random": lambda child: int(rng.integers(child)),
        "turns": lambda child: max(0, child - 2),
    }
    return [how[shape](child) for child in range(1, n)]


def results_of(n: int, rate: float) -> Iterator[tuple[int, int, bool]]:
    """Agent, task, and whether it was solved."""
    solved = np.random.default_rng(n + 1).random((n, RESULTS)) < rate
    return ((agent, task, bool(solved[agent, task])) for agent in range(n) for task in range(RESULTS))


def settings_of(policy: str, n: int) -> Settings:
    """Of a run that is half way through."""
    return Settings.model_validate(
        {"policy": {"name": policy}, "budget": {"evaluations": 2 * RESULTS * n, "expansions": 4 * n}}
    )


def grown(settings: Settings, parents: list[int], rate: float) -> Board:
    """A board with such a tree."""
    budgets = {"budget": settings.budget.evaluations, "expansion_budget": settings.expansion_budget}
    board = Board(TASKS, settings.policy, **budgets)
    number = 0
    for child, parent in enumerate(parents, start=1):
        board.seen(Opened(Expand(parent), number := number + 1))
        board.seen(Tried(parent, child, 900.0, 1.0))
    for agent, task, solved in results_of(len(parents) + 1, rate):
        board.seen(Opened(Evaluate(agent, task), number := number + 1))
        board.seen(Measured(agent, task, solved, 100.0, 0.1))
    return board


def rows_of(parents: list[int], rate: float) -> History:
    """The rows of an archive with such a tree."""
    start = datetime(2026, 1, 1, tzinfo=UTC)

    def at(number: int) -> datetime:
        return start + timedelta(seconds=number)

    agents = [Agent(id, parent, "", "", "", at(id)) for id, parent in enumerate([None, *parents])]
    expansions = [
        Expansion(
            id, id, parent, "", 0, at(id), Outcome.BORN, child=id, closed=at(id), seconds=900.0, bill=Bill(usd=1.0)
        )
        for id, parent in enumerate(parents, start=1)
    ]
    evaluations = []
    for id, (agent, task, solved) in enumerate(results_of(len(agents), rate), start=1):
        outcome, when = (Outcome.RESOLVED if solved else Outcome.UNRESOLVED), at(len(agents) + id)
        row = Evaluation(id, len(agents) + id, agent, "", "search", TASKS[task], 0, 0, when, outcome, closed=when)
        evaluations.append(replace(row, seconds=100.0, bill=Bill(usd=0.1)))
    return History(tuple(agents), tuple(expansions), tuple(evaluations))


def widening(view: View) -> View:
    """The same tree after so many evaluations that it may widen, and nothing else is due."""
    enough = view.agents**2
    return replace(view, evaluations=enough, budget=2 * enough, left=np.zeros_like(view.left))


class Times(NamedTuple):
    """In milliseconds."""

    median: float
    high: float
    """The 95 % quantile."""
    cpu: float
    """Median of the processor's time: what is left of the wall's when others use the machine as well."""


def timed(work: Callable[[int], object], repeats: int) -> Times:
    wall, cpu = [], []
    for number in range(-2, repeats):
        began, worked = time.perf_counter(), time.process_time()
        work(number)
        cpu.append(time.process_time() - worked)
        wall.append(time.perf_counter() - began)
    wall, cpu = sorted(wall[2:]), cpu[2:]
    high = wall[min(len(wall) - 1, int(0.95 * len(wall)))]
    return Times(1e3 * statistics.median(wall), 1e3 * high, 1e3 * statistics.median(cpu))


def updates(board: Board, repeats: int) -> dict[str, Times]:
    """One result, and one birth, of agents at random places; each with the view after it."""
    rng = np.random.default_rng(7)
    agents = rng.permutation(board.view().agents).tolist()
    number = board.next_decision + 10**9

    def result(turn: int) -> View:
        board.seen(Measured(agents[turn % len(agents)], RESULTS + turn // len(agents) % 50, True, 100.0, 0.1))
        return board.view()

    def birth(turn: int) -> View:
        board.seen(Tried(agents[turn % len(agents)], board.view().agents, 900.0, 1.0))
        return board.view()

    for turn in range(-2, repeats):
        agent, task = agents[turn % len(agents)], RESULTS + turn // len(agents) % 50
        board.seen(Opened(Evaluate(agent, task), number + turn))
        board.seen(Opened(Expand(agent), number - turn - 10))
    return {"result": timed(result, repeats), "birth": timed(birth, repeats)}


def measure(name: str, shape: str, n: int, rate: float, repeats: int) -> None:
    """All figures of one policy on one tree, a line each."""
    settings, parents = settings_of(name, n), parents_of(shape, n)
    board, policy = grown(settings, parents, rate), settings.policy
    view = board.view()
    wide = widening(view)
    generators = [np.random.default_rng(seed) for seed in range(repeats + 2)]
    found = {
        "expand": timed(lambda turn: policy.choose(wide, generators[turn]), repeats),
        "measure": timed(lambda turn: policy.choose(view, generators[turn]), repeats),
        "best": timed(lambda turn: policy.best(view), max(3, repeats // 10)),
        **updates(board, repeats),
    }
    if n <= LARGEST_PLAIN:
        rows = rows_of(parents, rate)
        found["plain view"] = timed(lambda turn: view_of(rows, TASKS, settings), 3)
    for what, times in found.items():
        peer = PEERS.get((name, what, n)) if shape == "random" else None
        shown = "" if peer is None else f"{peer:9.0f}"
        load = os.getloadavg()[0]
        figures = f"{times.median:10.3f} {times.high:10.3f} {times.cpu:10.3f}"
        print(f"{name:14} {shape:7} {n:7,} {what:10} {figures} {load:6.1f} {shown}", flush=True)


def listed(text: str) -> list[str]:
    return text.split(",")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--agents", type=listed, default="100,1000,10000,100000")
    parser.add_argument("--shape", type=listed, default="chain,star,random")
    parser.add_argument("--policy", type=listed, default=",".join(POLICIES), help="default: all")
    parser.add_argument("--repeats", type=int, default=200)
    parser.add_argument("--rate", type=float, default=0.5, help="share of the results that are successes")
    asked = parser.parse_args()
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    heads = f"{'policy':14} {'shape':7} {'agents':>7} {'what':10}"
    print(f"{heads} {'median ms':>10} {'95 % ms':>10} {'CPU ms':>10} {'load':>6} {'peer ms':>9}")
    for name in asked.policy:
        for shape in asked.shape:
            for agents in asked.agents:
                measure(name, shape, int(agents), asked.rate, asked.repeats)


if __name__ == "__main__":
    main()
