"""Clade's own policy: a joint posterior over tasks and kin, and the question whose answer says most about who is best.

It differs from HGM's in what it counts as evidence (`kin_posterior`): verdicts on easy and on hard tasks are not the
same, parents and children share evidence by their kinship and not by the bucket, and that children are worse on average
is learned. On that posterior:

- the parent is the agent with the highest upper bound of ability (UCB), less what is under way with it already, and
  less where its expansions bear no child;
- of the agent that leads and the one that most probably is better (expected improvement), the one less known is
  measured: the top-two rule of best-arm identification (Qin, Klabjan and Russo 2017);
- on the task whose answer, in expectation, says most about the difference of the two;
- near the end no child is born that could not be measured any more.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from pydantic import Field
from scipy import special

from evolve.moves import Evaluate, Expand, Move
from evolve.policies.base import Floats, Fold, Ints, View
from evolve.policies.kin_outlook import Outlook
from evolve.policies.kin_posterior import Posterior, Prior
from evolve.policies.widening import Widening

USUAL_BIRTHS, USUAL_ATTEMPTS = 7, 10
"""What an agent's expansions are taken to have given before the first: so few failures say little."""
USUAL_VERDICTS = 2
"""Of a task's price, beside its own verdicts: so many at the price of all tasks."""
JITTER = 0.9
"""Of tasks whose worth differs by less than this factor, chance decides: not all runs ask the same first questions."""


class Kin(Widening):
    """Upper bounds of ability to expand, the most telling comparison to measure."""

    name: Literal["kin"] = "kin"
    optimism: float = Field(1.0, ge=0)
    """Standard deviations by which the upper bound of a parent's ability lies above its mean."""
    step: float = Field(0.9, gt=0)
    """Prior standard deviation of a child's ability around its parent's and the drift, in logits: with the broken
    children in it, who lie far below. (`Prior.step` is without them.)"""
    drift: float = -0.1
    """Prior mean of what a birth adds to ability, in logits; the run's own evidence moves it."""
    reserve: float = Field(0.05, ge=0, lt=1)
    """Share of the evaluations, the last ones, during which no child is born."""
    cost: Literal["evaluation", "seconds", "usd"] = "evaluation"
    """What a task's worth is divided by: nothing, or its expected time or price."""

    def fold(self, tasks: int, budget: int) -> Fold:
        return Posterior(tasks, Prior(step=self.step, drift=self.drift))

    def choose(self, view: View, rng: np.random.Generator) -> Move | None:
        remaining = view.budget - view.evaluations - view.evaluations_in_flight
        late = remaining < self.reserve * view.budget
        if remaining > 0 and view.may_expand and ((self.wants_child(view) and not late) or not view.left.any()):
            parents = self.parents(view)
            if parents.size:
                return Expand(self.parent(view, parents, rng))
        if not view.may_evaluate:
            return None
        outlook = Outlook(memory(view))
        agent, other = pair(view, outlook)
        return Evaluate(agent, self._task(view, outlook, agent, other, rng))

    def parent(self, view: View, eligible: Ints, rng: np.random.Generator) -> int:
        mean, variance = memory(view).ability()
        fertility = (USUAL_BIRTHS + view.children) / (USUAL_ATTEMPTS + view.attempts)
        bound = mean + self.optimism * np.sqrt(variance) - np.log1p(view.expanding) / 2 + np.log(fertility)
        return int(eligible[np.argmax(bound[eligible])])

    def candidate(self, view: View, eligible: Ints, rng: np.random.Generator) -> int:
        return pair(view, Outlook(memory(view)))[0]

    def finalists(self, view: View, k: int) -> tuple[int, ...]:
        """Measured agents by the ε-quantile of ability; of equals the one with more evidence, then the older."""
        evidence = view.passed + view.failed
        mean, variance = memory(view).ability()
        agents = np.flatnonzero(evidence > 0)
        belief = (mean + special.ndtri(self.epsilon) * np.sqrt(variance))[agents]
        order = np.lexsort((agents, -evidence[agents], -belief))
        return tuple(int(agent) for agent in agents[order[:k]])

    def _task(self, view: View, outlook: Outlook, agent: int, other: int | None, rng: np.random.Generator) -> int:
        tasks = view.open_tasks(agent)
        worth = outlook.worth(agent, other, tasks) * rng.uniform(JITTER, 1, len(tasks))
        if self.cost != "evaluation":
            worth = worth / price(getattr(memory(view), self.cost))[tasks]
        return int(tasks[np.argmax(worth)])


def memory(view: View) -> Posterior:
    """What `kin` remembers of the run."""
    assert isinstance(view.fold, Posterior), "a view for another policy"
    return view.fold


def pair(view: View, outlook: Outlook) -> tuple[int, int | None]:
    """The agent to measure, with tasks left, and the one that it is compared with; None if it is alone."""
    agents = outlook.contenders(view.left)
    ability = outlook.ability[agents]
    best = int(ability.argmax())
    leader = int(agents[best])
    gain = improvement(ability - ability[best], np.sqrt(outlook.contrast(leader, agents)))
    gain[best] = -1
    challenger = int(agents[gain.argmax()])
    if challenger == leader:
        return leader, None
    if view.left[leader] and outlook.variance[leader] > outlook.variance[challenger]:
        return leader, challenger
    gain[view.left[agents] == 0] = -2
    agent = int(agents[gain.argmax()])
    return agent, challenger if agent == leader else leader


def improvement(mean: Floats, deviation: Floats) -> Floats:
    """E[max(0, x)] of normal x."""
    spread = np.maximum(deviation, 1e-9)
    at = mean / spread
    gain = special.ndtr(at)
    gain *= at
    at *= at
    at *= -0.5
    gain += np.exp(at, out=at) * (1 / math.sqrt(2 * math.pi))
    gain *= spread
    return gain


def price(spent: Floats) -> Floats:
    """Expected cost of a verdict on each task, from sums and numbers of verdicts; 1 for all while nothing is known."""
    total, verdicts = spent.sum(axis=0)
    usual = total / verdicts if total > 0 else 1.0
    expected: Floats = (spent[:, 0] + USUAL_VERDICTS * usual) / (spent[:, 1] + USUAL_VERDICTS)
    return expected
