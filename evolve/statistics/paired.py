"""Two agents on the same tasks: what differs, and how sure that is. Pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from archive import Evaluation, Tally
from evolve.statistics import mcnemar, pairedbayes


@dataclass(frozen=True, slots=True)
class Paired:
    """Agent A against agent B on the tasks that both were measured on."""

    a: Tally
    """Tasks that A solves, after repeated attempts in at least half of them."""
    b: Tally
    only_a: int
    """Tasks that A solves and B does not; after repeated attempts, that A solves more often."""
    only_b: int
    difference: float
    """Mean of A minus mean of B, as observed."""
    low: float
    high: float
    """95 % credible interval of the difference over all tasks like these (`pairedbayes`)."""
    p_better: float
    """Posterior probability that A is the better one."""
    p: float
    """Exact McNemar test, two-sided."""

    @property
    def n(self) -> int:
        """Tasks that both were measured on."""
        return self.a.n


def verdicts(evaluations: Iterable[Evaluation], agent: int, split: str) -> dict[str, list[bool]]:
    """Task to an agent's verdicts in their order, over closed rows that are evidence."""
    found: dict[str, list[bool]] = {}
    for row in evaluations:
        if row.agent == agent and row.split == split and (row.passed or row.failed):
            found.setdefault(row.task, []).append(row.passed)
    return found


def successes(evaluations: Iterable[Evaluation], agent: int, split: str) -> dict[str, float]:
    """Task to share of successful attempts of an agent, over closed rows that are evidence."""
    return {task: sum(passes) / len(passes) for task, passes in verdicts(evaluations, agent, split).items()}


def compare(a: Mapping[str, float], b: Mapping[str, float]) -> Paired | None:
    """Of shares of successful attempts by task; None when there is no task in common."""
    pairs = pairedbayes.common(a, b)
    if not len(pairs):
        return None
    ahead = pairs[:, 0] - pairs[:, 1]
    only_a, only_b = int((ahead > 0).sum()), int((ahead < 0).sum())
    found = pairedbayes.difference(pairs)
    return Paired(
        a=_tally(pairs[:, 0]),
        b=_tally(pairs[:, 1]),
        only_a=only_a,
        only_b=only_b,
        difference=float(ahead.mean()),
        low=found.low,
        high=found.high,
        p_better=found.p_better,
        p=mcnemar.exact(only_a, only_b),
    )


def _tally(shares: np.ndarray) -> Tally:
    passed = int((shares >= 0.5).sum())
    return Tally(passed, len(shares) - passed)
