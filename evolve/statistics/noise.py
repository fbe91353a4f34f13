"""A/A: one agent measured again on the same tasks, and what that says of the differences that chance alone makes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from evolve.statistics import pairedbayes, power


@dataclass(frozen=True, slots=True)
class Noise:
    """How often two verdicts of the same agent on the same task differ."""

    tasks: int
    """Measured at least twice."""
    verdicts: int
    """On those tasks, all together."""
    base: float
    """Mean over tasks of the share of verdicts that passed."""
    flips: float
    """Mean over tasks of the share of pairs of verdicts that differ."""
    low: float
    high: float
    """95 % credible interval of the flip rate."""
    deviation: float
    """Standard deviation of the difference of two equal agents measured once on so many tasks: √(flips / tasks)."""
    smallest: float | None
    """The difference that the exact McNemar test finds on so many tasks with 80 % power; None: not even the largest."""


def noise(verdicts: Mapping[str, Sequence[bool]]) -> Noise | None:
    """From verdicts by task; tasks with fewer than two say nothing. None if there is no other."""
    repeated = [passes for passes in verdicts.values() if len(passes) > 1]
    if not repeated:
        return None
    shares = np.array([flipped(passes) for passes in repeated])
    low, high = np.quantile(pairedbayes.rates(shares), (0.025, 0.975))
    flips, tasks = float(shares.mean()), len(repeated)
    base = float(np.mean([sum(passes) / len(passes) for passes in repeated]))
    return Noise(
        tasks=tasks,
        verdicts=sum(map(len, repeated)),
        base=base,
        flips=flips,
        low=float(low),
        high=float(high),
        deviation=float(np.sqrt(flips / tasks)),
        smallest=power.smallest(tasks, base, flips),
    )


def flipped(passes: Sequence[bool]) -> float:
    """The share of pairs of verdicts that differ: for coins of chance p, 2p(1 - p) on average, whatever the number."""
    n, passed = len(passes), sum(passes)
    return 2 * passed * (n - passed) / (n * (n - 1))


def halves(verdicts: Mapping[str, Sequence[bool]]) -> tuple[dict[str, float], dict[str, float]]:
    """First and second verdicts by task, as if they were of two agents."""
    twice = {task: passes for task, passes in verdicts.items() if len(passes) > 1}
    return (
        {task: float(passes[0]) for task, passes in twice.items()},
        {task: float(passes[1]) for task, passes in twice.items()},
    )
