"""How able each agent is, with an interval: every verdict of a run counted for what it says, whatever policy asked.

A raw mean is over the tasks that an agent happened to be measured on, few of them and chosen by a policy, and of the
agent that a policy chose it is too high. Here all verdicts are explained at once by how easy tasks are, how able agents
are and who is whose child: the model of `evolve.policies.kin_posterior`, with two of its numbers learned from the run
(how much children differ from their parents, how much tasks differ). What is told of an agent is its *skill*: the share
of the search tasks it would solve in expectation.

The posterior is found by expectation propagation (Minka 2001, chapter 3), all verdicts at a time, and the two numbers
by EM between its rounds: O(d³) a round, d being one for the drift and one for each task and agent.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import linalg, special

from archive import History
from evolve.policies.kin_posterior import Prior
from evolve.statistics.births import State, Verdicts, mended

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

SPLIT = "search"
ROUNDS = 40
"""Of expectation propagation, at most."""
DAMPING = 0.7
"""Share of each step that is taken: all verdicts at a time would overshoot."""
CLOSE = 1e-4
"""In logits: no mean moves by more in the last round."""
WORTH = 4
"""Births, and tasks, that the prior's numbers count as when they are learned."""
DRAWS = 1000
DIGITS = 8
"""Of a logit that Gibbs sampling begins with."""


@dataclass(frozen=True, slots=True)
class Skill:
    """What is known of an agent's share of solved search tasks."""

    mean: float
    low: float
    """The 95 % interval's ends."""
    high: float
    p_best: float
    """Probability that no agent of the run is more able."""


@dataclass(frozen=True, slots=True)
class Fit:
    """The posterior of (drift, easiness of each task, ability of each agent): normal, in logits."""

    prior: Prior
    """With what was learned."""
    mean: Floats
    covariance: Floats


def skills(
    history: History, tasks: Sequence[str], *, benchmark: str, seed: int = 0, draws: int = DRAWS
) -> Mapping[int, Skill]:
    """The skill of every agent of a run, measured or not, over these search tasks (not empty).

    All evidence of the benchmark's search split counts, also what a person asked for. The same arguments give the same
    numbers.
    """
    column = {task: number for number, task in enumerate(tasks)}
    rows = [
        (row.agent, column[row.task], row.passed)
        for row in history.evaluations
        if row.benchmark == benchmark and row.split == SPLIT and row.task in column and (row.passed or row.failed)
    ]
    ids = [agent.id for agent in history.agents]
    number = {agent: place for place, agent in enumerate(ids)}
    parents = [-1 if agent.parent is None else number[agent.parent] for agent in history.agents]
    seen = verdicts_of((number[agent], task, passed) for agent, task, passed in rows)
    found = fit(parents, len(tasks), seen)
    return dict(zip(ids, skills_of(found, parents, len(tasks), seen, np.random.default_rng(seed), draws), strict=True))


def verdicts_of(rows: Iterable[tuple[int, int, bool]]) -> Verdicts:
    """From triples of agent, task and whether it passed."""
    table = np.array(list(rows), dtype=np.int64).reshape(-1, 3)
    return Verdicts(table[:, 0], table[:, 1], table[:, 2] > 0)


def fit(parents: Sequence[int], tasks: int, seen: Verdicts, prior: Prior | None = None) -> Fit:
    """The posterior of a tree; each agent's parent comes before it, -1 for the first. A given `prior` is kept as it is,
    otherwise its `step` and `easiness` are learned."""
    now = prior or Prior()
    agents = 1 + tasks + seen.agent
    asked = 1 + seen.task
    precision, shift = np.zeros(len(seen.agent)), np.zeros(len(seen.agent))
    mean, covariance = _normal(parents, tasks, now, agents, asked, precision, shift)
    for _ in range(ROUNDS):
        before = mean
        precision, shift = _answers(mean, covariance, agents, asked, seen.passed, now, precision, shift)
        if prior is None:
            now = _learned(now, parents, tasks, mean, covariance)
        mean, covariance = _normal(parents, tasks, now, agents, asked, precision, shift)
        if np.abs(mean - before).max() < CLOSE:
            break
    return Fit(now, mean, covariance)


def skills_of(
    found: Fit, parents: Sequence[int], tasks: int, seen: Verdicts, rng: np.random.Generator, draws: int = DRAWS
) -> list[Skill]:
    """Each agent's skill, from draws of abilities and easiness together, mended by `mended`."""
    prior = found.prior
    factor = linalg.cholesky(found.covariance, lower=True)
    # Linear algebra's last bits vary with threads and memory, and Gibbs sampling would make other draws of them.
    drawn = (found.mean + rng.standard_normal((draws, len(found.mean))) @ factor.T).round(DIGITS)
    mean = found.mean.round(DIGITS)
    easiness = drawn[:, 1 : 1 + tasks]
    deviation = np.sqrt(found.covariance.diagonal()[1 + tasks :]).round(DIGITS)
    prior = replace(prior, step=round(prior.step, DIGITS))
    state = State(drawn[:, 0].copy(), np.full(draws, prior.step), drawn[:, 1 + tasks :].copy())
    ability = mended(mean[1 + tasks :], deviation, prior, parents, seen, state, easiness, rng)
    solved = np.empty_like(ability)
    for agent in range(ability.shape[1]):
        own = prior.own * rng.standard_normal((draws, tasks))
        logits = ability[:, agent, None] + easiness + own
        solved[:, agent] = (prior.lapse + (1 - 2 * prior.lapse) * special.expit(logits)).mean(axis=1)
    best = np.bincount(solved.argmax(axis=1), minlength=ability.shape[1]) / draws
    low, high = np.quantile(solved, [0.025, 0.975], axis=0)
    return [Skill(*(float(value) for value in each)) for each in zip(solved.mean(axis=0), low, high, best, strict=True)]


def _normal(
    parents: Sequence[int], tasks: int, prior: Prior, agents: Ints, asked: Ints, precision: Floats, shift: Floats
) -> tuple[Floats, Floats]:
    """Mean and covariance of the prior with a normal term for each verdict."""
    size = 1 + tasks + len(parents)
    information, weighted = np.zeros((size, size)), np.zeros(size)
    information[0, 0], weighted[0] = prior.drift_sd**-2, prior.drift * prior.drift_sd**-2
    diagonal = np.arange(1, 1 + tasks)
    information[diagonal, diagonal] = prior.easiness**-2
    information[1 + tasks, 1 + tasks] = prior.first**-2
    for child, parent in enumerate(parents):
        if parent >= 0:  # (θ_c - θ_p - δ)² / step²
            places, signs = [1 + tasks + child, 1 + tasks + parent, 0], np.array([1.0, -1.0, -1.0])
            information[np.ix_(places, places)] += np.outer(signs, signs) / prior.step**2
    for rows in (agents, asked):
        np.add.at(weighted, rows, shift)
        for columns in (agents, asked):
            np.add.at(information, (rows, columns), precision)
    covariance: Floats = linalg.inv(information)
    covariance = (covariance + covariance.T) / 2
    return covariance @ weighted, covariance


def _answers(
    mean: Floats,
    covariance: Floats,
    agents: Ints,
    asked: Ints,
    passed: npt.NDArray[np.bool_],
    prior: Prior,
    precision: Floats,
    shift: Floats,
) -> tuple[Floats, Floats]:
    """The next normal term for each verdict: with all others as they are, mean and variance become the right ones."""
    variance = covariance[agents, agents] + covariance[asked, asked] + 2 * covariance[agents, asked]
    without = 1 / np.maximum(1 / variance - precision, 1e-6)
    centre = without * ((mean[agents] + mean[asked]) / variance - shift)
    first, second = answers(centre, without, passed, prior)
    new = np.maximum(second / np.maximum(1 - second * without, 1e-6), 0)
    wanted = (1 + new * without) * first + new * centre
    return precision + DAMPING * (new - precision), shift + DAMPING * (wanted - shift)


def answers(mean: Floats, variance: Floats, passed: npt.NDArray[np.bool_], prior: Prior) -> tuple[Floats, Floats]:
    """`kin_posterior.answer` for many."""
    sign, spread = np.where(passed, 1.0, -1.0), np.sqrt(prior.noise + variance)
    at = sign * mean / spread
    solid = 1 - 2 * prior.lapse
    ratio = solid * np.exp(-at * at / 2) / np.sqrt(2 * np.pi) / (prior.lapse + solid * special.ndtr(at))
    return sign * ratio / spread, ratio * (at + ratio) / spread**2


def _learned(prior: Prior, parents: Sequence[int], tasks: int, mean: Floats, covariance: Floats) -> Prior:
    """One step of EM, with the first guesses as so many births and tasks."""
    guess = Prior()
    children = np.array([child for child, parent in enumerate(parents) if parent >= 0], dtype=np.int64)
    above = np.array([parents[child] for child in children], dtype=np.int64)
    c, p = 1 + tasks + children, 1 + tasks + above
    step = mean[c] - mean[p] - mean[0]
    spread = (
        covariance[c, c] + covariance[p, p] + covariance[0, 0]
        - 2 * covariance[c, p] - 2 * covariance[c, 0] + 2 * covariance[p, 0]
    )  # fmt: skip
    steps = WORTH * guess.step**2 + float((step**2 + spread).sum())
    place = np.arange(1, 1 + tasks)
    easy = WORTH * guess.easiness**2 + float((mean[place] ** 2 + covariance[place, place]).sum())
    return replace(
        prior, step=float(np.sqrt(steps / (WORTH + len(c)))), easiness=float(np.sqrt(easy / (WORTH + tasks)))
    )
