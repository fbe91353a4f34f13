"""Draws of abilities for which some children are broken: what no normal posterior can say of them.

Most children differ from their parents by little, some are subtly broken and far worse. Of a child with two failures
on hard tasks a normal posterior says that it is about as able as its parent, in a narrow interval. So each draw of a
normal posterior (`evolve.statistics.posterior`) is moved by Gibbs sampling in the model with broken children: an
agent's ability given all other ones, its parent, its children and its own verdicts, on a grid; then the drift and the
spread of births given those.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

from evolve.policies.kin_posterior import Prior

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

BROKEN = 0.1
"""Prior share of broken children…"""
LOSS = 2.0
"""…and the mean of what they lose, in logits, exponential. Both priors: nobody has published a number."""
SWEEPS = 2
WORTH = 4
"""Births that the prior spread of births counts as."""
FINE = np.linspace(-4, 4, 31)
"""The grid around an agent's mean, in its deviations,"""
COARSE = np.linspace(-14, 0, 15)[:-1]
"""and below, in logits."""
SCALE, REACH = 50, 30
"""Entries a logit of the table of verdicts' densities, and where it ends."""


@dataclass(frozen=True, slots=True)
class Verdicts:
    """Evidence, one item each."""

    agent: Ints
    task: Ints
    passed: npt.NDArray[np.bool_]


@dataclass(slots=True)
class State:
    """The draws, one a row."""

    drift: Floats
    step: Floats
    ability: Floats
    """Draws × agents."""


def mended(
    mean: Floats, deviation: Floats, prior: Prior, parents: Sequence[int], seen: Verdicts, drawn: State,
    easiness: Floats, rng: np.random.Generator,
) -> Floats:  # fmt: skip
    """Abilities (draws × agents) after Gibbs sampling; `mean` and `deviation` by agent say where to look."""
    children: list[list[int]] = [[] for _ in parents]
    for child, parent in enumerate(parents):
        if parent >= 0:
            children[parent].append(child)
    logits = np.arange(-REACH * SCALE, REACH * SCALE + 1) / SCALE
    log_verdict = np.log(prior.lapse + (1 - 2 * prior.lapse) * special.ndtr(logits / np.sqrt(prior.noise)))
    own = [np.flatnonzero(seen.agent == agent) for agent in range(len(parents))]
    for _ in range(SWEEPS):
        for agent, parent in enumerate(parents):
            cells = _cells(float(mean[agent]), float(deviation[agent]))
            at = (cells[1:] + cells[:-1]) / 2
            if parent >= 0:
                density = log_birth(at - (drawn.ability[:, parent] + drawn.drift)[:, None], drawn.step[:, None])
            else:
                density = np.broadcast_to(-((at / prior.first) ** 2) / 2, (len(drawn.drift), len(at))).copy()
            for child in children[agent]:
                density += log_birth((drawn.ability[:, child] - drawn.drift)[:, None] - at, drawn.step[:, None])
            for row in own[agent]:
                logits = at + easiness[:, seen.task[row], None]
                density += log_verdict[_entry(logits if seen.passed[row] else -logits)]
            drawn.ability[:, agent] = _draw(density, cells, rng)
        _redraw_births(drawn, parents, prior, rng)
    return drawn.ability


def log_birth(step: Floats, spread: Floats) -> Floats:
    """Log density of what a birth adds to ability beyond the drift: normal, or normal less an exponential loss."""
    at = step / spread
    whole = np.log1p(-BROKEN) - at * at / 2 - np.log(spread * np.sqrt(2 * np.pi))
    ratio = spread / LOSS
    broken = np.log(BROKEN / LOSS) + at * ratio + ratio**2 / 2 + special.log_ndtr(-at - ratio)
    density: Floats = np.logaddexp(whole, broken)
    return density


def _entry(logits: Floats) -> Ints:
    """Where a verdict's density is in the table: to compute each anew would take most of the time."""
    return np.clip(np.rint((logits + REACH) * SCALE), 0, 2 * REACH * SCALE).astype(np.int64)


def _cells(mean: float, deviation: float) -> Floats:
    """Edges of the grid's cells."""
    fine = mean + deviation * FINE
    return np.concatenate([fine[0] + COARSE, fine])


def _draw(density: Floats, cells: Floats, rng: np.random.Generator) -> Floats:
    """One value a row, from a density that is constant in each cell."""
    weight = np.exp(density - density.max(axis=1, keepdims=True)) * np.diff(cells)
    below = weight.cumsum(axis=1)
    cell = (below < rng.random((len(below), 1)) * below[:, -1:]).sum(axis=1)
    value: Floats = cells[cell] + np.diff(cells)[cell] * rng.random(len(cell))
    return value


def _redraw_births(drawn: State, parents: Sequence[int], prior: Prior, rng: np.random.Generator) -> None:
    """Who is broken, and by how much; then the drift, and the spread of births."""
    child = np.array([number for number, parent in enumerate(parents) if parent >= 0], dtype=np.int64)
    if not child.size:
        return
    parent = np.array(parents)[child]
    gain = drawn.ability[:, child] - drawn.ability[:, parent]
    spread = drawn.step[:, None]
    at = (gain - drawn.drift[:, None]) / spread
    whole = np.log1p(-BROKEN) - at * at / 2 - np.log(spread * np.sqrt(2 * np.pi))
    broken = rng.random(at.shape) >= np.exp(whole - log_birth(at * spread, spread))
    # What a broken one lost is a normal above zero: by its distribution function turned round.
    shift = at + spread / LOSS
    above = special.ndtr(-shift) * rng.random(at.shape)
    loss = np.where(broken, np.maximum(0, -special.ndtri(np.maximum(above, 1e-300)) - shift) * spread, 0.0)
    gain = gain + loss
    precision = prior.drift_sd**-2 + child.size / drawn.step**2
    centre = (prior.drift * prior.drift_sd**-2 + gain.sum(axis=1) / drawn.step**2) / precision
    drawn.drift = centre + rng.standard_normal(len(centre)) / np.sqrt(precision)
    squares = WORTH * Prior().step ** 2 + ((gain - drawn.drift[:, None]) ** 2).sum(axis=1)
    drawn.step = np.sqrt(squares / (2 * rng.standard_gamma((WORTH + child.size) / 2, len(squares))))
