"""What `kin` remembers: one joint normal posterior over how easy tasks are, how able agents are, and how births drift.

The model, in logits. Agent a solves task j with probability lapse + (1 - 2·lapse)·Φ((θ_a + e_j) / √(8/π + own²)): the
probit with the logistic's slope at zero, effects of the agent's own on single tasks (standard deviation `own`)
integrated out, and a share of verdicts that say nothing. Before any evidence e_j ~ N(0, easiness²), θ_0 ~ N(0, first²),
and a child is its parent and a step: θ_c = θ_p + δ + N(0, step²), the drift δ ~ N(drift, drift_sd²) being learned.
So kin share evidence in proportion to their kinship, and who was measured on easy tasks is not flattered by them.

Each verdict is taken in by moment matching (assumed-density filtering: Minka, "A family of algorithms for approximate
Bayesian inference", 2001, chapter 3; as in TrueSkill, Herbrich et al. 2006): exact for one verdict, and after that as
good as a normal is. One rank-one update of the covariance each: O(d²), d being one for the drift and one for each task
and agent that has a seat (`Kind`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.linalg.blas import dger

from evolve.events import Event, Measured, Opened, Tried, Voided
from evolve.moves import Evaluate
from evolve.policies.base import Floats, Ints

LOGISTIC = 8 / math.pi
"""Variance of the normal whose distribution function has the logistic's slope at zero (MacKay 1992)."""
SEATS = 128
"""Agents, and tasks, in the joint posterior: the time of an update grows with the square of them. At α = 0.6 a run has
so many agents after 3,300 evaluations. After that, the least promising ones are put at rest (`Kind`); of more tasks,
the first ones asked for have the seats."""
DRIFT = 0
"""The drift's place in the joint posterior."""
UNTHREADED = 8_000
"""Entries that OpenBLAS changes with one thread: with more, it starts several, which cost more than they do (8 times as
much was measured), and whose number must not matter."""


@dataclass(frozen=True, slots=True)
class Prior:
    """What is believed before any evidence, in logits. Judged, not fitted to a benchmark: two published agents that
    solve 245 and 265 of 500 tasks, and 205 both, speak for tasks that differ by 3 or more; nobody has published the
    rest. What moving them costs: examples/bench/ablation.py."""

    easiness: float = 3.0
    first: float = 3.0
    """So wide that a first agent which solves next to nothing, or nearly all, is no surprise."""
    drift: float = -0.1
    drift_sd: float = 0.5
    step: float = 0.6
    """Of births that break nothing: `evolve.statistics.births` has others apart. `kin` takes a wider one for all."""
    own: float = 0.55
    lapse: float = 0.01

    @property
    def noise(self) -> float:
        """Variance of a verdict around θ_a + e_j."""
        return LOGISTIC + self.own**2


def answer(mean: float, variance: float, passed: bool, prior: Prior) -> tuple[float, float]:
    """First and minus second derivative of a verdict's log evidence by the mean of θ_a + e_j.

    If g are covariances of all there is with θ_a + e_j, means move by g times the first and the covariance by -g·gᵀ
    times the second. That is negative where a verdict is so surprising that it is best explained as a lapse.
    """
    sign, spread = (1.0 if passed else -1.0), math.sqrt(prior.noise + variance)
    at = sign * mean / spread
    solid = 1 - 2 * prior.lapse
    ratio = solid * normal_density(at) / (prior.lapse + solid * normal_below(at))
    return sign * ratio / spread, ratio * (at + ratio) / spread**2


def normal_density(at: float) -> float:
    return math.exp(-at * at / 2) / math.sqrt(2 * math.pi)


def normal_below(at: float) -> float:
    return math.erfc(-at / math.sqrt(2)) / 2


class Kind:
    """All agents, or all tasks: who has a seat in the joint posterior, and what is known of those who have none.

    These are *at rest*: normal, and taken as independent of all else. Their own evidence moves them, and nothing else
    does; they never get a seat again, because what they had in common with the others is forgotten, and would be
    counted twice.
    """

    def __init__(self, mean: Floats, variance: Floats, first: int, seats: int) -> None:
        """Seats are the places from `first` on."""
        self.n = len(mean)
        self.mean, self.variance = mean, variance
        """At rest, by number; out of date for who has a seat."""
        self.first, self.seats = first, seats
        self.taken = 0
        """Seats, from the first on; none is empty between two taken ones."""
        self._place: Ints = np.full(self.n, -1)

    @property
    def place(self) -> Ints:
        """The place of each by its number; -1: at rest."""
        return self._place[: self.n]

    @property
    def all_seated(self) -> bool:
        return self.taken == self.n

    def append(self) -> int:
        """A new one, without a seat."""
        if self.n == len(self.mean):
            more = max(64, self.n)
            self.mean = np.concatenate([self.mean, np.zeros(more)])
            self.variance = np.concatenate([self.variance, np.zeros(more)])
            self._place = np.concatenate([self._place, np.full(more, -1)])
        self.n += 1
        return self.n - 1

    def sit(self, number: int) -> int:
        """Give the next free seat away: its place."""
        place = self.first + self.taken
        self.taken += 1
        self._place[number] = place
        return place

    def succeed(self, leaving: int, number: int) -> int:
        """Give the seat of one who goes to rest to another: its place."""
        place = int(self._place[leaving])
        self._place[leaving], self._place[number] = -1, place
        return place

    def seated(self) -> Ints:
        """Who has a seat, in the order of their numbers."""
        return np.flatnonzero(self.place >= 0)


class Posterior:
    """The joint posterior, as a fold over a run's events (`evolve.policies.base.Fold`)."""

    def __init__(self, tasks: int, prior: Prior | None = None, *, seats: int = SEATS) -> None:
        """`seats`: at least 2; of agents, and of tasks."""
        self.prior = prior = prior or Prior()
        places = 1 + min(tasks, seats)
        self.tasks = Kind(np.zeros(tasks), np.full(tasks, prior.easiness**2), 1, min(tasks, seats))
        self.agents = Kind(np.zeros(1), np.full(1, prior.first**2), places, seats)
        self._room(places + min(64, seats))
        self.mean[DRIFT], self.covariance[DRIFT, DRIFT] = prior.drift, prior.drift_sd**2
        self._enter(self.agents, 0)
        if tasks <= seats:
            for task in range(tasks):
                self._enter(self.tasks, task)
        self.pending: list[tuple[int, int]] = []
        """Evaluations under way, in the order of their beginning: agent, task."""
        self.seconds: Floats = np.zeros((tasks, 2))
        """By task: sum over verdicts, and their number."""
        self.usd: Floats = np.zeros((tasks, 2))

    def seen(self, event: Event) -> None:
        """Take in what happened next."""
        match event:
            case Opened(Evaluate(agent, task)):
                self.pending.append((agent, task))
                if self.tasks.taken < self.tasks.seats and self.tasks.place[task] < 0:
                    self._enter(self.tasks, task)
            case Measured(agent, task):
                self.pending.remove((agent, task))
                self.seconds[task] += event.seconds, 1
                self.usd[task] += event.usd, 1
                self._learn(agent, task, event.passed)
            case Voided(Evaluate(agent, task)):
                self.pending.remove((agent, task))
            case Tried(parent, child) if child is not None:
                self._birth(parent)

    def ability(self) -> tuple[Floats, Floats]:
        """Mean and variance of each agent's."""
        return self.marginals(self.agents)

    def marginals(self, kind: Kind) -> tuple[Floats, Floats]:
        """Means and variances of all agents, or all tasks, by their numbers."""
        place = kind.place
        mean, variance = self.mean[place], self.variance[place]
        if not kind.all_seated:
            resting = place < 0
            mean[resting], variance[resting] = kind.mean[: kind.n][resting], kind.variance[: kind.n][resting]
        return mean, variance

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Posterior):
            return NotImplemented
        same = all(np.array_equal(a, b) for a, b in zip(self._arrays(), other._arrays(), strict=True))
        return same and self.prior == other.prior and self.pending == other.pending

    def _arrays(self) -> tuple[Floats | Ints, ...]:
        return (
            *self.marginals(self.agents), *self.marginals(self.tasks), self.agents.place, self.tasks.place,
            self.mean, self.covariance, self.seconds, self.usd,
        )  # fmt: skip

    def _learn(self, agent: int, task: int, passed: bool) -> None:
        places = [int(kind.place[number]) for kind, number in ((self.agents, agent), (self.tasks, task))]
        if min(places) < 0:
            self._learn_at_rest(agent, task, passed)
            return
        a, j = places
        with_answer = self.covariance[:, a] + self.covariance[:, j]
        mean, variance = self.mean.item(a) + self.mean.item(j), with_answer.item(a) + with_answer.item(j)
        self._move(with_answer, *answer(mean, variance, passed, self.prior))

    def _learn_at_rest(self, agent: int, task: int, passed: bool) -> None:
        """A verdict about an agent or on a task without a seat: each is moved where it is."""
        asked = ((self.agents, agent), (self.tasks, task))
        with_answer, mean, variance = np.zeros(len(self.mean)), 0.0, 0.0
        for kind, number in asked:
            if (place := kind.place[number]) < 0:
                mean, variance = mean + kind.mean[number], variance + kind.variance[number]
            else:
                mean, variance = mean + self.mean[place], variance + self.variance[place]
                with_answer += self.covariance[:, place]
        first, second = answer(float(mean), float(variance), passed, self.prior)
        for kind, number in asked:
            if kind.place[number] < 0:
                kind.mean[number] += first * kind.variance[number]
                kind.variance[number] -= second * kind.variance[number] ** 2
        self._move(with_answer, first, second)

    def _move(self, with_answer: Floats, first: float, second: float) -> None:
        """Take in an answer, with whose subject all there is has these covariances."""
        self.mean += first * with_answer
        # In place: numpy would make three passes over a copy. Columns lie together in Fortran's order, so some of them
        # are an array that BLAS takes as it is.
        for start in range(0, len(self.mean), self._columns):
            part = slice(start, start + self._columns)
            dger(-second, with_answer, with_answer[part], a=self.covariance[:, part], overwrite_a=1)

    def _birth(self, parent: int) -> None:
        child = self.agents.append()
        place = self._free(parent, child)
        beside, mean, variance = self.covariance[:, DRIFT].copy(), self.mean[DRIFT], self.prior.step**2
        if (p := int(self.agents.place[parent])) < 0:
            mean, variance = mean + self.agents.mean[parent], variance + self.agents.variance[parent]
        else:
            beside += self.covariance[:, p]
            mean, variance = mean + self.mean[p], variance + beside[p] + self.covariance[DRIFT, p]
        beside[place] = variance + self.covariance[DRIFT, DRIFT]
        self.covariance[:, place] = self.covariance[place] = beside
        self.mean[place] = mean

    def _free(self, parent: int, child: int) -> int:
        """A place for a child. If there is none, the least promising agent makes room; not the parent."""
        agents = self.agents
        if agents.taken < agents.seats:
            if agents.first + agents.taken == len(self.mean):
                self._grow()
            return agents.sit(child)
        numbers = agents.seated()
        places = agents.place[numbers]
        bound = self.mean[places] + np.sqrt(self.variance[places])
        bound[numbers == parent] = np.inf
        leaving = int(numbers[np.argmin(bound)])
        place = agents.succeed(leaving, child)
        agents.mean[leaving], agents.variance[leaving] = self.mean[place], self.variance[place]
        self.covariance[:, place] = self.covariance[place] = 0
        return place

    def _enter(self, kind: Kind, number: int) -> None:
        """Give a seat to one that is independent of all else indeed: nothing was seen of it yet."""
        place = kind.sit(number)
        self.mean[place], self.covariance[place, place] = kind.mean[number], kind.variance[number]

    def _room(self, places: int) -> None:
        """Arrays for so many places, all zero."""
        self.mean: Floats = np.zeros(places)
        self.covariance: Floats = np.zeros((places, places), order="F")
        self.variance: Floats = self.covariance.ravel("K")[:: places + 1]
        """The covariance's diagonal, as a window on it."""
        self._columns = max(1, UNTHREADED // places)
        """How many of the covariance's columns are changed at a time."""

    def _grow(self) -> None:
        """Make room for as many agents again."""
        mean, covariance, old, first = self.mean, self.covariance, len(self.mean), self.agents.first
        self._room(min(2 * old - first, first + self.agents.seats))
        self.mean[:old], self.covariance[:old, :old] = mean, covariance
