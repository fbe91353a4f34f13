"""What a run will need, from moves that were measured: totals with an interval, and which cap ends the run. Pure.

Costs of moves have heavy tails (one move of a hundred may cost as much as the rest), so no distribution is assumed: in
each of many draws the past moves are resampled (what is known of them is uncertain) and the moves to come are drawn
from the resample (they differ among themselves). Intervals are the middle 90 % of the draws.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from evolve.settings import Budget, Settings

DRAWS = 2000
MOST_MOVES = 2000
"""Past moves that are looked at: the last ones, if there are more."""
LOW, HIGH = 0.05, 0.95

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Sample:
    """One past move, at the prices of the run to come."""

    usd: float
    tokens: int
    seconds: float
    counts: bool
    """Whether it was what the budget counts: an evaluation that is evidence, an expansion that was not void."""
    born: bool = False


@dataclass(frozen=True, slots=True)
class Used:
    """What the run has used of its budget."""

    evaluations: int = 0
    expansions: int = 0
    agents: int = 1
    usd: float = 0.0
    tokens: int = 0
    hours: float = 0.0


@dataclass(frozen=True, slots=True)
class Range:
    """The middle of the draws, and the interval that holds 90 % of them."""

    middle: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Forecast:
    """What is still to come, were it not for any cap but the evaluations. One number a draw in each array."""

    evaluations: int
    expansions: Floats
    usd: Floats
    tokens: Floats
    hours: Floats


@dataclass(frozen=True, slots=True)
class Ending:
    """Which cap ends the run first."""

    cap: str
    """By its name in the settings; `evaluations` if the budget reaches to their end."""
    probability: float
    evaluations: Range
    """Reached by then, those that are done already included."""


def forecast(
    evaluations: Sequence[Sample],
    expansions: Sequence[Sample],
    settings: Settings,
    used: Used,
    *,
    stand_in: Sequence[Sample] = (),
    seed: int = 0,
) -> Forecast | None:
    """What the rest of a run needs; None without an evaluation to learn from.

    `stand_in` says what an expansion may cost where none was measured.
    """
    if not any(each.counts for each in evaluations):
        return None
    rng = np.random.default_rng(seed)
    remaining = max(0, settings.budget.evaluations - used.evaluations)
    own = _draws(evaluations, np.full(DRAWS, float(remaining)), rng)
    attempts = expansions_to_come(expansions, settings, used, rng)
    costs = expansions if any(each.counts for each in expansions) else stand_in
    whole = own + (_draws(costs, attempts, rng) if costs else 0.0)
    usd, tokens, hours = whole[:, 0], whole[:, 1], whole[:, 2] / 3600 / settings.workers
    if settings.budget.usd_per_hour is not None:
        hours = np.maximum(hours, usd / settings.budget.usd_per_hour)
    return Forecast(remaining, attempts, usd, tokens, hours)


def expansions_to_come(
    past: Sequence[Sample], settings: Settings, used: Used, rng: np.random.Generator
) -> npt.NDArray[np.float64]:
    """How many expansions the policy will ask for, one number a draw.

    A tree policy wants N^alpha agents after N evaluations (see `evolve.policies.widening`), so it takes as many
    attempts as that many births need; the chance of a birth is drawn from its posterior, Beta(1 + born, 1 + not born).
    DGM tries a child for each first stage of evaluations, SICA one for each sample.
    """
    wanted = settings.budget.evaluations
    room = max(0, settings.expansion_budget - used.expansions)
    born = sum(each.born for each in past)
    chance = rng.beta(1 + born, 1 + sum(each.counts for each in past) - born, DRAWS)
    alpha: float | None = getattr(settings.policy, "alpha", None)
    if alpha is None:
        stages: tuple[int, ...] = getattr(settings.policy, "stages", (getattr(settings.policy, "sample", 1),))
        births = max(0, wanted - used.evaluations) // max(1, stages[0])
    else:
        births = max(0, math.floor(max(0, wanted - 1) ** alpha) + 1 - used.agents)
    attempts = births + rng.negative_binomial(births, chance) if births else np.zeros(DRAWS)
    return np.minimum(attempts, room).astype(np.float64)


def endings(found: Forecast, budget: Budget, used: Used) -> tuple[Ending, ...]:
    """The caps that may end the run, the likeliest first."""
    shares: dict[str, Floats] = {"evaluations": np.ones(DRAWS)}
    rests = {
        "usd": (None if budget.usd is None else budget.usd - used.usd, found.usd),
        "tokens": (None if budget.tokens is None else float(budget.tokens - used.tokens), found.tokens),
        "hours": (None if budget.hours is None else budget.hours - used.hours, found.hours),
    }
    for cap, (rest, need) in rests.items():
        if rest is not None:
            # What needs nothing of a cap is not ended by it.
            shares[cap] = np.divide(max(0.0, rest), need, out=np.full(DRAWS, np.inf), where=need > 0)
    names = list(shares)
    table = np.array([shares[name] for name in names])
    first, share = table.argmin(axis=0), table.min(axis=0)
    reached = used.evaluations + np.floor(found.evaluations * share)
    endings = [
        Ending(name, float((first == number).mean()), range_of(reached[first == number]))
        for number, name in enumerate(names)
        if (first == number).any()
    ]
    return tuple(sorted(endings, key=lambda each: -each.probability))


def range_of(draws: Floats) -> Range:
    low, middle, high = np.quantile(draws, (LOW, 0.5, HIGH))
    return Range(float(middle), float(low), float(high))


def _draws(samples: Sequence[Sample], wanted: Floats, rng: np.random.Generator) -> Floats:
    """Dollars, tokens and seconds (columns) of so many moves that count, one row a draw.

    Moves that did not count (house's faults) come along in their share: they cost time and money too.
    """
    samples = samples[-MOST_MOVES:]
    values = np.array([(each.usd, each.tokens, each.seconds) for each in samples], dtype=np.float64)
    counting = np.array([each.counts for each in samples], dtype=np.float64)
    number = len(samples)
    weights = rng.multinomial(number, np.full(number, 1 / number), DRAWS) / number
    share = np.maximum(weights @ counting, 1 / (2 * number))  # a resample may hold none that counts
    moves = np.ceil(wanted / share).astype(np.int64)
    result: Floats = rng.multinomial(moves, weights) @ values
    return result
