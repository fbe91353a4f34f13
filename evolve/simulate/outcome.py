"""From simulated runs to a table: true skill, regret, evaluations to a level, hours, and differences paired by seed.

All intervals are 95 %. Those of means are Student's t over seeds; those of evaluations to a level, which has no
formula, are the middle 95 % of resamples of the seeds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from evolve.simulate.durations import Floats
from evolve.simulate.trace import Trace

RESAMPLES = 1000


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number and its 95 % interval; no interval where there is nothing to make one of."""

    mean: float
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Row:
    """What one policy made of a world."""

    policy: str
    runs: int
    skill: Estimate
    """True skill of the agent chosen at the end: expected share of the sealed tasks."""
    skill_search: Estimate
    """Its expected share of the search set's tasks."""
    gain: Estimate
    """True skill beyond the first agent's."""
    regret: Estimate
    """True skill of the best agent in the policy's own tree beyond that of the chosen one."""
    shortfall: Estimate
    """True skill of the best agent that any of the compared policies bred in the same world beyond the chosen one's."""
    agents: Estimate
    evaluations: Estimate
    expansions: Estimate
    hours: Estimate
    usd: Estimate
    to_level: Estimate | None
    """Evaluations after which the mean skill of the chosen agent is the reference's at its end; None if it never is."""
    difference: Estimate | None
    """True skill beyond the reference's, paired by seed; None for the reference itself."""


@dataclass(frozen=True, slots=True)
class Table:
    """The policies in one world. All rows are over the same seeds."""

    world: str
    reference: str
    """The policy that the others are compared with."""
    seed_skill: Estimate
    rows: tuple[Row, ...]


def table(world: str, runs: Mapping[str, Sequence[Trace]], reference: str) -> Table:
    """Compare policies over the seeds that all of them have. Raises: `ValueError` if there is no such seed."""
    common = sorted(set.intersection(*({trace.seed for trace in traces} for traces in runs.values())))
    if not common:
        raise ValueError("the policies have no seed in common")
    paired = {name: [by_seed[seed] for seed in common] for name, by_seed in _by_seed(runs).items()}
    level = float(np.mean([trace.skill for trace in paired[reference]]))
    highest = np.max([[trace.last.best for trace in traces] for traces in paired.values()], axis=0)
    rows = [_row(name, traces, paired[reference], level, highest) for name, traces in paired.items()]
    rows.sort(key=lambda row: -row.skill.mean)
    first = estimate([trace.seed_skill for trace in paired[reference]])
    return Table(world, reference, first, tuple(rows))


def _by_seed(runs: Mapping[str, Sequence[Trace]]) -> dict[str, dict[int, Trace]]:
    return {name: {trace.seed: trace for trace in traces} for name, traces in runs.items()}


def _row(name: str, traces: Sequence[Trace], reference: Sequence[Trace], level: float, highest: Floats) -> Row:
    skill = np.array([trace.skill for trace in traces])
    lasts = [trace.last for trace in traces]
    itself = traces is reference
    return Row(
        policy=name,
        runs=len(traces),
        skill=estimate(skill),
        skill_search=estimate([last.skill_search for last in lasts]),
        gain=estimate([trace.skill - trace.seed_skill for trace in traces]),
        regret=estimate([trace.regret for trace in traces]),
        shortfall=estimate(highest - skill),
        agents=estimate([last.agents for last in lasts]),
        evaluations=estimate([last.evaluations for last in lasts]),
        expansions=estimate([last.expansions for last in lasts]),
        hours=estimate([last.hours for last in lasts]),
        usd=estimate([last.usd for last in lasts]),
        to_level=evaluations_to(level, traces),
        difference=None if itself else estimate(skill - np.array([trace.skill for trace in reference])),
    )


def estimate(values: Sequence[float] | Floats) -> Estimate:
    """The mean and Student's interval for it."""
    array = np.asarray(values, dtype=np.float64)
    n, mean = len(array), float(array.mean())
    if n < 2:
        return Estimate(mean, None, None)
    half = float(special.stdtrit(n - 1, 0.975)) * float(array.std(ddof=1)) / n**0.5
    return Estimate(mean, mean - half, mean + half)


def evaluations_to(level: float, traces: Sequence[Trace]) -> Estimate | None:
    """Evaluations after which the mean skill of the chosen agent reaches `level`, linear between checkpoints.

    The interval is one-sided (no `high`) if more than one resample in forty never reaches it.
    """
    at, curves = _curves(traces)
    found = _crossing(at, curves.mean(axis=0), level)
    if found is None:
        return None
    n = len(traces)
    if n < 2:
        return Estimate(found, None, None)
    weights = np.random.default_rng(0).multinomial(n, np.full(n, 1 / n), RESAMPLES) / n
    drawn = [_crossing(at, curve, level) for curve in weights @ curves]
    low, high = np.quantile([np.inf if each is None else each for each in drawn], (0.025, 0.975), method="lower")
    return Estimate(found, float(low), float(high) if np.isfinite(high) else None)


def _curves(traces: Sequence[Trace]) -> tuple[Floats, Floats]:
    """The evaluation counts of all checkpoints, and skill at each (one row a run).

    Between its checkpoints, and after its end, a run stands as at its last one before.
    """
    at = sorted({point.evaluations for trace in traces for point in trace.checkpoints})
    rows = []
    for trace in traces:
        own = [point.evaluations for point in trace.checkpoints]
        places = np.maximum(0, np.searchsorted(own, at, side="right") - 1)
        rows.append([trace.checkpoints[place].skill for place in places])
    return np.array(at, dtype=np.float64), np.array(rows)


def _crossing(at: Floats, curve: Floats, level: float) -> float | None:
    """Where the curve first is at `level` or above."""
    above = np.flatnonzero(curve >= level)
    if not above.size:
        return None
    first = int(above[0])
    if first == 0:
        return float(at[0])
    left, right = curve[first - 1], curve[first]
    return float(at[first - 1] + (level - left) / (right - left) * (at[first] - at[first - 1]))
