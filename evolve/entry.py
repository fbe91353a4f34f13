"""What the next child is to mend: one failed task of its parent, or a weakness that shows in many of its failures.

Weaknesses and shares after HGM and DGM (their `choose_entry`): each weakness that the parent's record shows is taken
with probability 1/4, else one unresolved task. Ours need evidence for every weakness; theirs offers some without any.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from archive import Evaluation, Outcome

SHARE = 0.25
"""Probability of a weakness that is there."""
FREQUENT = 0.1
"""Share of a parent's evaluations that makes an outcome a weakness."""
SHOWN = 3
"""Failures given as evidence for a weakness."""

WEAKNESSES: dict[Outcome, tuple[str, str]] = {
    Outcome.EMPTY_PATCH: ("empty_patches", "The agent often ends without having changed any file."),
    Outcome.TIMED_OUT: ("time_outs", "The agent often does not end within its time limit."),
    Outcome.AGENT_CRASHED: ("crashes", "The agent's own program often crashes."),
    Outcome.OVER_BUDGET: ("over_budget", "The agent often uses up its budget of model calls before it has finished."),
}
OVERFLOW = ("context_overflow", "The agent's messages often grow longer than the model's context.")
NOTHING_FAILED = (
    "none_seen",
    "The agent has solved all that it was measured on so far. Make it able to solve harder problems: more careful, "
    "more persistent, better at using what its tools tell it.",
)
DESCRIPTIONS = dict([*WEAKNESSES.values(), OVERFLOW, NOTHING_FAILED])


@dataclass(frozen=True, slots=True)
class Entry:
    """A reason to rewrite an agent."""

    name: str
    """`task:<id>` or `weakness:<name>`, as the archive records it."""
    evaluations: tuple[Evaluation, ...]
    """The failures it is about."""

    @property
    def weakness(self) -> str | None:
        kind, _, rest = self.name.partition(":")
        return DESCRIPTIONS[rest] if kind == "weakness" else None


def choose_entry(
    evaluations: Sequence[Evaluation], overflowed: Sequence[Evaluation], rng: np.random.Generator
) -> Entry:
    """An entry for a parent.

    Args:
        evaluations: the parent's evaluations that are evidence.
        overflowed: those in which the model's context overflowed.
    """
    failures = [row for row in evaluations if row.failed]
    for outcome, (name, _) in WEAKNESSES.items():
        rows = [row for row in failures if row.outcome is outcome]
        if rows and len(rows) >= FREQUENT * len(evaluations) and rng.random() < SHARE:
            return Entry(f"weakness:{name}", tuple(rows[-SHOWN:]))
    if len(overflowed) >= 2 and rng.random() < SHARE:
        return Entry(f"weakness:{OVERFLOW[0]}", tuple(overflowed[-SHOWN:]))
    if not failures:
        return Entry(f"weakness:{NOTHING_FAILED[0]}", tuple(evaluations[-1:]))
    row = failures[int(rng.integers(len(failures)))]
    return Entry(f"task:{row.task}", (row,))
