"""McNemar's test of two agents on the same tasks: exact, from the tasks that only one of them solves."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import special

Ints = npt.NDArray[np.int64]


def exact(only_a: int, only_b: int) -> float:
    """Two-sided probability of a split at least this uneven where either way is equally likely.

    It is the sign test on the discordant tasks, conditional on how many there are (Q. McNemar, Psychometrika 12, 1947),
    so its false positives are at most the level, and often well under it.
    """
    return float(min(1.0, 2 * special.bdtr(min(only_a, only_b), only_a + only_b, 0.5)))


def mid_p(only_a: int, only_b: int) -> float:
    """The same with half the probability of the split itself: less conservative, its level kept on average only.

    Source: M. Fagerland, S. Lydersen, P. Laake, BMC Medical Research Methodology 13:91, 2013.
    """
    least, of = min(only_a, only_b), only_a + only_b
    below = float(special.bdtr(least - 1, of, 0.5)) if least else 0.0
    return min(1.0, float(special.bdtr(least, of, 0.5)) + below)


def critical(discordant: Ints, level: float) -> Ints:
    """For each number of discordant tasks, the most of them that the worse agent may win if `exact` is to be ≤ level.

    -1 where no split is uneven enough.
    """
    half = level / 2
    # The normal guess is off by one at most; its neighbours are tried with the exact probability.
    guess = np.floor((discordant + special.ndtri(half) * np.sqrt(discordant) - 1) / 2).astype(np.int64)
    found = np.full(discordant.shape, -1, dtype=np.int64)
    for shift in (-2, -1, 0, 1, 2):
        wins = np.minimum(guess + shift, discordant)
        fits = (wins >= 0) & (special.bdtr(np.maximum(wins, 0).astype(float), discordant, 0.5) <= half)
        found = np.where(fits, np.maximum(found, wins), found)
    return found
