"""A world like a run that was made: its tasks' spread, its births, its failures, its times and prices (`--from RUN`).

One run says much about some parameters and nothing about others, so each is what the run says and a prior together,
and `Fitted.thin` names those that are the prior's alone. Tasks' spread, the first agent's skill, and a child's expected
step and its spread come from the posterior that every report uses (`evolve.statistics.posterior`, with broken children
as in `evolve.statistics.births`, which is how a world makes them). Tasks are drawn anew: a world is like the run's
benchmark, it is not that benchmark.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import linalg, special

from archive import ArchiveError, Evaluation, Expansion, History, Outcome
from evolve.simulate.durations import LEVELS, Floats
from evolve.simulate.parameters import RunTimings, WorldSettings
from evolve.state import uncut
from evolve.statistics.beliefs import WIDEST
from evolve.statistics.births import State, Verdicts, mended
from evolve.statistics.posterior import SPLIT, Fit, fit, verdicts_of

FEWEST_VERDICTS = 20
"""A run with fewer is too thin for any world."""
FEWEST_BIRTHS = 5
"""With fewer, births are the prior's."""
FEWEST_TIMES = 10
"""Of each kind (solved, failed, expansions): with fewer, all times are the prior's."""
WORTH = 10
"""Attempts that the prior's shares of failures count as."""
DRAWS = 200
SHARES = {
    Outcome.NO_CHANGE: "no_change",
    Outcome.DUPLICATE: "duplicate",
    Outcome.STILLBORN: "stillborn",
    Outcome.CRASHED: "crashed",
    Outcome.TIMED_OUT: "crashed",
    Outcome.OVER_BUDGET: "crashed",
}
"""What an expansion's end is in a world."""
SHORTEST_SECONDS = 0.001


@dataclass(frozen=True, slots=True)
class Fitted:
    """A world, and what of it the run could not say."""

    settings: WorldSettings
    thin: tuple[str, ...]
    """One clause each, with the count that was too small."""


def world_of(history: History, tasks: Sequence[str], *, benchmark: str) -> Fitted:
    """The world that is most like this run, `tasks` being its search split.

    All evidence of the benchmark's search split counts, also what a person asked for; of times and prices too.
    Raises: `ArchiveError` if there is too little to go by.
    """
    known = frozenset(tasks)
    rows = [row for row in history.evaluations if row.benchmark == benchmark and row.split == SPLIT]
    evidence = [row for row in rows if (row.passed or row.failed) and row.task in known]
    if len(evidence) < FEWEST_VERDICTS:
        raise ArchiveError(
            f"the run is too thin to fit a world to: {len(evidence)} verdicts on its search tasks, and it takes "
            f"{FEWEST_VERDICTS}"
        )
    if len(history.agents) + len(tasks) > WIDEST:
        raise ArchiveError(
            f"the run is too large to fit a world to: {len(history.agents):,} agents and {len(tasks):,} tasks, and "
            f"more than {WIDEST} together would take hours"
        )
    prior, thin = WorldSettings(), list[str]()
    parents, seen = _tree(history, tasks, evidence)
    found = fit(parents, len(tasks), seen)
    chosen: dict[str, object] = {
        "tasks": len(tasks),
        "seed_skill": _within(skill_of_first(found, len(tasks)), prior.lucky, 1 - prior.flaky),
        "difficulty_sd": found.prior.easiness,
    }
    births = len(parents) - 1
    if births >= FEWEST_BIRTHS:
        chosen["capacity_mean"], chosen["step_sd"] = _births(found, parents, len(tasks), seen, prior)
    else:
        thin.append(f"how children differ from their parents ({births} births)")
    thin.append("how capacity differs among lines and saturates, and own effects on tasks (one run cannot say)")
    chosen |= _failures(history.expansions, rows, prior)
    chosen |= _costs(history.expansions, evidence, prior, thin)
    return Fitted(WorldSettings.model_validate(chosen), tuple(thin))


def _tree(history: History, tasks: Sequence[str], evidence: Iterable[Evaluation]) -> tuple[list[int], Verdicts]:
    column = {task: number for number, task in enumerate(tasks)}
    number = {agent.id: place for place, agent in enumerate(history.agents)}
    parents = [-1 if agent.parent is None else number[agent.parent] for agent in history.agents]
    return parents, verdicts_of((number[row.agent], column[row.task], row.passed) for row in evidence)


def skill_of_first(found: Fit, tasks: int) -> float:
    """Expected share of tasks that the first agent solves."""
    prior, first = found.prior, 1 + tasks
    easy = np.arange(1, first)
    mean = found.mean[first] + found.mean[easy]
    covariance = found.covariance
    variance = covariance[first, first] + covariance[easy, easy] + 2 * covariance[first, easy]
    solved = prior.lapse + (1 - 2 * prior.lapse) * special.ndtr(mean / np.sqrt(prior.noise + variance))
    return float(solved.mean())


def _births(
    found: Fit, parents: Sequence[int], tasks: int, seen: Verdicts, world: WorldSettings
) -> tuple[float, float]:
    """A child's expected step and its spread, by draws in which some children are broken, as in a world."""
    rng = np.random.default_rng(0)
    factor = linalg.cholesky(found.covariance, lower=True)
    drawn = found.mean + rng.standard_normal((DRAWS, len(found.mean))) @ factor.T
    deviation = np.sqrt(found.covariance.diagonal()[1 + tasks :])
    state = State(drawn[:, 0].copy(), np.full(DRAWS, found.prior.step), drawn[:, 1 + tasks :].copy())
    mended(found.mean[1 + tasks :], deviation, found.prior, parents, seen, state, drawn[:, 1 : 1 + tasks], rng)
    spread = float(np.mean(state.step**2)) - world.capacity_sd**2  # capacity is part of what children differ by
    return float(state.drift.mean()), max(0.0, spread) ** 0.5


def _failures(
    expansions: Sequence[Expansion], evaluations: Sequence[Evaluation], prior: WorldSettings
) -> dict[str, float]:
    """Shares of expansions that end without a child, and of moves that are void; what was cut off counts as neither."""
    closed = [row.outcome for row in uncut(expansions) if row.outcome is not None]
    tried = [outcome for outcome in closed if outcome is not Outcome.VOID]
    ended = [row.outcome for row in uncut(evaluations) if row.outcome is not None]
    voids = sum(outcome is Outcome.VOID for outcome in (*closed, *ended))
    void = _share(voids, len(closed) + len(ended), prior.void)
    failures = {
        name: _share(
            sum(SHARES.get(outcome) == name for outcome in tried), len(tried), getattr(prior, name) / (1 - prior.void)
        )
        for name in dict.fromkeys(SHARES.values())
    }
    return {"void": void, **{name: (1 - void) * share for name, share in failures.items()}}  # a world's are of all


def _share(count: int, of: int, prior: float) -> float:
    return (count + WORTH * prior) / (of + WORTH)


def _costs(
    expansions: Sequence[Expansion], evidence: Sequence[Evaluation], prior: WorldSettings, thin: list[str]
) -> dict[str, object]:
    """Times and prices of the run's own moves, those from a cache left out: they took no time."""
    fresh = [row for row in evidence if not row.source]
    tried = [row for row in expansions if row.outcome not in (None, Outcome.VOID)]
    kinds = {
        "solved": [row.seconds for row in fresh if row.passed],
        "failed": [row.seconds for row in fresh if not row.passed],
        "expansion": [row.seconds for row in tried],
    }
    if (fewest := min(kinds, key=lambda kind: len(kinds[kind]))) and len(kinds[fewest]) < FEWEST_TIMES:
        thin.append(f"times and prices ({len(kinds[fewest])} {fewest})")
        return {}
    mean = max(SHORTEST_SECONDS, float(np.mean(kinds["solved"] + kinds["failed"])))
    timings = RunTimings(**{kind: tuple(_quantiles(seconds).tolist()) for kind, seconds in kinds.items()}, mean=mean)
    return {
        "timings": timings,
        "usd_evaluation": float(np.mean([row.bill.usd for row in fresh])),
        "usd_expansion": float(np.mean([row.bill.usd for row in tried])),
    }


def _quantiles(seconds: Sequence[float]) -> Floats:
    found: Floats = np.quantile(np.maximum(SHORTEST_SECONDS, seconds), LEVELS)
    return found


def _within(value: float, low: float, high: float) -> float:
    """Not quite at either end: a first agent that solves nothing, or all, is not one that a world can have."""
    return min(max(value, low + 0.001), high - 0.001)
