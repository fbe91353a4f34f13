"""What `kin` will know when the moves under way have ended: the posterior, its variances as they will be then.

How an answer moves the means is unknown before it comes; how much it takes from variances is nearly known, because it
depends on the answer little. So moves under way count as answered where the worth of another one is judged, and many
workers do not all ask the same question. (The kriging believer of Ginsbourger, Le Riche and Carraro 2010, for variances
only.)
"""

from __future__ import annotations

import math

import numpy as np
from scipy import special
from scipy.linalg.lapack import dpotrf, dtrtri

from evolve.policies.base import Floats, Ints
from evolve.policies.kin_posterior import Posterior, Prior

UNTHREADED = 9_000
"""Entries of a matrix that OpenBLAS multiplies a vector by, or a small matrix, with one thread."""


def expected_second(mean: Floats, variance: Floats, prior: Prior) -> Floats:
    """Expectation, over the verdict to come, of the second number that `kin_posterior.answer` gives for it."""
    spread = variance + prior.noise
    at = mean / np.sqrt(spread)
    passing = special.ndtr(at)
    passing *= 1 - 2 * prior.lapse
    passing += prior.lapse
    at *= at
    second: Floats = np.exp(np.negative(at, out=at), out=at)
    second *= (1 - 2 * prior.lapse) ** 2 / (2 * math.pi)
    second /= passing * (1 - passing) * spread
    return second


class Outlook:
    """A posterior at one moment, with the moves under way answered as far as variances go."""

    def __init__(self, posterior: Posterior) -> None:
        self._posterior = posterior
        self.ability, self.variance = posterior.marginals(posterior.agents)
        self._easiness, self._task_variance = posterior.marginals(posterior.tasks)
        self._agents, self._tasks = posterior.agents.place, posterior.tasks.place
        self._columns: dict[int, Floats] = {}
        self._taken: Floats | None = None
        """Rows, by places: the answers under way take this, transposed and times itself, from the covariance. None if
        none is under way."""
        if posterior.pending:
            self._answer(np.array(posterior.pending))

    def contenders(self, left: Ints) -> Ints:
        """Agents to compare: all that have a seat, and of those at rest with tasks left the one that may be best."""
        agents = self._posterior.agents
        if agents.all_seated:
            return np.arange(agents.n)
        resting = np.flatnonzero((self._agents < 0) & (left > 0))
        if not resting.size:
            return agents.seated()
        bound = self.ability[resting] + np.sqrt(self.variance[resting])
        return np.append(agents.seated(), resting[np.argmax(bound)])

    def contrast(self, agent: int, others: Ints) -> Floats:
        """Variances of the others' abilities less the agent's."""
        variance = self._column(agent)[self._agents[others]]
        variance *= -2
        variance += self.variance[others]
        variance += self.variance[agent]
        return np.maximum(variance, 0, out=variance)

    def worth(self, agent: int, other: int | None, tasks: Ints) -> Floats:
        """By how much, in expectation, the variance of the agent's ability less the other's will shrink if the agent is
        measured on a task. Without another agent: of its ability."""
        places = self._tasks[tasks]
        with_answer = self._column(agent)[places]
        variance = with_answer * 2
        variance += self._task_variance[tasks]
        variance += self.variance[agent]
        with_answer += self.variance[agent]
        if other is not None:
            theirs = self._column(other)
            with_answer -= theirs[places]
            with_answer -= theirs[self._agents[agent]]
        with_answer *= with_answer
        with_answer *= expected_second(self.ability[agent] + self._easiness[tasks], variance, self._posterior.prior)
        return with_answer

    def _column(self, agent: int) -> Floats:
        """Covariances of the agent's ability with what is at each place, and 0 for places of -1."""
        if (found := self._columns.get(agent)) is None:
            found = self._columns[agent] = np.zeros(len(self._posterior.mean) + 1)
            if (place := self._agents[agent]) >= 0:
                found[:-1] = self._posterior.covariance[:, place]
                if self._taken is not None:
                    found[:-1] -= product(self._taken[:, place], self._taken)
        return found

    def _answer(self, pending: Ints) -> None:
        """Take what the answers under way will take from variances."""
        posterior = self._posterior
        agents, tasks = pending.T
        a, j = self._agents[agents], self._tasks[tasks]
        if not (posterior.agents.all_seated and posterior.tasks.all_seated):
            seated = (a >= 0) & (j >= 0)
            a, j, agents, tasks = a[seated], j[seated], agents[seated], tasks[seated]
            if not a.size:
                return
        rows = posterior.covariance.T  # in Fortran's order, rows of the transpose lie together
        asked = rows.take(a, axis=0)
        asked += rows.take(j, axis=0)
        between = asked.take(a, axis=1)
        between += asked.take(j, axis=1)
        diagonal = between.ravel()[:: len(a) + 1]
        # An answer that takes `second` from the variance of what is asked is as good as a measurement with noise of
        # 1 / second less that variance.
        mean = self.ability[agents] + self._easiness[tasks]
        diagonal[:] = 1 / expected_second(mean, diagonal, posterior.prior)
        # Not `solve`: with so many right-hand sides it starts threads, which cost more than they do.
        factor, _ = dpotrf(between, lower=1)
        self._taken = product(dtrtri(factor, lower=1)[0], asked)
        taken = np.zeros(len(posterior.mean) + 1)  # the last is for places of -1: at rest
        np.einsum("ij,ij->j", self._taken, self._taken, out=taken[:-1])
        self.variance -= taken[self._agents]
        self._task_variance -= taken[self._tasks]
        np.maximum(self.variance, 0, out=self.variance)
        np.maximum(self._task_variance, 0, out=self._task_variance)


def product(left: Floats, right: Floats) -> Floats:
    """`left @ right`, by so many columns at a time that OpenBLAS takes one thread for each: more would cost more than
    they do, and their number must not matter."""
    width = max(1, UNTHREADED // len(right))
    if right.shape[1] <= width:
        result: Floats = left @ right
        return result
    return np.concatenate([left @ right[:, at : at + width] for at in range(0, right.shape[1], width)], axis=-1)
