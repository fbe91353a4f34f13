"""The policy of the Mendel Gödel Machine: HGM's choices, and two operators that say what a child is to learn from.

Source: "Mendel Gödel Machine", arXiv 2608.07645. With every expansion an operator is drawn:

- *any* (A): what HGM and DGM do, one failure or weakness of the parent (`evolve.entry`);
- *contrast* (B, its reaction-norm mutation): a task that the parent solved beside one that it failed;
- *hybrid* (C, its cross-lineage hybridisation): a task that the parent failed, and how a peer solved it, an agent of
  another line: neither its ancestor nor its descendant.

Where an operator finds nothing to work on, `any` takes its place. The child of a hybrid belongs to the agent whose code
is rewritten; the peer is recorded beside it and is no second parent of the clade sums.

Deviations: parents and agents to measure are chosen as `hgm` does, on sums over frozen rows (its released code has
HGM's fault, and rewrites and records the wrong one of the two agents of a hybrid). Peers are drawn in proportion to
their posterior means.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import model_validator

from evolve.moves import ANY, Entry, Expand, Move
from evolve.policies.base import Bools, Ints, View
from evolve.policies.hgm import HGM


class Mendel(HGM):
    """HGM with contrasts and hybrids."""

    name: Literal["mendel"] = "mendel"  # type: ignore[assignment]
    weights: tuple[float, float, float] = (0.1, 0.45, 0.45)
    """Of the operators any, contrast and hybrid, in proportion (paper: .1 : .45 : .45)."""

    @model_validator(mode="after")
    def _weights_are_shares(self) -> Mendel:
        if min(self.weights) < 0 or sum(self.weights) <= 0:
            raise ValueError("weights are not negative, and not all of them are zero")
        return self

    def choose(self, view: View, rng: np.random.Generator) -> Move | None:
        move = super().choose(view, rng)
        return Expand(move.agent, self.entry(view, move.agent, rng)) if isinstance(move, Expand) else move

    def entry(self, view: View, parent: int, rng: np.random.Generator) -> Entry:
        """What a child of this agent is to be about."""
        shares = np.array(self.weights) / sum(self.weights)
        operator = int(rng.choice(3, p=shares))
        solved, failed = np.flatnonzero(view.verdict[parent] == 1), np.flatnonzero(view.verdict[parent] == 0)
        if operator == 1 and solved.size and failed.size:
            return Entry("contrast", (int(rng.choice(solved)), int(rng.choice(failed))))
        if operator == 2:
            return _hybrid(view, parent, failed, rng)
        return ANY


def _hybrid(view: View, parent: int, failed: Ints, rng: np.random.Generator) -> Entry:
    """A failed task and an agent of another line that solved it, if there are such."""
    strangers = np.flatnonzero(~line(view, parent))
    solved = view.verdict[np.ix_(strangers, failed)] == 1
    lessons = np.flatnonzero(solved.any(axis=0))
    if not lessons.size:
        return ANY
    place = int(rng.choice(lessons))
    peers = strangers[solved[:, place]]
    means = (1 + view.passed[peers]) / (2 + view.passed[peers] + view.failed[peers])
    return Entry("hybrid", (int(failed[place]),), int(rng.choice(peers, p=means / means.sum())))


def line(view: View, agent: int) -> Bools:
    """Which agents are of its line: itself, its ancestors and its descendants."""
    found: Bools = np.arange(view.agents) == agent
    up = np.maximum(view.parent, 0)
    while up.any():  # of everybody first the parent, then the grandparent, the fourth ancestor, the eighth …
        found |= found[up]
        up = up[up]
    found |= found[up]
    while agent > 0:
        agent = int(view.parent[agent])
        found[agent] = True
    return found
