"""From simulated runs to a table: true skill, regret, what it took to a level, and differences paired by seed.

All intervals are 95 %. Those of means are Student's t over seeds; those of what it took to a level, which has no
formula, are the middle 95 % of resamples of the seeds, level and all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy import special

from evolve.simulate.durations import Floats
from evolve.simulate.trace import Checkpoint, Trace

RESAMPLES = 1000
POINTS = 400
"""Where curves are read at most: hours and dollars are hardly ever the same twice."""

Amount = Callable[[Checkpoint], float]
"""What a run has used up at a checkpoint."""


def evaluations(point: Checkpoint) -> float:
    return point.evaluations


def hours(point: Checkpoint) -> float:
    return point.hours


def usd(point: Checkpoint) -> float:
    return point.usd


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number and its 95 % interval; no interval where there is nothing to make one of."""

    mean: float
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Reading:
    """What a policy had when it had used up what the reference used in the same world, hours or dollars.

    Skill is linear between checkpoints; runs that ended before stand as they ended.
    """

    skill: Estimate
    """True skill of the agent chosen by then."""
    difference: Estimate | None
    """The same beyond the reference's at its end, paired by seed; None for the reference itself."""
    to_level: Estimate | None
    """Hours or dollars after which the mean skill is the reference's at its end; None if it never is."""


@dataclass(frozen=True, slots=True)
class Row:
    """What one policy made of a world, over all seeds that it has."""

    policy: str
    runs: int
    """Seeds."""
    skill: Estimate
    """True skill of the agent chosen at the end: expected share of the sealed tasks."""
    skill_search: Estimate
    """Its expected share of the search set's tasks."""
    gain: Estimate
    """True skill beyond the first agent's."""
    regret: Estimate
    """True skill of the best agent in the policy's own tree beyond that of the chosen one."""
    shortfall: Estimate | None
    """True skill of the best agent that any of the compared policies bred in the same world beyond the chosen one's;
    over the seeds that all policies have, None if there are none."""
    agents: Estimate
    evaluations: Estimate
    expansions: Estimate
    hours: Estimate
    usd: Estimate
    pairs: int
    """Seeds in common with the reference: those of all that follows, but for the rival."""
    to_level: Estimate | None
    """Evaluations after which the mean skill of the chosen agent is the reference's at its end; None if it never is."""
    difference: Estimate | None
    """True skill beyond the reference's, paired by seed; None for the reference itself."""
    at_hours: Reading
    at_usd: Reading
    rival: str | None
    """The best of the other policies, by mean skill."""
    beyond_rival: Estimate | None
    """True skill beyond the rival's, paired by the seeds that both have; None if there are none."""


@dataclass(frozen=True, slots=True)
class Table:
    """The policies in one world, the best first."""

    world: str
    reference: str
    """The policy that the others are compared with."""
    seed_skill: Estimate
    rows: tuple[Row, ...]


class _Pair(NamedTuple):
    """Two policies' runs of the same seeds, in the same order."""

    own: list[Trace]
    other: list[Trace]

    @property
    def difference(self) -> Estimate:
        return estimate([own.skill - other.skill for own, other in zip(self.own, self.other, strict=True)])


def table(world: str, runs: Mapping[str, Sequence[Trace]], reference: str) -> Table:
    """Compare policies; each with the reference over the seeds that both have. Raises: `ValueError` if there are none.

    Worlds of one seed are equal, so pairs differ by what the policies did and not by what they met.
    """
    by_seed = {name: {trace.seed: trace for trace in traces} for name, traces in runs.items()}
    if not all(by_seed[reference].keys() & traces.keys() for traces in by_seed.values()):
        raise ValueError("the policies have no seed in common")
    highest = _highest(by_seed)
    rows = [_row(name, by_seed, reference, highest) for name in by_seed]
    rows.sort(key=lambda row: -row.skill.mean)
    first = estimate([trace.seed_skill for trace in by_seed[reference].values()])
    return Table(world, reference, first, tuple(rows))


def _highest(by_seed: Mapping[str, Mapping[int, Trace]]) -> dict[int, float]:
    """The best true skill in any policy's tree, by the seeds that all policies have."""
    common = set.intersection(*(set(traces) for traces in by_seed.values()))
    return {seed: max(traces[seed].last.best for traces in by_seed.values()) for seed in common}


def _row(name: str, by_seed: Mapping[str, Mapping[int, Trace]], reference: str, highest: Mapping[int, float]) -> Row:
    own, itself = by_seed[name], name == reference
    traces = list(own.values())
    lasts = [trace.last for trace in traces]
    pair = _pair(own, by_seed[reference])
    rival = _rival(name, by_seed)
    versus = None if rival is None else _pair(own, by_seed[rival])
    return Row(
        policy=name,
        runs=len(traces),
        skill=estimate([trace.skill for trace in traces]),
        skill_search=estimate([last.skill_search for last in lasts]),
        gain=estimate([trace.skill - trace.seed_skill for trace in traces]),
        regret=estimate([trace.regret for trace in traces]),
        shortfall=estimate([best - own[seed].skill for seed, best in highest.items()]) if highest else None,
        agents=estimate([last.agents for last in lasts]),
        evaluations=estimate([last.evaluations for last in lasts]),
        expansions=estimate([last.expansions for last in lasts]),
        hours=estimate([last.hours for last in lasts]),
        usd=estimate([last.usd for last in lasts]),
        pairs=len(pair.own),
        to_level=amount_to(_skills(pair.other), pair.own),
        difference=None if itself else pair.difference,
        at_hours=_reading(pair, hours, itself=itself),
        at_usd=_reading(pair, usd, itself=itself),
        rival=rival,
        beyond_rival=versus.difference if versus is not None and versus.own else None,
    )


def _pair(own: Mapping[int, Trace], other: Mapping[int, Trace]) -> _Pair:
    common = sorted(own.keys() & other.keys())
    return _Pair([own[seed] for seed in common], [other[seed] for seed in common])


def _rival(name: str, by_seed: Mapping[str, Mapping[int, Trace]]) -> str | None:
    means = {other: _skills(list(traces.values())).mean() for other, traces in by_seed.items() if other != name}
    return max(means, key=lambda other: means[other], default=None)


def _skills(traces: Sequence[Trace]) -> Floats:
    return np.array([trace.skill for trace in traces])


def _reading(pair: _Pair, amount: Amount, *, itself: bool) -> Reading:
    ends = [np.array([amount(other.last)]) for other in pair.other]
    found = np.concatenate([_skill_at(own, end, amount) for own, end in zip(pair.own, ends, strict=True)])
    levels = _skills(pair.other)
    return Reading(estimate(found), None if itself else estimate(found - levels), amount_to(levels, pair.own, amount))


def estimate(values: Sequence[float] | Floats) -> Estimate:
    """The mean and Student's interval for it."""
    array = np.asarray(values, dtype=np.float64)
    n, mean = len(array), float(array.mean())
    if n < 2:
        return Estimate(mean, None, None)
    half = float(special.stdtrit(n - 1, 0.975)) * float(array.std(ddof=1)) / n**0.5
    return Estimate(mean, mean - half, mean + half)


def amount_to(levels: Floats, traces: Sequence[Trace], amount: Amount = evaluations) -> Estimate | None:
    """What is used up when the mean skill of the chosen agent reaches the mean of `levels`.

    `levels` has a number a run, which is resampled together with it. None: it is never reached. The interval is
    one-sided (no `high`) if more than one resample in forty never reaches it.
    """
    at, curves = _curves(traces, amount)
    found = _crossing(at, curves.mean(axis=0), float(levels.mean()))
    if found is None:
        return None
    n = len(traces)
    if n < 2:
        return Estimate(found, None, None)
    weights = np.random.default_rng(0).multinomial(n, np.full(n, 1 / n), RESAMPLES) / n
    drawn = [_crossing(at, curve, level) for curve, level in zip(weights @ curves, weights @ levels, strict=True)]
    low, high = np.quantile([np.inf if each is None else each for each in drawn], (0.025, 0.975), method="lower")
    return Estimate(found, float(low), float(high) if np.isfinite(high) else None)


def _curves(traces: Sequence[Trace], amount: Amount) -> tuple[Floats, Floats]:
    """The amounts of all checkpoints, or some of them, and skill at each (one row a run)."""
    at = np.unique([amount(point) for trace in traces for point in trace.checkpoints])
    if len(at) > POINTS:
        at = np.quantile(at, np.linspace(0, 1, POINTS))
    return at, np.array([_skill_at(trace, at, amount) for trace in traces])


def _skill_at(trace: Trace, at: Floats, amount: Amount) -> Floats:
    """True skill of the agent that a run would have taken away by then: linear between checkpoints.

    It begins with the first agent, and after its end a run stands as it ended.
    """
    known = [0.0, *(amount(point) for point in trace.checkpoints)]
    return np.interp(at, known, [trace.seed_skill, *(point.skill for point in trace.checkpoints)])


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
