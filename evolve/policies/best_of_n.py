"""The baseline best of n: children of the first agent only, then a tournament among them.

What a tree must beat: independent tries from one agent, and all else spent on telling which of them is best. The
tournament is successive halving (Karnin, Koren and Somekh 2013): in a round all that are left in the field are measured
on the same tasks, as many as an equal share of the remaining budget pays for, and the better half of them goes on. The
first agent takes part. Before it writes children it gets a share too: they are to mend what it fails.

Tasks are taken in the benchmark's order, so what a round decided can be seen from the verdicts at any later time, and
no memory is needed. What the tournament leaves of the budget makes the best of the others surer.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from evolve.moves import Evaluate, Expand, Move
from evolve.policies.base import Ints, View
from evolve.policies.belief import ByBelief


class BestOfN(ByBelief):
    """Children of the first agent only, then successive halving among them."""

    name: Literal["best-of-n"] = "best-of-n"
    alpha: ClassVar[float] = 0.6
    """Without a number of children there are as many as the agents of other policies' trees: budget^0.6."""
    children: int | None = Field(None, ge=1)
    """How many are wanted; None: budget^0.6. Attempts that fail are made again."""
    refine: bool = True
    """Halve the field from round to round; else all are measured alike."""

    def choose(self, view: View, rng: np.random.Generator) -> Move | None:
        if view.evaluations + view.evaluations_in_flight >= view.budget:
            return None
        if view.agents + view.expansions_in_flight <= self._wanted(view) and view.may_expand:
            move = _next(view, np.zeros(1, dtype=np.int64), self._first(view))
            if move is None and view.passed[0] + view.failed[0] and not view.in_flight[0]:
                return Expand(0)
            return move
        return None if view.expansions_in_flight else self._measure(view)

    def _measure(self, view: View) -> Move | None:
        """The next evaluation of the tournament, or of what comes after it."""
        for field, level in self._stages(view):
            if (move := _next(view, field, level)) is not None:
                return move
            if _waiting(view, field, level):
                return None
        for agent in self.finalists(view, view.agents):
            if view.left[agent]:
                return Evaluate(agent, int(view.open_tasks(agent)[0]))
        return None

    def _wanted(self, view: View) -> int:
        """Children."""
        return self.children or int(view.budget**self.alpha)

    def _first(self, view: View) -> int:
        """Tasks on which the first agent is measured before it writes children: the share of one round."""
        return min(len(view.tasks), max(1, view.budget // (1 + self._rounds(1 + self._wanted(view)))))

    def _stages(self, view: View) -> Iterator[tuple[Ints, int]]:
        """Of each round who is in the field, and on how many tasks they are to be measured by its end."""
        field, level, first = np.arange(view.agents), 0, self._first(view)
        remaining = view.budget - first
        for left in range(self._rounds(view.agents), 0, -1):
            ahead = level < first and field[0] == 0  # the first agent, which is measured already
            more = remaining // (left * max(1, len(field) - ahead))
            before, level = level, min(len(view.tasks), level + max(1, more))
            yield field, level
            remaining -= (level - before) * (len(field) - ahead) + ahead * max(0, level - first)
            field = better_half(view, field, level)

    def _rounds(self, agents: int) -> int:
        return max(1, math.ceil(math.log2(agents))) if self.refine else 1


def better_half(view: View, field: Ints, level: int) -> Ints:
    """Those in the field with the highest means on the first so many tasks, of equals the older; in ascending order."""
    verdicts = view.verdict[field, :level]
    means = (verdicts == 1).sum(axis=1) / np.maximum(1, (verdicts >= 0).sum(axis=1))
    best = np.argsort(-means, kind="stable")[: (len(field) + 1) // 2]
    return field[np.sort(best)]


def _waiting(view: View, field: Ints, level: int) -> bool:
    """Whether a verdict on the first so many tasks is yet to come for somebody in the field.

    A pair that is neither open nor has a verdict is in flight or left alone; which of the two, the view does not say.
    So an agent with a pair left alone may be waited for while it is measured on a later task: longer than needed.
    """
    busy = field[view.in_flight[field] > 0]
    return bool((~view.open[busy, :level] & (view.verdict[busy, :level] < 0)).any())


def _next(view: View, field: Ints, level: int) -> Evaluate | None:
    """The first of the first so many tasks on which somebody in the field is yet to be measured."""
    due = view.open[field, :level]
    if not due.any() or not view.may_evaluate:
        return None
    task, place = np.argwhere(due.T)[0]
    return Evaluate(int(field[place]), int(task))
