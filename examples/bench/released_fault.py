"""What the fault of HGM's released code costs (docs/peers.md, T1), by the policy `hgm-released` with and without it.

    python examples/bench/released_fault.py [--seeds 40] [--evaluations 800] [--rate 0.45] [--workers 1]

The world is the one in which the fault was found: an agent solves every task with the same chance, its own; a child's
is its parent's and N(0, 0.07) more; every attempt bears a child; 60 tasks. At the end the agent with the highest 5 %
bound of its results is taken, by the results as stored and by the real ones. Each seed is one world for both policies:
the k-th child is as much better or worse than its parent, and its verdicts come from the same uniform numbers.
"""

from __future__ import annotations

import argparse
import heapq
from typing import NamedTuple

import numpy as np

from archive import ranking
from evolve.board import Board
from evolve.events import Measured, Opened, Tried
from evolve.moves import Evaluate, Move
from evolve.policies import HGMReleased
from evolve.policies.base import Floats, Ints
from evolve.policies.hgm_released import Stored

TASKS = 60
STEP = 0.07
MOST_AGENTS = 400
BOUND = 0.05


class Outcome(NamedTuple):
    """How one run ended."""

    by_stored: float
    """True rate of the agent that the stored results choose."""
    by_real: float
    """Of the one that the real results choose."""
    best: float
    """Of the best agent of the tree."""
    stored: float
    """Results stored, of all agents together."""
    error: float
    """Mean difference of stored and real success rates of agents with children."""


def play(policy: HGMReleased, seed: int, rate: float, evaluations: int, workers: int) -> Outcome:
    """One run; moves under way end in random order."""
    luck = np.random.default_rng([seed, 0])
    steps, verdicts = luck.normal(0, STEP, MOST_AGENTS), luck.random((MOST_AGENTS, TASKS))
    rng = np.random.default_rng([seed, 1])
    tasks = [f"task-{number}" for number in range(TASKS)]
    board = Board(tasks, policy, budget=evaluations, expansion_budget=MOST_AGENTS - 1)
    rates, number, now = [rate], 0, 0.0
    flying: list[tuple[float, int, Move]] = []
    while True:
        while len(flying) < workers and (move := policy.choose(board.view(), rng)) is not None:
            board.seen(Opened(move, number))
            heapq.heappush(flying, (now + rng.exponential(), number, move))
            number += 1
        if not flying:
            return ending(board, np.array(rates))
        now, _, move = heapq.heappop(flying)
        if isinstance(move, Evaluate):
            passed = bool(verdicts[move.agent, move.task] < rates[move.agent])
            board.seen(Measured(move.agent, move.task, passed, 1.0, 0.0))
        else:
            rates.append(float(np.clip(rates[move.agent] + steps[len(rates)], 0, 1)))
            board.seen(Tried(move.agent, len(rates) - 1, 1.0, 0.0))


def ending(board: Board, rates: Floats) -> Outcome:
    view = board.view()
    real = view.passed, view.failed
    stored = view.fold.results() if isinstance(view.fold, Stored) else real
    mothers = (view.children > 0) & (real[0] + real[1] > 0)
    error = np.abs(share(*stored) - share(*real))[mothers].mean()
    chosen, judged = (float(rates[ranking(*results, BOUND, 1)[0]]) for results in (stored, real))
    return Outcome(chosen, judged, float(rates.max()), float(sum(map(np.sum, stored))), float(error))


def share(passed: Ints, failed: Ints) -> Floats:
    shares: Floats = passed / np.maximum(1, passed + failed)
    return shares


def told(values: Floats) -> str:
    """Mean ± standard error."""
    return f"{values.mean():.3f} ± {values.std(ddof=1) / len(values) ** 0.5:.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=40)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--evaluations", type=int, default=800, help="those of the first agent among them")
    parser.add_argument("--rate", type=float, default=0.45, help="of the first agent")
    parser.add_argument("--workers", type=int, default=1)
    given = parser.parse_args()
    runs = {
        mended: np.array(
            [
                play(HGMReleased(mended=mended), given.first + seed, given.rate, given.evaluations, given.workers)
                for seed in range(given.seeds)
            ]
        )
        for mended in (False, True)
    }
    print(f"{given.seeds} seeds, {given.evaluations} evaluations, first agent {given.rate:g}, {given.workers} workers")
    for mended, title in ((False, "as released"), (True, "mended")):
        by_stored, by_real, best, stored, error = runs[mended].T
        print(f"{title:12} chosen by stored results {told(by_stored)}, by real ones {told(by_real)}; best {told(best)}")
        print(f"{'':12} {stored.mean():,.0f} results stored; rates of agents with children off by {error.mean():.3f}")
    for column, title in ((0, "stored"), (1, "real")):
        print(f"the fault costs, by {title} results: {told(runs[True][:, 1] - runs[False][:, column])}")


if __name__ == "__main__":
    main()
