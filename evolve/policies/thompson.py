"""Thompson sampling over Beta posteriors, exact in law, without a draw for every one of 100,000 agents.

Of c agents with the same tally one draw is enough: the largest of c independent draws has the distribution function
F^c, so it is the quantile of one uniform number to the power of 1/c, and which of them had it is a fair choice. And a
quantile, which is what costs, is only computed where bounds let it be the largest. There are two: Beta(a, b) is
sub-Gaussian with the variance proxy 1 / (4 (a + b + 1)) (Marchal & Arbel, "On the sub-Gaussianity of the Beta and
Dirichlet distributions", 2017), and has a tail of Bernstein's kind with its own variance, without a linear term where
a >= b (Skorski, "Bernstein-type bounds for beta distribution", 2023). Both are solved for the value.
"""

from __future__ import annotations

import numpy as np
from scipy import special

from evolve.policies.base import Floats, Ints

PLAIN = 512
"""Up to so many agents each gets its own draw: there that is faster. It also takes other numbers from the generator."""
SMALL = 256
"""Agents with fewer results than this are grouped by their tallies; with more, few have the same."""
BLOCK = 8192
"""Agents looked at together: so many numbers stay in the processor's cache, where making new arrays costs little."""
PROBES = 16
"""Quantiles computed before the bounds are looked at again; then twice as many, and so on."""
SLACK = 1e-9
"""Allowed for rounding where a quantile is compared with a bound."""


def thompson(passed: Ints, failed: Ints, tau: float, eligible: Ints | None, rng: np.random.Generator) -> int:
    """The index with the largest of independent draws from Beta(τ(1 + passed), τ(1 + failed)), one draw an index.

    Args:
        passed, failed: tallies, by index.
        tau: sharpens (> 1) or blurs (< 1) the posteriors.
        eligible: the indices that take part; None for all. At least one.
    """
    indices = np.arange(len(passed)) if eligible is None else eligible
    many = _among_many if len(indices) > PLAIN else _among_few
    return many(passed, failed, tau, indices, rng)


def _among_few(passed: Ints, failed: Ints, tau: float, indices: Ints, rng: np.random.Generator) -> int:
    if tau < 1:  # gammas of small shapes can be too small for floating point, both of them; betas never are
        return int(indices[rng.beta(*_posteriors(passed[indices], failed[indices], tau)).argmax()])
    shapes = np.array((passed[indices], failed[indices]), dtype=np.float64)
    shapes += 1
    shapes *= tau
    won, lost = rng.standard_gamma(shapes)  # won / (won + lost) is the beta, and has the order of won / lost
    won /= lost
    return int(indices[won.argmax()])


def _among_many(passed: Ints, failed: Ints, tau: float, indices: Ints, rng: np.random.Generator) -> int:
    blocks = [indices[start : start + BLOCK] for start in range(0, len(indices), BLOCK)]
    counts, large = np.zeros(1, dtype=np.int64), []
    for block in blocks:
        wins, losses = passed[block], failed[block]
        small = wins + losses < SMALL
        if few := np.count_nonzero(small):
            tally = SMALL * wins + losses
            counts = _sum(counts, np.bincount(tally if few == len(block) else tally[small]))
        if few < len(block):
            large.append(block[~small] if few else block)
    distinct = np.flatnonzero(counts > 0)
    wins, losses = distinct // SMALL, distinct % SMALL
    # U^(1/c) is e^(-E/c), and its complement the chance to exceed the largest of c.
    draws = np.maximum(rng.standard_exponential(len(distinct)), np.finfo(float).tiny)
    surprise = -np.log(-np.expm1(-draws / counts[distinct]))
    group, gap = largest(*_posteriors(wins, losses, tau), surprise)
    best = None
    for block in reversed(large):  # the young first: with smaller clades, their posteriors are wider
        surprise = rng.standard_exponential(len(block))
        place, gap = largest(*_posteriors(passed[block], failed[block], tau), surprise, gap)
        best = best if place is None else int(block[place])
    if best is not None:
        return best
    won, lost = wins[group], losses[group]
    same = np.concatenate([block[(passed[block] == won) & (failed[block] == lost)] for block in blocks])
    return int(rng.choice(same))


def _posteriors(passed: Ints, failed: Ints, tau: float) -> tuple[Floats, Floats]:
    """The parameters of the Beta distributions."""
    a, b = passed.astype(np.float64), failed.astype(np.float64)
    for parameters in (a, b):  # in place, as below: new arrays cost as much as the sums
        parameters += 1
        parameters *= tau
    return a, b


def _sum(first: Ints, second: Ints) -> Ints:
    """Of two arrays that begin at the same index."""
    longer, shorter = (first, second) if len(first) >= len(second) else (second, first)
    longer[: len(shorter)] += shorter
    return longer


def largest(a: Floats, b: Floats, surprise: Floats, gap: float = np.inf) -> tuple[int | None, float]:
    """The index of the largest of the values that Beta(a, b) exceeds with probability e^(-surprise), and 1 - it.

    Only if that is less than `gap`; else None and `gap`. (1 - value and not the value, since large draws are near 1.)
    """
    near = np.flatnonzero(sub_gaussian(a, b, surprise) >= 1 - gap - SLACK)
    a, b, surprise = a[near], b[near], surprise[near]
    upper = bernstein(a, b, surprise)
    best, probes = None, PROBES
    while (rest := np.flatnonzero(upper >= 1 - gap - SLACK)).size:
        if len(rest) > probes:
            rest = rest[np.argpartition(upper[rest], -probes)[-probes:]]
        gaps = special.betaincinv(b[rest], a[rest], np.exp(-surprise[rest]))
        place = int(np.argmin(gaps))
        if gaps[place] < gap:
            best, gap = int(near[rest[place]]), float(gaps[place])
        upper[rest] = -np.inf
        probes *= 2
    return best, gap


def sub_gaussian(a: Floats, b: Floats, surprise: Floats) -> Floats:
    """A bound of the value that Beta(a, b) exceeds with probability e^(-surprise): the quick one."""
    size = a + b
    mean = a / size
    size += 1
    size *= 2
    np.divide(surprise, size, out=size)
    mean += np.sqrt(size, out=size)
    return mean


def bernstein(a: Floats, b: Floats, surprise: Floats) -> Floats:
    """As `sub_gaussian`: the one that is close even where a mean is near 1."""
    size = a + b
    mean = a / size
    variance = mean * (b / size) / (size + 1)
    skew = np.maximum(0, (b - a) / (size * (size + 2))) * (2 / 3) * surprise
    return mean + skew + np.sqrt(skew * skew + 2 * variance * surprise)
