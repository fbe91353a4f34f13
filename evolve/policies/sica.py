"""The policy of SICA: one line of agents, each measured on the whole set before the next one is written.

Source: "A Self-Improving Coding Agent", arXiv 2504.15228, and its released code (runner.py, `select_base_agent`). The
next agent is written by the latest one whose mean is not below the lower 95 % bound of the best one's (normal
approximation), so the line may go on from an agent that only looks worse. A failed attempt is made again from the same
agent. The best agent is the one with the highest mean.

Deviations: the score is the share of tasks solved, as in that function, and not the paper's utility, of which half is
time and money; the archive that agents there can read is not part of a policy.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from evolve.moves import Evaluate, Expand, Move
from evolve.policies.base import Bools, Floats, Fold, View

Z = 1.96
"""Standard errors from a mean to its 95 % bound (`compute_statistics` of the released code)."""


class SICA(BaseModel):
    """One line, every agent measured in full."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Literal["sica"] = "sica"
    sample: int = Field(60, ge=1)
    """The first so many tasks are the set on which every agent is measured (the paper's own: 50)."""

    def fold(self, tasks: int, budget: int) -> Fold | None:
        return None

    def choose(self, view: View, rng: np.random.Generator) -> Move | None:
        if view.may_evaluate:
            due = np.flatnonzero(self._unfinished(view))
            if due.size:
                agent = int(due[0])
                return Evaluate(agent, int(view.open_tasks(agent)[0]))
        waiting = view.expansions_in_flight + view.evaluations_in_flight
        if waiting or not view.may_expand or not 0 < view.evaluations < view.budget:
            return None
        return Expand(base(view))

    def best(self, view: View) -> int | None:
        return next(iter(self.finalists(view, 1)), None)

    def finalists(self, view: View, k: int) -> tuple[int, ...]:
        """Agents measured on the whole set by their means, of equals the older; while there is none, any measured."""
        measured = view.passed + view.failed > 0
        whole = measured & ~self._unfinished(view) & (view.in_flight == 0)
        agents = np.flatnonzero(whole if whole.any() else measured)
        order = np.argsort(-means(view)[agents], kind="stable")
        return tuple(int(agent) for agent in agents[order[:k]])

    def _unfinished(self, view: View) -> Bools:
        """Which agents can be measured on further tasks of the set."""
        unfinished: Bools = (view.left > 0) & view.open[:, : self.sample].any(axis=1)
        return unfinished


def base(view: View) -> int:
    """The agent to write the next one: the latest that may be as good as the best (of equals, the first)."""
    scores = means(view)
    best = int(np.argmax(scores))
    n = int(view.passed[best] + view.failed[best])
    variance = scores[best] * (1 - scores[best]) * n / max(1, n - 1)  # of the sample, as pandas has it
    bound = scores[best] - Z * np.sqrt(variance / n)
    return int(np.flatnonzero(scores >= bound)[-1])


def means(view: View) -> Floats:
    """Share of its tasks that each agent solved; -1 without evidence."""
    measured = view.passed + view.failed
    shares: Floats = np.where(measured > 0, view.passed / np.maximum(1, measured), -1.0)
    return shares
