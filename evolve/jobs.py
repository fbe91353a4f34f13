"""Jobs and records: the seam between the main thread, which chooses and writes, and the workers, which perform.

Both are plain picklable data. Nothing in a job reaches the archive or another move, so threads serve one machine and a
cluster's executor can serve many.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from archive import Call, Outcome
from evolve.llm import redact, redact_bytes


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
    stranger: bool = False
    """Whether it was another agent's attempt."""


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
    lesson: str | None = None
    """What the evidence is to teach, where a policy asked for it."""


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
    clocked: bool = False
    """Whether the clock had a say in it: its agent ran out of time, or did not wait for an answer of its model."""

    @property
    def repeatable(self) -> bool:
        """Whether the same answers of the models would bring it about again. House's faults come and go."""
        return self.outcome is not Outcome.VOID and not self.clocked


Job = EvaluationJob | ExpansionJob


def cleaned(record: Record) -> Record:
    """The record as it may be kept: no keys in its texts and papers. A child's code stays as its parent wrote it."""
    files = {name: redact_bytes(content) for name, content in record.files.items()}
    return replace(record, reason=redact(record.reason), issue=redact(record.issue), files=files)
