"""What a run of so many evaluations can be expected to give, and whether a comparison would show it: by simulation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from evolve.simulate.trace import Trace
from evolve.statistics.power import found, room

SPREAD = (0.1, 0.9)
"""Quantiles over runs: eight runs of ten end between them."""


@dataclass(frozen=True, slots=True)
class Prospect:
    """Over simulated runs: the true gain of the agent chosen at the end, and the chance that it is shown."""

    runs: int
    gain: float
    """Mean of its true skill beyond the first agent's, on tasks that it was not chosen on."""
    low: float
    high: float
    """Of the gain, 10 % and 90 % quantiles over runs."""
    better: float
    """Share of runs that end with an agent that is truly better."""
    tasks: int
    """On so many tasks, both agents once each,…"""
    shown: float
    """…the exact McNemar test finds the better agent with this probability, all runs together."""


def prospect(traces: Sequence[Trace], tasks: int, base: float, flips: float) -> Prospect:
    """From simulated runs (one at least). `tasks`, `base` and `flips`: of the comparison, as in `power.plan`."""
    gains = np.array([trace.skill - trace.seed_skill for trace in traces])
    low, high = np.quantile(gains, SPREAD)
    chances = [_chance(float(gain), tasks, base, flips) for gain in gains]
    return Prospect(
        runs=len(gains),
        gain=float(gains.mean()),
        low=float(low),
        high=float(high),
        better=float((gains > 0).mean()),
        tasks=tasks,
        shown=float(np.mean(chances)),
    )


def _chance(gain: float, tasks: int, base: float, flips: float) -> float:
    """That the test finds a chosen agent which is better by `gain`; nothing is to be found of one that is not."""
    return found(tasks, min(gain, room(base, flips)), flips) if gain > 0 else 0.0
