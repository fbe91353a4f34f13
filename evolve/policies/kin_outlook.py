"""What `kin` will know when the moves under way have ended: the posterior, its variances as they will be then.

How an answer moves the means is unknown before it comes; how much it takes from variances is nearly known, because it
depends on the answer little. So moves under way count as answered where the worth of another one is judged, and many
workers do not all ask the same question. (The kriging believer of Ginsbourger, Le Riche and Carraro 2010, for variances
only.)
"""

from __future__ import annotations

import numpy as np
from scipy import special

from evolve.policies.base import Floats, Ints
from evolve.policies.kin_posterior import Posterior, Prior


def expected_second(mean: Floats, variance: Floats, prior: Prior) -> Floats:
    """Expectation, over the verdict to come, of the second number that `kin_posterior.answer` gives for it."""
    at = mean / np.sqrt(prior.noise + variance)
    solid = 1 - 2 * prior.lapse
    passing = prior.lapse + solid * special.ndtr(at)
    slope = solid * np.exp(-at * at / 2) / np.sqrt(2 * np.pi)
    second: Floats = slope**2 / (passing * (1 - passing) * (prior.noise + variance))
    return second


class Outlook:
    """A posterior at one moment, with the moves under way answered as far as variances go."""

    def __init__(self, posterior: Posterior) -> None:
        self._posterior = posterior
        self.ability, self._ability_variance = posterior.marginals(posterior.agents)
        self._easiness, self._easiness_variance = posterior.marginals(posterior.tasks)
        self._agents, self._tasks = posterior.agents.place(), posterior.tasks.place()
        self._asked, self._answered = self._answers()
        """Moves under way × places, both: the covariance that their answers will take is that of the two together."""
        taken = np.append((self._asked * self._answered).sum(axis=0), 0.0)  # the last is for places of -1: at rest
        self.variance: Floats = np.maximum(self._ability_variance - taken[self._agents], 0)
        self._task_variance: Floats = np.maximum(self._easiness_variance - taken[self._tasks], 0)

    def contenders(self, left: Ints) -> Ints:
        """Agents to compare: all that have a seat, and of those at rest with tasks left the one that may be best."""
        seated, _ = self._posterior.agents.seated()
        resting = np.flatnonzero((self._agents < 0) & (left > 0))
        if not resting.size:
            return seated
        bound = self.ability[resting] + np.sqrt(self.variance[resting])
        return np.append(seated, resting[np.argmax(bound)])

    def contrast(self, agent: int, others: Ints) -> Floats:
        """Variances of the others' abilities less the agent's."""
        together = self._column(agent)[self._agents[others]]
        variance: Floats = self.variance[others] + self.variance[agent] - 2 * together
        return np.maximum(variance, 0)

    def worth(self, agent: int, other: int | None, tasks: Ints) -> Floats:
        """By how much, in expectation, the variance of the agent's ability less the other's will shrink if the agent is
        measured on a task. Without another agent: of its ability."""
        mine, places = self._column(agent), self._tasks[tasks]
        variance = self.variance[agent] + self._task_variance[tasks] + 2 * mine[places]
        with_answer = self.variance[agent] + mine[places]
        if other is not None:
            theirs = self._column(other)
            with_answer = with_answer - theirs[self._agents[agent]] - theirs[places]
        mean = self.ability[agent] + self._easiness[tasks]
        worth: Floats = with_answer**2 * expected_second(mean, variance, self._posterior.prior)
        return worth

    def _column(self, agent: int) -> Floats:
        """Covariances of the agent's ability with what is at each place, and 0 for places of -1."""
        place, column = self._agents[agent], np.zeros(len(self._posterior.mean) + 1)
        if place >= 0:
            column[:-1] = self._posterior.covariance[:, place] - self._answered[:, place] @ self._asked
        return column

    def _answers(self) -> tuple[Floats, Floats]:
        """Covariances of what is asked with all there is, and the same by the information that the answers will be."""
        pending, posterior = self._posterior.pending, self._posterior
        agents = np.array([agent for agent, _ in pending], dtype=np.int64)
        tasks = np.array([task for _, task in pending], dtype=np.int64)
        seated = (self._agents[agents] >= 0) & (self._tasks[tasks] >= 0)
        agents, tasks = agents[seated], tasks[seated]
        if not agents.size:
            return (nothing := np.zeros((0, len(posterior.mean)))), nothing
        a, j = self._agents[agents], self._tasks[tasks]
        # Rows of the transpose: in Fortran's order they lie together.
        asked = posterior.covariance.T[a] + posterior.covariance.T[j]
        between = asked[:, a] + asked[:, j]
        variance = between.diagonal()
        second = expected_second(self.ability[agents] + self._easiness[tasks], variance, posterior.prior)
        # An answer that takes `second` from the variance of what is asked is as good as a measurement with this noise.
        noise = 1 / second - variance
        # Not `solve`: with so many right-hand sides it starts threads, which cost more than they do.
        return asked, np.linalg.inv(between + np.diag(noise)) @ asked
