"""What the next child is to mend: one failed task of its parent, or a weakness that shows in many of its failures.

A policy may have a say (`evolve.moves.Entry`); else it is drawn here.

Weaknesses and shares after HGM and DGM (their `choose_entry`): each weakness that the parent's record shows is taken
with probability 1/4, else one unresolved task. Ours need evidence for every weakness; theirs offers some without any.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from archive import Evaluation, Outcome
from evolve.moves import Expand

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
LESSONS = {
    "contrast": "The agent solved the problem of attempt 1 and failed that of attempt 2. Find what in its program "
    "makes the difference: what carries it through the one is to carry it through the other.",
    "hybrid": "Attempt 1 was made by another agent, whose source is not shown, and solved the problem. Attempt 2, at "
    "the same problem, is this agent's, and failed. Find what in this agent's program keeps it from doing what the "
    "other one did.",
}
"""What two attempts shown together are to teach, by the kind that a policy asked for (`evolve.policies.mendel`)."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A reason to rewrite an agent."""

    name: str
    """`task:<id>` or `weakness:<name>`, or what a policy asked for, `contrast:<solved>, <failed>` or `hybrid:<id>`; as
    the archive records it."""
    evaluations: tuple[Evaluation, ...]
    """The failures it is about; of what a policy asked for, a success and a failure."""

    @property
    def weakness(self) -> str | None:
        kind, _, rest = self.name.partition(":")
        return DESCRIPTIONS[rest] if kind == "weakness" else None

    @property
    def lesson(self) -> str | None:
        return LESSONS.get(self.name.partition(":")[0])


def entry_for(
    move: Expand,
    tasks: Sequence[str],
    evaluations: Sequence[Evaluation],
    overflowed: Callable[[Evaluation], bool],
    rng: np.random.Generator,
) -> Entry:
    """What the child of a move is to be about: what the policy asked for, else it is drawn.

    Args:
        tasks: the columns of the view that the policy saw.
        evaluations: the search's, of the move's agent and peer at least.
        overflowed: whether the model's context overflowed during one of them.
    """
    asked, evidence = move.entry, [row for row in evaluations if row.passed or row.failed]
    if asked.kind == "any":
        own = [row for row in evidence if row.agent == move.agent]
        return choose_entry(own, [row for row in own if overflowed(row)], rng)
    names = [tasks[column] for column in asked.tasks]
    solver = move.agent if asked.peer is None else asked.peer
    of = {(row.agent, row.task): row for row in evidence}
    return Entry(f"{asked.kind}:{', '.join(names)}", (of[solver, names[0]], of[move.agent, names[-1]]))


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
