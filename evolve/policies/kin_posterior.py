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
SEATS = 256
"""Agents, and tasks, in the joint posterior: the time of an update grows with the square of them. At α = 0.6 a run has
so many agents after 10,000 evaluations. After that, the least promising ones are put at rest (`Kind`); of more tasks,
the first ones asked for have the seats."""
DRIFT = 0
"""The drift's place in the joint posterior."""


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
        self.places: dict[int, int] = {}
        """Who has a seat, and where."""
        self._seated: tuple[Ints, Ints] | None = None

    def append(self) -> int:
        """A new one."""
        if self.n == len(self.mean):
            self.mean, self.variance = (
                np.concatenate([each, np.zeros(max(64, each.size))]) for each in (self.mean, self.variance)
            )
        self.n += 1
        return self.n - 1

    def seat(self, number: int, place: int) -> None:
        self.places[number] = place
        self._seated = None

    def leave(self, number: int) -> int:
        """The place that is empty now."""
        self._seated = None
        return self.places.pop(number)

    def seated(self) -> tuple[Ints, Ints]:
        """Who has a seat, in the order of their numbers, and where."""
        if self._seated is None:
            pairs = np.array(sorted(self.places.items()), dtype=np.int64).reshape(-1, 2)
            self._seated = pairs[:, 0].copy(), pairs[:, 1].copy()
        return self._seated

    def place(self) -> Ints:
        """The place of each by its number; -1: at rest."""
        found = np.full(self.n, -1)
        numbers, places = self.seated()
        found[numbers] = places
        return found


class Posterior:
    """The joint posterior, as a fold over a run's events (`evolve.policies.base.Fold`)."""

    def __init__(self, tasks: int, prior: Prior | None = None, *, seats: int = SEATS) -> None:
        """`seats`: at least 2; of agents, and of tasks."""
        self.prior = prior = prior or Prior()
        places = 1 + min(tasks, seats)
        self.tasks = Kind(np.zeros(tasks), np.full(tasks, prior.easiness**2), 1, min(tasks, seats))
        self.agents = Kind(np.zeros(1), np.full(1, prior.first**2), places, seats)
        self.mean: Floats = np.zeros(places + min(64, seats))
        self.covariance: Floats = np.zeros((len(self.mean), len(self.mean)), order="F")
        self.mean[DRIFT], self.covariance[DRIFT, DRIFT] = prior.drift, prior.drift_sd**2
        self._enter(self.agents, 0, places)
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
                if task not in self.tasks.places and len(self.tasks.places) < self.tasks.seats:
                    self._enter(self.tasks, task, self.tasks.first + len(self.tasks.places))
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
        mean, variance = kind.mean[: kind.n].copy(), kind.variance[: kind.n].copy()
        numbers, places = kind.seated()
        mean[numbers], variance[numbers] = self.mean[places], self.covariance.diagonal()[places]
        return mean, variance

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Posterior):
            return NotImplemented
        same = all(np.array_equal(a, b) for a, b in zip(self._arrays(), other._arrays(), strict=True))
        return same and self.prior == other.prior and self.pending == other.pending

    def _arrays(self) -> tuple[Floats | Ints, ...]:
        return (
            *self.marginals(self.agents), *self.marginals(self.tasks), self.agents.place(), self.tasks.place(),
            self.mean, self.covariance, self.seconds, self.usd,
        )  # fmt: skip

    def _learn(self, agent: int, task: int, passed: bool) -> None:
        asked = ((self.agents, agent), (self.tasks, task))
        with_answer, mean, variance = np.zeros(len(self.mean)), 0.0, 0.0
        for kind, number in asked:
            if (place := kind.places.get(number)) is None:
                mean, variance = mean + kind.mean[number], variance + kind.variance[number]
            else:
                mean += self.mean[place]
                with_answer += self.covariance[:, place]
        seated = [kind.places[number] for kind, number in asked if number in kind.places]
        first, second = answer(float(mean), float(variance + with_answer[seated].sum()), passed, self.prior)
        for kind, number in asked:
            if number not in kind.places:
                kind.mean[number] += first * kind.variance[number]
                kind.variance[number] -= second * kind.variance[number] ** 2
        self.mean += first * with_answer
        # In place: numpy would make three passes over a copy. The array must be in Fortran's order for that.
        dger(-second, with_answer, with_answer, a=self.covariance, overwrite_a=1)

    def _birth(self, parent: int) -> None:
        child = self.agents.append()
        place = self._free(parent)
        beside, mean, variance = self.covariance[:, DRIFT].copy(), self.mean[DRIFT], self.prior.step**2
        if (p := self.agents.places.get(parent)) is None:
            mean, variance = mean + self.agents.mean[parent], variance + self.agents.variance[parent]
        else:
            beside += self.covariance[:, p]
            mean, variance = mean + self.mean[p], variance + beside[p] + self.covariance[DRIFT, p]
        self.agents.seat(child, place)
        self.covariance[:, place] = self.covariance[place] = beside
        self.mean[place], self.covariance[place, place] = mean, variance + self.covariance[DRIFT, DRIFT]

    def _free(self, parent: int) -> int:
        """An empty place for an agent. If there is none, the least promising one makes room; not the parent."""
        agents = self.agents
        place = agents.first + len(agents.places)
        if len(agents.places) < agents.seats:
            if place == len(self.mean):
                self._grow()
            return place
        numbers, places = agents.seated()
        bound = self.mean[places] + np.sqrt(self.covariance.diagonal()[places])
        bound[numbers == parent] = np.inf
        leaving = int(numbers[np.argmin(bound)])
        place = agents.leave(leaving)
        agents.mean[leaving], agents.variance[leaving] = self.mean[place], self.covariance[place, place]
        self.covariance[:, place] = self.covariance[place] = 0
        return place

    def _enter(self, kind: Kind, number: int, place: int) -> None:
        """Give a seat to one that is independent of all else indeed: nothing was seen of it yet."""
        kind.seat(number, place)
        self.mean[place], self.covariance[place, place] = kind.mean[number], kind.variance[number]

    def _grow(self) -> None:
        """Make room for as many agents again."""
        old, first = len(self.mean), self.agents.first
        new = min(2 * old - first, first + self.agents.seats)
        mean, covariance = np.zeros(new), np.zeros((new, new), order="F")
        mean[:old], covariance[:old, :old] = self.mean, self.covariance
        self.mean, self.covariance = mean, covariance
