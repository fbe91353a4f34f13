"""How long evaluations and expansions take: quantiles of real timings, drawn from with the verdict they belong to.

Source of the tables: the Darwin Gödel Machine's published container logs of its seed agent (github.com/jennyzzt/dgm,
60 tasks of SWE-bench Verified and 225 of Polyglot), read as seconds of set-up, of the agent, and after it. They are
heavy-tailed, and solved tasks are over sooner than unsolved ones, so who judges by what has come in first is flattered.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import special

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Benchmark = Literal["swe", "polyglot"]
Setup = Literal["peers", "ours"]

LEVELS = np.array([0, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 1])
"""Of the quantiles below."""
FAILED_FROM = 2.0
"""Where the levels of failures begin when both tables are one: a single look-up serves all tasks."""
TASKS_SHARE = 0.35
"""Correlation of two agents' (log) times on one task, given their verdicts. A prior: the data has one agent."""
_TASKS_WEIGHT, _FRESH_WEIGHT = TASKS_SHARE**0.5, (1 - TASKS_SHARE) ** 0.5
_BOTH_LEVELS = np.concatenate((LEVELS, FAILED_FROM + LEVELS))
OUR_SETUP_SECONDS = 1.8
"""Of an evaluation in Clade's own Docker boxes (docs/measurements.md, "Overhead of an evaluation")."""
EXPANSION_MEDIAN_SECONDS = 900.0
EXPANSION_LOG_SD = 0.6
EXPANSION_MOST_SECONDS = 3600.0
"""An expansion's time is log-normal and cut. A prior: no timings of expansions are published."""


@dataclass(frozen=True, slots=True, eq=False)
class Timings:
    """One benchmark's quantiles, in seconds."""

    solved: Floats
    """Of the agent, where the task was solved."""
    failed: Floats
    """Of the agent, where it was not: unsolved, and nothing submitted."""
    setup: Floats
    """Before and after the agent together."""
    mean: float
    """Of the agent, over all tasks."""
    expansion: Floats | None = None
    """Of attempts to write a child; None: log-normal and cut, as below."""
    both: Floats = field(init=False)
    """Logarithms of `solved`, then of `failed`."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "both", np.log(np.concatenate((self.solved, self.failed))))


TIMINGS: dict[Benchmark, Timings] = {
    "swe": Timings(  # 12 solved, 48 not
        solved=np.array([48.4, 55.6, 62.8, 77.1, 96.7, 176.1, 383.6, 730.4, 1482.4]),
        failed=np.array([62.6, 95.5, 101.2, 119.4, 289.0, 504.8, 2331.1, 2755.9, 4603.1]),
        setup=np.array([39.0, 39.6, 39.9, 41.1, 41.8, 43.4, 45.8, 46.3, 52.1]),
        mean=587.9,
    ),
    "polyglot": Timings(  # 32 solved, 193 not
        solved=np.array([24.4, 27.4, 30.1, 39.1, 47.0, 62.2, 75.9, 129.8, 275.0]),
        failed=np.array([22.7, 29.2, 34.5, 40.1, 52.8, 70.4, 99.7, 148.2, 449.4]),
        setup=np.array([156.7, 192.7, 229.0, 265.9, 293.1, 347.3, 406.9, 415.2, 431.4]),
        mean=66.8,
    ),
}


def agent_seconds(timings: Timings, passed: Bools, of_tasks: Floats, fresh: Floats) -> Floats:
    """Seconds of an agent on each task, its verdicts being known.

    `of_tasks`, standard normal scores of the tasks' own slowness, and `fresh`, such scores of this time alone, make a
    score whose quantile is looked up in the verdict's table, on a logarithmic scale between its points.
    """
    share = special.ndtr(_TASKS_WEIGHT * of_tasks + _FRESH_WEIGHT * fresh)
    seconds: Floats = np.exp(np.interp(share + ~passed * FAILED_FROM, _BOTH_LEVELS, timings.both))
    return seconds


def setup_seconds(timings: Timings, setup: Setup, share: Floats) -> Floats:
    """Seconds of set-up and afterwards at these quantiles: the peers' containers or our boxes."""
    return np.full(len(share), OUR_SETUP_SECONDS) if setup == "ours" else np.interp(share, LEVELS, timings.setup)


def expansion_seconds(score: float, quantiles: Floats | None = None) -> float:
    """Seconds of an attempt to write a child whose slowness is this standard normal score."""
    if quantiles is not None:
        return float(np.exp(np.interp(special.ndtr(score), LEVELS, np.log(quantiles))))
    return min(EXPANSION_MEDIAN_SECONDS * math.exp(EXPANSION_LOG_SD * score), EXPANSION_MOST_SECONDS)
