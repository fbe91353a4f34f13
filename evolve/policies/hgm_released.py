"""The policy of the Huxley-Gödel Machine as its released code performs it, with the fault that makes its scores wrong.

Source: the code at commit 013872d (hgm.py, tree.py), read and run; docs/peers.md, T1. At every expansion it walks over
the agents that have solved something, in the order of birth, and gathers the results of each one's clade *in the
agent's own list*, as long as that holds fewer than 10,000. So with every expansion each of them takes over the results
of its descendants once more: all these lists together become those of the clades, the lists as they were before on
the right-hand side. Thompson sampling of parents and of agents to measure both look at these lists.

What else differs from the paper (`hgm-paper`): posteriors are not sharpened; only agents that have solved something
may be expanded, so that a first agent that solves nothing ends the run; the first agent is measured on all tasks before
anything else, and then five children are written before anything is measured (five is what 15 or more workers make of
min(5, workers^α)); neither the first agent nor its results count where the tree's width is compared.

Deviations from that code: the first agent's evaluations are part of the budget, which is never overshot (there it ends
at 800 to 805, without them); the released code chooses no final agent, so here it is the ε-quantile's. What is cut off
with its process leaves no trace, as everywhere in Clade.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from pydantic import Field

from archive import ranking
from evolve.events import Event, Measured, Opened, Tried
from evolve.moves import Evaluate, Expand, Move
from evolve.policies.base import Bools, Floats, Fold, Ints, View
from evolve.policies.belief import ByBelief

PSEUDO = 10_000
"""An agent with so many stored results stands for itself with exactly so many of its mean, which are not stored
(`n_pseudo_descendant_evals` of its configuration)."""


@dataclass(slots=True)
class Stored(Fold):
    """The lists of results that the released code keeps, as numbers by agent."""

    parents: list[int] = field(default_factory=lambda: [-1])
    passed: list[int] = field(default_factory=lambda: [0])
    total: list[int] = field(default_factory=lambda: [0])

    def seen(self, event: Event) -> None:
        match event:
            case Opened(Expand()):
                self._gather()
            case Measured(agent=agent, passed=passed):
                self.passed[agent] += passed
                self.total[agent] += 1
            case Tried(parent=parent, child=child) if child is not None:
                self.parents.append(parent)
                self.passed.append(0)
                self.total.append(0)

    def results(self) -> tuple[Ints, Ints]:
        """Solved and not solved, by agent, as the choice of whom to measure sees it."""
        passed = np.array(self.passed, dtype=np.int64)
        return passed, np.array(self.total, dtype=np.int64) - passed

    def gathered(self) -> tuple[Floats, Floats]:
        """The same as the choice of a parent sees it, after the clades are gathered."""
        own = np.array([self.passed, self.total], dtype=np.float64)
        whole = np.array([clade_sums(self.passed, self.parents), clade_sums(self.total, self.parents)])
        large = own[1] >= PSEUDO
        share = PSEUDO / np.maximum(own[1], 1)
        passed, total = np.where(large, whole - own + own * share, whole)
        return passed, total - passed

    def _gather(self) -> None:
        """An expansion: agents that have solved something and have short lists take over their clades' results."""
        passed, total = clade_sums(self.passed, self.parents), clade_sums(self.total, self.parents)
        for agent, (own, length) in enumerate(zip(self.passed, self.total, strict=True)):
            if own > 0 and length < PSEUDO:
                self.passed[agent], self.total[agent] = passed[agent], total[agent]


class HGMReleased(ByBelief):
    """HGM as released: descendants' results are added to their ancestors' own at every expansion."""

    name: Literal["hgm-released"] = "hgm-released"
    alpha: float = Field(0.6, gt=0, lt=1)
    """How fast the tree may widen."""
    first: int = Field(5, ge=0)
    """Children written before the first of them is measured."""
    mended: bool = False
    """Gather clades in copies: the same policy without the fault."""
    judge: Literal["stored", "real"] = "stored"
    """By which results the final agent is chosen."""

    def fold(self, tasks: int, budget: int) -> Fold | None:
        return None if self.mended else Stored()

    def choose(self, view: View, rng: np.random.Generator) -> Move | None:
        if view.expansions + view.expansions_in_flight == 0 and (view.left[0] or view.in_flight[0]):
            return Evaluate(0, int(view.open_tasks(0)[0])) if view.left[0] and view.may_evaluate else None
        begun = view.expansions + view.expansions_in_flight
        unspent = view.evaluations + view.evaluations_in_flight < view.budget
        if unspent and view.may_expand and (begun < self.first or self._wants_child(view)):
            return self._expansion(view, rng)
        if (view.expansions < self.first and view.expansions_in_flight) or not view.may_evaluate:
            return None
        agents = np.flatnonzero(view.left > 0)
        agent = _draw(self._results(view), agents, rng)
        return Evaluate(agent, int(rng.choice(view.open_tasks(agent))))

    def finalists(self, view: View, k: int) -> tuple[int, ...]:
        passed, failed = self._results(view) if self.judge == "stored" else (view.passed, view.failed)
        return ranking(passed, failed, self.epsilon, k)

    def _wants_child(self, view: View) -> bool:
        """Whether N^α ≥ |T|, the first agent and its results left out."""
        evaluations = view.evaluations + view.evaluations_in_flight - view.measured(0)
        return bool(evaluations**self.alpha >= view.agents - 1 + view.expansions_in_flight)

    def _expansion(self, view: View, rng: np.random.Generator) -> Move | None:
        """Without an agent that has solved something the released code dies; here there is no move."""
        proven: Bools = view.passed > 0
        if not proven.any():
            return None
        whole: tuple[Ints | Floats, Ints | Floats]
        whole = (view.clade_passed, view.clade_failed) if self.mended else memory(view).gathered()
        return Expand(_draw(whole, np.flatnonzero(proven), rng))

    def _results(self, view: View) -> tuple[Ints, Ints]:
        return (view.passed, view.failed) if self.mended else memory(view).results()


def memory(view: View) -> Stored:
    """What `hgm-released` keeps of the run."""
    assert isinstance(view.fold, Stored), "a view for another policy"
    return view.fold


def clade_sums(own: list[int], parents: list[int]) -> list[int]:
    """Sums over every agent and its descendants. Children are younger than their parents."""
    sums = list(own)
    for agent in range(len(sums) - 1, 0, -1):
        sums[parents[agent]] += sums[agent]
    return sums


def _draw(results: tuple[Ints | Floats, Ints | Floats], agents: Ints, rng: np.random.Generator) -> int:
    """Thompson sampling among these agents, by what they solved and did not solve."""
    passed, failed = results
    return int(agents[np.argmax(rng.beta(1 + passed[agents], 1 + failed[agents]))])
