"""Posterior draws of means over tasks: of the difference of two agents on the same tasks, or of a rate.

The tasks measured are a sample of the tasks there are. What is known of those is a Dirichlet process posterior: draws
give random weights to the measured tasks and to a few imagined ones (the prior's corners). With verdicts of one attempt
a task this is the conjugate posterior, Dirichlet(n11 + ½, n10 + ½, n01 + ½, n00 + ½) of the four kinds of tasks, or
Beta(1 + s, 1 + f) of one rate; with repeated attempts a task counts once, by its mean, so that repeats are never taken
for tasks. Sources: T. Ferguson, Annals of Statistics 1, 1973; D. Rubin, "The Bayesian bootstrap", ibid. 9, 1981.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

DRAWS = 40_000
"""Their quantiles of 2.5 and 97.5 % are good to about a hundredth of the interval's width."""
PAIR_CORNERS = ((1.0, 1.0), (1.0, 0.0), (0.0, 1.0), (0.0, 0.0))
PAIR_WEIGHT = 0.5
"""Imagined tasks of each kind: Jeffreys' prior of four cells."""
RATE_CORNERS = ((0.0,), (1.0,))
RATE_WEIGHT = 1.0
"""The uniform prior of a rate, as in `archive.Tally`."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Difference:
    """The posterior of a difference of two means over tasks."""

    mean: float
    low: float
    high: float
    """95 % equal-tailed credible interval."""
    p_better: float
    """Probability that the difference is above zero."""


def common(a: Mapping[str, float], b: Mapping[str, float]) -> Floats:
    """Shares of successful attempts, one row a task that both have, one column an agent."""
    return np.array([(a[task], b[task]) for task in sorted(a.keys() & b.keys())], dtype=np.float64).reshape(-1, 2)


def weights(values: Floats, corners: Floats, weight: float, draws: int, seed: int) -> tuple[Floats, Floats]:
    """Distinct rows of `values` and `corners`, and draws of their weights, one row a draw; a row sums to 1."""
    rows, counts = np.unique(np.vstack([values, corners]), axis=0, return_counts=True)
    imagined = (rows[:, None, :] == corners[None, :, :]).all(axis=2).sum(axis=1)
    gammas = np.random.default_rng(seed).standard_gamma(counts - imagined + weight * imagined, (draws, len(rows)))
    return rows, gammas / gammas.sum(axis=1, keepdims=True)


def rates(shares: Floats, *, draws: int = DRAWS, seed: int = 0) -> Floats:
    """Draws of a mean over tasks, from one share a task."""
    rows, drawn = weights(shares.reshape(-1, 1), np.array(RATE_CORNERS), RATE_WEIGHT, draws, seed)
    mean: Floats = drawn @ rows[:, 0]
    return mean


def rate_of(shares: Sequence[float]) -> tuple[float | None, float, float]:
    """The mean of one share a task, None without any, and the 95 % credible interval of the rate."""
    low, high = np.quantile(rates(np.array(shares, dtype=np.float64)), (0.025, 0.975))
    return float(np.mean(shares)) if shares else None, float(low), float(high)


def gains_and_losses(pairs: Floats, *, draws: int = DRAWS, seed: int = 0) -> Floats:
    """Draws of how much of the tasks only the first agent wins and only the second: two columns, one row a draw."""
    rows, drawn = weights(pairs, np.array(PAIR_CORNERS), PAIR_WEIGHT, draws, seed)
    ahead = rows[:, 0] - rows[:, 1]
    both: Floats = drawn @ np.column_stack([np.maximum(ahead, 0), np.maximum(-ahead, 0)])
    return both


def difference(pairs: Floats, *, draws: int = DRAWS, seed: int = 0) -> Difference:
    """How much better the first agent is, from shares on the same tasks (see `common`); without a task, the prior."""
    drawn = gains_and_losses(pairs, draws=draws, seed=seed)
    return described(drawn[:, 0] - drawn[:, 1])


def described(drawn: Floats) -> Difference:
    low, high = np.quantile(drawn, (0.025, 0.975))
    return Difference(float(drawn.mean()), float(low), float(high), float((drawn > 0).mean()))
