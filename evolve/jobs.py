"""Jobs and records: the seam between the main thread, which chooses and writes, and the workers, which perform.

Both are plain picklable data. Nothing in a job reaches the archive or another move, so threads serve one machine and a
cluster's executor can serve many.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from archive import Call, Outcome


@dataclass(frozen=True, slots=True)
class EvaluationJob:
    """Measure an agent on a task."""

    key: str
    """Unique for this attempt, such as `evaluation-17`."""
    agent: Mapping[str, bytes]
    task: str
    seed: int
    split: str = "search"


@dataclass(frozen=True, slots=True)
class Evidence:
    """What may be shown of a failed evaluation: nothing of the hidden tests unless the settings say so."""

    task: str
    problem: str
    outcome: str
    account: str
    """How the agent ended, in one line."""
    transcript: str
    """Rendered for reading, head and tail."""
    patch: str
    visible_failure: str
    hidden_tests: str = ""


@dataclass(frozen=True, slots=True)
class ExpansionJob:
    """Let an agent write a child."""

    key: str
    agent: Mapping[str, bytes]
    weakness: str | None
    """A general weakness to mend; None when it is about one task."""
    evidence: tuple[Evidence, ...]
    seed: int
    known: frozenset[str]
    """Shapes of the agents there are: a child of such a shape is not checked further."""


@dataclass(frozen=True, slots=True)
class Record:
    """What came of a job."""

    outcome: Outcome
    reason: str
    seconds: float
    steps: int = 0
    calls: tuple[Call, ...] = ()
    files: Mapping[str, bytes] = field(default_factory=dict)
    """For the move's log folder."""
    issue: str = ""
    child: Mapping[str, bytes] | None = None
    """The files of a living child."""
    shape: str | None = None
    source: str = ""
    """Where it was measured, if it came from the evaluation cache."""


Job = EvaluationJob | ExpansionJob
