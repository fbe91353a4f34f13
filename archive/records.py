"""The archive's rows as frozen records, and the words for how a move can end.

A row exists, open (`outcome is None`), before its work starts, and is closed exactly once. Rows are values: nothing
here touches a database, and no statistic is stored on them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any


class Outcome(StrEnum):
    """How a move ended. `passed` and `failed` are evidence about an agent; VOID never is."""

    # of an evaluation
    RESOLVED = "RESOLVED"
    UNRESOLVED = "UNRESOLVED"
    EMPTY_PATCH = "EMPTY_PATCH"
    PATCH_REJECTED = "PATCH_REJECTED"
    AGENT_CRASHED = "AGENT_CRASHED"
    TAMPERED = "TAMPERED"
    # of an expansion
    BORN = "BORN"
    NO_CHANGE = "NO_CHANGE"
    DUPLICATE = "DUPLICATE"
    STILLBORN = "STILLBORN"
    CRASHED = "CRASHED"
    # of either
    TIMED_OUT = "TIMED_OUT"
    OVER_BUDGET = "OVER_BUDGET"
    VOID = "VOID"


EVALUATION_OUTCOMES = frozenset(
    {Outcome.RESOLVED, Outcome.UNRESOLVED, Outcome.EMPTY_PATCH, Outcome.PATCH_REJECTED, Outcome.AGENT_CRASHED,
     Outcome.TAMPERED, Outcome.TIMED_OUT, Outcome.OVER_BUDGET, Outcome.VOID}
)  # fmt: skip
EXPANSION_OUTCOMES = frozenset(
    {Outcome.BORN, Outcome.NO_CHANGE, Outcome.DUPLICATE, Outcome.STILLBORN, Outcome.CRASHED, Outcome.TIMED_OUT,
     Outcome.OVER_BUDGET, Outcome.VOID}
)  # fmt: skip

INTERRUPTED = "interrupted"
"""The reason of a VOID row whose work was cut off with its process; such a row leaves no trace in any decision."""


@dataclass(frozen=True, slots=True)
class Bill:
    """What a move cost at the models, all its calls together."""

    calls: int = 0
    input_tokens: int = 0
    cached_tokens: int = 0
    """Part of `input_tokens` that the provider served from its prompt cache."""
    output_tokens: int = 0
    usd: float = 0.0

    def __add__(self, other: Bill) -> Bill:
        return Bill(
            self.calls + other.calls,
            self.input_tokens + other.input_tokens,
            self.cached_tokens + other.cached_tokens,
            self.output_tokens + other.output_tokens,
            self.usd + other.usd,
        )


@dataclass(frozen=True, slots=True)
class Call:
    """One model call as it was billed."""

    role: str
    """`solve`, `improve` or `diagnose`."""
    model: str
    """`provider:model`."""
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    usd: float
    seconds: float
    retries: int
    status: str
    """`ok`, or why there was no answer."""


@dataclass(frozen=True, slots=True)
class Agent:
    """One codebase."""

    id: int
    """0 is the seed; then in order of birth."""
    parent: int | None
    commit: str
    """Commit in agents.git, whose parent commit is the parent's."""
    tree: str
    """Hash of the commit's tree: equal trees are byte-equal code."""
    shape: str
    """Hash of the normalised syntax trees: equal shapes differ at most in comments and layout."""
    born: datetime


@dataclass(frozen=True, slots=True)
class Expansion:
    """An attempt of a parent to write a child."""

    id: int
    decision: int
    """Number of the decision that chose it; a repeated decision (after an interruption) repeats its number."""
    parent: int
    entry: str
    """What it was asked to mend: `task:<id>`, or `weakness:<name>`."""
    seed: int
    opened: datetime
    outcome: Outcome | None = None
    reason: str = ""
    """One plain sentence on why the outcome is what it is."""
    issue: str = ""
    """The text the parent was given as its problem."""
    child: int | None = None
    """The agent born, or, of a DUPLICATE, the known agent it equals."""
    closed: datetime | None = None
    seconds: float = 0.0
    bill: Bill = Bill()
    peer: int | None = None
    """A second agent whose work the child was to learn from, if the policy named one; clades follow `parent` only."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One agent on one task."""

    id: int
    decision: int | None
    """Number of the decision that chose it; None when a person asked for it (`clade evaluate`)."""
    agent: int
    benchmark: str
    split: str
    task: str
    attempt: int
    """0 for the first time this agent is measured on this task, and so on; a repeat of a void one keeps its number."""
    seed: int
    opened: datetime
    outcome: Outcome | None = None
    reason: str = ""
    closed: datetime | None = None
    seconds: float = 0.0
    steps: int = 0
    """Model calls that the agent's rollout made."""
    bill: Bill = Bill()
    source: str = ""
    """Where the verdict was measured, if it came from the evaluation cache; empty if it was measured for this row."""

    @property
    def passed(self) -> bool:
        return self.outcome is Outcome.RESOLVED

    @property
    def failed(self) -> bool:
        return self.outcome is not None and self.outcome not in (Outcome.RESOLVED, Outcome.VOID)


@dataclass(frozen=True, slots=True)
class Decision:
    """What a policy chose, and on what evidence."""

    number: int
    policy: str
    move: str
    """`expand` or `evaluate`."""
    agent: int
    task: str | None
    evidence: str
    """JSON text: the draws and counts the choice was made on."""
    at: datetime


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a run and is no move: the sealed split was opened, say. Never changed or deleted."""

    id: int
    """1 is the first."""
    at: datetime
    kind: str
    """`sealed-opened`, `sealed-touched` (see docs/statistics.md)."""
    text: str
    """JSON object: what is to be known of it."""

    @property
    def facts(self) -> Mapping[str, Any]:
        """The text as what it says."""
        facts: Mapping[str, Any] = json.loads(self.text)
        return facts
