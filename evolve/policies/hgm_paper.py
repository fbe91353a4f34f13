"""The policy of the Huxley-Gödel Machine to the letter of its paper: the reference that others are compared with.

Source: arXiv 2510.21614, section 3 and algorithm 1. Expand if N^α ≥ |T|, N the evaluations and |T| the agents (the
first one counts), moves under way counted on both sides as in HGM-Async; the parent is the largest of one draw per
agent from Beta(τ(1 + successes), τ(1 + failures)) of its clade; the agent to measure the same by its own results, on a
task drawn from those it has not had; τ = B/b, B the budget and b what remains of it.

Unlike `hgm`, it may expand an agent that nothing is known of, and failed expansions hold nothing back. Where the paper
is silent or cannot be meant: the final agent is the ε-quantile's (`evolve.policies.belief` on the printed ε = 1), and
when every agent is measured on every task, another child is written though the tree is wide enough.
"""

from __future__ import annotations

from typing import Literal

from evolve.policies.hgm import HGM


class HGMPaper(HGM):
    """HGM to the letter of its paper, without the departures of `hgm`."""

    name: Literal["hgm-paper"] = "hgm-paper"  # type: ignore[assignment]
    cooling: Literal[True] = True
    unmeasured: Literal[True] = True
    patience: None = None
