"""Two agents on the same tasks: what differs, and how sure that is. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from archive import Evaluation, Tally

DRAWS = 20_000


@dataclass(frozen=True, slots=True)
class Paired:
    """Agent A against agent B on the tasks that both were measured on."""

    a: Tally
    b: Tally
    only_a: int
    """Tasks that A solves and B does not."""
    only_b: int
    difference: float
    """Mean of A minus mean of B."""
    low: float
    high: float
    """95 % interval of the difference: bootstrap over tasks, fixed seed."""
    p: float
    """Exact McNemar test, two-sided: sign test on the discordant tasks."""


def successes(evaluations: Sequence[Evaluation], agent: int, split: str) -> dict[str, float]:
    """Task to share of successful attempts of an agent, over closed rows that are evidence."""
    results: dict[str, list[bool]] = {}
    for row in evaluations:
        if row.agent == agent and row.split == split and (row.passed or row.failed):
            results.setdefault(row.task, []).append(row.passed)
    return {task: sum(passes) / len(passes) for task, passes in results.items()}


def compare(a: Mapping[str, float], b: Mapping[str, float]) -> Paired | None:
    """None when there is no task in common."""
    tasks = sorted(a.keys() & b.keys())
    if not tasks:
        return None
    pairs = np.array([(a[task], b[task]) for task in tasks])
    differences = pairs[:, 0] - pairs[:, 1]
    draws = np.random.default_rng(0).choice(differences, (DRAWS, len(tasks))).mean(axis=1)
    only_a, only_b = int((differences > 0).sum()), int((differences < 0).sum())
    return Paired(
        a=_tally(pairs[:, 0]),
        b=_tally(pairs[:, 1]),
        only_a=only_a,
        only_b=only_b,
        difference=float(differences.mean()),
        low=float(np.quantile(draws, 0.025)),
        high=float(np.quantile(draws, 0.975)),
        p=sign_test(only_a, only_b),
    )


def sign_test(ups: int, downs: int) -> float:
    """Exact two-sided probability of a split at least this uneven when either way is equally likely."""
    return float(min(1.0, 2 * special.bdtr(min(ups, downs), ups + downs, 0.5)))


def _tally(shares: np.ndarray) -> Tally:
    passed = int((shares >= 0.5).sum())
    return Tally(passed, len(shares) - passed)
