"""What a number of tasks can show: the power of the exact McNemar test, by exact sums and no normal formula.

Two agents measured once on each of n tasks differ on some of them by chance (a repeated measurement of the same agent
flips too) and on some because one is better. A difference d at a flip rate f is taken to be: f/2 + d of the tasks
solved by the better agent only, f/2 by the other only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import special

from evolve.statistics.mcnemar import critical
from evolve.statistics.pairedbayes import Floats, gains_and_losses

LEVEL = 0.05
POWER = 0.8
MOST_TASKS = 10**6
"""Beyond so many, a number of tasks says no more than "never"."""
WIDE = 7.0
"""Standard deviations of the number of discordant tasks that are summed over; what is left out is under 1e-11."""
CURVE = (0.01, 0.02, 0.03, 0.05, 0.07, 0.10, 0.15, 0.20, 0.30)
"""Differences that a plan gives the power for."""


@dataclass(frozen=True, slots=True)
class Needed:
    """How many tasks would decide between two agents with the wanted power; None: not within `MOST_TASKS`."""

    tasks: int | None
    """At the posterior means of what is solved by one of them only."""
    low: int | None
    high: int | None
    """At the posterior draws that need more tasks than 10 % and 90 % of the others."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What measuring two agents on so many tasks can show."""

    base: float
    """Success rate of the agent to compare with."""
    flips: float
    """How often two verdicts of one agent on one task differ."""
    tasks: int
    comparisons: int
    level: float
    """Two-sided, after Bonferroni's division by the comparisons."""
    power: float
    deviation: float
    """Standard deviation of the difference of two equal agents, √(flips / tasks)."""
    smallest: float | None
    """The smallest difference that is found with that power; None: not even the largest there can be."""
    wanted: float | None
    needed: int | None
    """Tasks for the wanted difference; None: not within `MOST_TASKS`, or none is wanted."""
    curve: tuple[tuple[float, float], ...]
    """Differences with the probability that each is found."""


def power_of(tasks: int, gain: float, loss: float, level: float = LEVEL) -> float:
    """Probability that the exact test decides, if one agent alone solves a share `gain` of all tasks, the other `loss`.

    Raises: `ValueError` if the shares are no probabilities.
    """
    if gain < 0 or loss < 0 or gain + loss > 1 + 1e-9:
        raise ValueError(f"{gain:g} and {loss:g} are not two shares of the same tasks")
    either = min(1.0, gain + loss)
    if not either:
        return 0.0
    spread = WIDE * np.sqrt(tasks * either * (1 - either)) + WIDE
    first, last = max(0, int(tasks * either - spread)), min(tasks, int(tasks * either + spread) + 1)
    discordant = np.arange(first, last + 1, dtype=np.int64)
    chance = _binomial(tasks, discordant, either)
    wins = critical(discordant, level)
    decided = wins >= 0
    of, most = discordant[decided].astype(float), wins[decided].astype(float)
    share = gain / either
    tails = special.betainc(of - most, most + 1, 1 - share) + special.betainc(of - most, most + 1, share)
    return float(min(1.0, (chance[decided] * tails).sum()))


def tasks_needed(gain: float, loss: float, *, power: float = POWER, level: float = LEVEL) -> int | None:
    """The tasks from which the exact test decides with that power; None beyond `MOST_TASKS`.

    The power of an exact test has small steps downwards, so a few tasks more or less may do as well.
    """
    if gain == loss:
        return None
    enough = 1
    while power_of(enough, gain, loss, level) < power:
        enough *= 2
        if enough > 2 * MOST_TASKS:
            return None
    few = enough // 2
    while enough - few > 1:
        middle = (few + enough) // 2
        few, enough = (few, middle) if power_of(middle, gain, loss, level) >= power else (middle, enough)
    return enough if enough <= MOST_TASKS else None


def to_decide(pairs: Floats, *, power: float = POWER, level: float = LEVEL, seed: int = 0) -> Needed:
    """How many tasks like these would decide, from shares of success on common tasks (`pairedbayes.common`)."""
    drawn = gains_and_losses(pairs, seed=seed)
    gain, loss = (float(mean) for mean in drawn.mean(axis=0))
    # Tasks needed grow with discordance and fall with the square of the difference: that ranks the draws.
    ranked = np.argsort(drawn.sum(axis=1) / np.maximum((drawn[:, 0] - drawn[:, 1]) ** 2, 1e-300))
    low, high = (drawn[ranked[int(share * (len(drawn) - 1))]] for share in (0.1, 0.9))
    middle, fewest, most = (
        tasks_needed(float(ahead), float(behind), power=power, level=level)
        for ahead, behind in ((gain, loss), low, high)
    )
    return Needed(middle, fewest, most)


def smallest(tasks: int, base: float, flips: float, *, power: float = POWER, level: float = LEVEL) -> float | None:
    """The smallest difference that so many tasks show with that power, to within 1e-4; None if none does."""
    none, most = 0.0, room(base, flips)
    if most <= 0 or found(tasks, most, flips, level) < power:
        return None
    while most - none > 1e-4:
        middle = (none + most) / 2
        none, most = (none, middle) if found(tasks, middle, flips, level) >= power else (middle, most)
    return most


def found(tasks: int, difference: float, flips: float, level: float = LEVEL) -> float:
    """Probability that a difference is found among flips (the module says how both make discordant tasks)."""
    return power_of(tasks, flips / 2 + difference, flips / 2, level)


def room(base: float, flips: float) -> float:
    """The largest difference there can be: a better agent gains tasks that the other fails, and flips need both."""
    return min(1 - base - flips / 2, 1 - flips)


def most_flips(base: float) -> float:
    """The flip rate if every task were a coin of the same chance: no set of tasks with this base can flip more."""
    return 2 * base * (1 - base)


def plan(
    base: float,
    flips: float,
    tasks: int,
    *,
    comparisons: int = 1,
    wanted: float | None = None,
    power: float = POWER,
    level: float = LEVEL,
) -> Plan:
    """What so many tasks can show, each of `comparisons` with the same reference tested at level / comparisons.

    Raises: `ValueError` for rates that cannot be.
    """
    if not 0 <= base <= 1 or not 0 <= flips <= most_flips(base) + 1e-9:
        raise ValueError(
            f"a base of {base:g} with a flip rate of {flips:g} cannot be: it flips {most_flips(base):g} at most"
        )
    if wanted is not None and not 0 < wanted <= room(base, flips):
        raise ValueError(f"over a base of {base:g} the difference can be {max(0.0, room(base, flips)):.2f} at most")
    each = level / comparisons
    return Plan(
        base=base,
        flips=flips,
        tasks=tasks,
        comparisons=comparisons,
        level=each,
        power=power,
        deviation=float(np.sqrt(flips / tasks)),
        smallest=smallest(tasks, base, flips, power=power, level=each),
        wanted=wanted,
        needed=None if wanted is None else tasks_needed(flips / 2 + wanted, flips / 2, power=power, level=each),
        curve=tuple((size, found(tasks, size, flips, each)) for size in CURVE if size <= room(base, flips)),
    )


def _binomial(n: int, k: np.ndarray, p: float) -> Floats:
    """Probabilities of k successes in n trials."""
    logs = special.gammaln(n + 1) - special.gammaln(k + 1) - special.gammaln(n - k + 1)
    chance: Floats = np.exp(logs + special.xlogy(k, p) + special.xlog1py(n - k, -p))
    return chance
