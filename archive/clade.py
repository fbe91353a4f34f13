"""Clade statistics: pure functions from frozen rows to tallies, posteriors and the best-belief choice.

Nothing here keeps state or hands out anything mutable, so asking twice gives the same answer. The posterior of an
agent's success rate is Beta(1 + passed, 1 + failed): the uniform prior, updated by its evidence.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

from archive.errors import ArchiveError
from archive.records import Agent, Evaluation

COUNTED = 1 << 16
"""Numbers below this are told apart by counting."""


@dataclass(frozen=True, slots=True)
class Tally:
    """Evidence about an agent or a clade: how many evaluations passed and how many failed."""

    passed: int = 0
    failed: int = 0

    @property
    def n(self) -> int:
        return self.passed + self.failed

    @property
    def mean(self) -> float | None:
        """The observed success rate; None without evidence."""
        return self.passed / self.n if self.n else None

    @property
    def belief(self) -> float:
        """The posterior mean of the success rate, (1 + passed) / (2 + n)."""
        return (1 + self.passed) / (2 + self.n)

    def quantile(self, q: float) -> float:
        """The q-quantile of Beta(1 + passed, 1 + failed)."""
        return float(special.betaincinv(1 + self.passed, 1 + self.failed, q))

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """The equal-tailed credible interval of the success rate."""
        tail = (1 - level) / 2
        return self.quantile(tail), self.quantile(1 - tail)

    def __add__(self, other: Tally) -> Tally:
        return Tally(self.passed + other.passed, self.failed + other.failed)


@dataclass(frozen=True, slots=True)
class Clade:
    """An agent with all its descendants."""

    agent: int
    own: Tally
    """Evidence about the agent itself."""
    whole: Tally
    """Evidence about the agent and all its descendants; its mean is HGM's estimate of the clade's metaproductivity."""
    children: tuple[int, ...]
    descendants: int
    """How many, the agent itself not counted."""


def chosen(evaluation: Evaluation) -> bool:
    """Whether a policy asked for it; what a person asks for (`clade evaluate`) must not steer the search."""
    return evaluation.decision is not None


def tallies(evaluations: Iterable[Evaluation], counts: Callable[[Evaluation], bool] = chosen) -> dict[int, Tally]:
    """Each measured agent's own tally, over closed rows that are evidence (VOID is not) and that `counts` admits."""
    passed: dict[int, int] = {}
    total: dict[int, int] = {}
    for row in evaluations:
        if (row.passed or row.failed) and counts(row):
            passed[row.agent] = passed.get(row.agent, 0) + row.passed
            total[row.agent] = total.get(row.agent, 0) + 1
    return {agent: Tally(passed[agent], n - passed[agent]) for agent, n in sorted(total.items())}


def clades(
    agents: Iterable[Agent], evaluations: Iterable[Evaluation], counts: Callable[[Evaluation], bool] = chosen
) -> dict[int, Clade]:
    """Every agent's clade, by agent id in ascending order, in one pass from the youngest to the seed.

    Raises: `ArchiveError` if a parent is missing or not older than its child, or an evaluation is of an unknown agent:
    a tree with a hole has no honest sums.
    """
    ordered = sorted(agents, key=lambda agent: agent.id)
    known = {agent.id for agent in ordered}
    own = tallies(evaluations, counts)
    if strangers := own.keys() - known:
        raise ArchiveError(f"there are evaluations of agent {min(strangers)}, which is not in the archive")
    children: dict[int, list[int]] = {agent.id: [] for agent in ordered}
    for agent in ordered:
        if agent.parent is None:
            continue
        if agent.parent not in known or agent.parent >= agent.id:
            raise ArchiveError(f"the parent of agent {agent.id} is agent {agent.parent}, which is missing or younger")
        children[agent.parent].append(agent.id)
    whole = {agent.id: own.get(agent.id, Tally()) for agent in ordered}
    descendants = dict.fromkeys(whole, 0)
    for agent in reversed(ordered):
        if agent.parent is not None:
            whole[agent.parent] += whole[agent.id]
            descendants[agent.parent] += 1 + descendants[agent.id]
    return {id: Clade(id, own.get(id, Tally()), whole[id], tuple(children[id]), descendants[id]) for id in whole}


def best_belief(agents: Iterable[Agent], tallies: Mapping[int, Tally], epsilon: float = 0.25) -> int | None:
    """The agent with the highest epsilon-quantile of Beta(1 + passed, 1 + failed) over its own evidence.

    Ties go to more evidence, then to the older agent. Only measured agents are eligible, since the prior's own quantile
    would otherwise beat an honest low score; None if there is no evidence at all.
    """
    found = sorted((agent.id, tallies[agent.id]) for agent in agents if agent.id in tallies)
    first = ranking([tally.passed for _, tally in found], [tally.failed for _, tally in found], epsilon, 1)
    return found[first[0]][0] if first else None


def ranking(passed: npt.ArrayLike, failed: npt.ArrayLike, epsilon: float, k: int) -> tuple[int, ...]:
    """Indices of the `k` highest epsilon-quantiles of Beta(1 + passed, 1 + failed), highest first, as `best_belief`.

    Ties go to more evidence, then to the smaller index; what has no evidence is left out. A quantile costs some µs,
    and many agents share a tally: each distinct one is computed once.
    """
    wins, losses = np.asarray(passed, dtype=np.int64), np.asarray(failed, dtype=np.int64)
    measured = np.flatnonzero(wins + losses > 0)
    if not measured.size:
        return ()
    width = int(losses.max()) + 1
    keys = wins[measured] * width + losses[measured]
    distinct = _distinct(keys)
    won, lost = distinct // width, distinct % width
    scores = special.betaincinv(1 + won, 1 + lost, epsilon)
    ranked: list[int] = []
    for place in np.lexsort((-(won + lost), -scores)).tolist():
        ranked += measured[keys == distinct[place]][: k - len(ranked)].tolist()
        if len(ranked) == k:
            break
    return tuple(ranked)


def _distinct(keys: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The different ones of non-negative numbers, in order. Counting is quicker than sorting while they are small."""
    return np.unique(keys) if keys.max() >= COUNTED else np.bincount(keys).nonzero()[0]


def probability_better(first: Tally, second: Tally) -> float:
    """The probability that the first success rate exceeds the second, their posteriors being independent. Exact.

    For integer parameters P(X > Y) is a finite sum of ratios of Beta functions (E. Miller, "Formulas for Bayesian A/B
    testing"): sum over i < a of B(c + i, b + d) / ((b + i) B(1 + i, b) B(c, d)) with X ~ Beta(a, b), Y ~ Beta(c, d).
    """
    a, b = 1 + first.passed, 1 + first.failed
    c, d = 1 + second.passed, 1 + second.failed
    i = np.arange(a, dtype=float)
    logs = special.betaln(c + i, b + d) - np.log(b + i) - special.betaln(1 + i, b) - special.betaln(c, d)
    return float(min(1.0, np.exp(logs).sum()))
