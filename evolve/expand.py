"""Expand: let an agent write its child, from diagnosis to a checked, living codebase."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from archive import ArchiveError, Call, Outcome, check_path
from evolve.evaluate import MODEL, OWN_BUDGETS, bill, json_bytes, void
from evolve.house import House
from evolve.jobs import ExpansionJob, Record
from evolve.lifecheck import life_check
from evolve.llm import BudgetSpent, ModelError, Reply, Scope
from evolve.prompts import SELF_CHECK, diagnose_messages, improve_problem
from evolve.rollout import Problem, Rollout, rollout
from evolve.shape import shape
from sandbox import File, SandboxError

FOLDER = "agent/"
"""Where an agent's source lies in the repository that it rewrites."""
SCALES = (1.0, 0.5, 0.25, 0.1)
"""Sizes of the diagnosis's prompt, tried in turn while the model says that it is too long."""
MAX_CHILD_BYTES = 2_000_000
MAX_CHILD_FILES = 200


@dataclass(slots=True)
class Attempt:
    """What an expansion has come to so far; whatever is here when it ends goes on record."""

    issue: str = ""
    calls: tuple[Call, ...] = ()
    run: Rollout | None = None
    dropped: dict[str, str] = field(default_factory=dict)
    child: dict[str, bytes] | None = None
    shape: str | None = None
    clocked: bool = False
    """Whether the clock had a say."""


def expand(job: ExpansionJob, house: House) -> Record:
    """Let an agent write a child. The house's faults end as VOID records, never as exceptions."""
    started = time.monotonic()
    attempt = Attempt()
    try:
        outcome, reason = beget(job, attempt, house)
    except SandboxError as error:
        outcome, reason = Outcome.VOID, f"sandbox: {error}"
    except ModelError as error:
        outcome, reason = Outcome.VOID, f"{MODEL}{error}"
    except BudgetSpent as error:
        outcome = Outcome.OVER_BUDGET if error.whose in OWN_BUDGETS else Outcome.VOID
        reason = f"the {error.whose}'s budget ended during the diagnosis"
    living = outcome in (Outcome.BORN, Outcome.DUPLICATE)
    return Record(
        outcome=outcome,
        reason=reason,
        seconds=time.monotonic() - started,
        steps=attempt.run.steps if attempt.run else 0,
        calls=attempt.calls,
        files=papers(attempt),
        issue=attempt.issue,
        child=attempt.child if living else None,
        shape=attempt.shape if living else None,
        clocked=attempt.clocked,
    )


def beget(job: ExpansionJob, attempt: Attempt, house: House) -> tuple[Outcome, str]:
    """The steps of an expansion; how it ends, and one sentence on why."""
    reply = diagnose(job, house)
    attempt.issue, attempt.calls = reply.text, (reply.call,)
    run = attempt.run = rewrite(job, reply.text, house)
    attempt.calls += run.calls
    attempt.clocked = run.clocked
    cause = void(run)
    if cause is not None:
        return Outcome.VOID, cause
    own = run.diff.restrict(lambda path: None if path.startswith(FOLDER) else "outside the agent's folder")
    attempt.dropped = dict(own.dropped)
    try:
        child = {path.removeprefix(FOLDER): file.content for path, file in own.apply(repository(job.agent)).items()}
    except ValueError as error:
        return Outcome.STILLBORN, f"its changes do not fit together: {error}"
    if child == dict(job.agent):  # also where only the mode of a file was changed: an agent's files have none
        return unchanged(run)
    if len(child) > MAX_CHILD_FILES or sum(map(len, child.values())) > MAX_CHILD_BYTES:
        return Outcome.STILLBORN, f"larger than {MAX_CHILD_FILES} files or {MAX_CHILD_BYTES} bytes"
    try:
        for path in child:
            check_path(path)
    except ArchiveError as error:
        return Outcome.STILLBORN, str(error)
    attempt.child, attempt.shape = child, shape(child)
    if attempt.shape in job.known:
        return Outcome.DUPLICATE, "the same code as a known agent"
    death = life_check(child, house, Scope(f"{job.key}-life", job.seed, move=job.key))
    if death is None:
        return Outcome.BORN, "passes the life check"
    attempt.clocked = attempt.clocked or death.clocked
    return Outcome.STILLBORN, death.reason


def diagnose(job: ExpansionJob, house: House) -> Reply:
    """One question to the diagnosing model; a shorter one where its context is too short. Raises: `ModelError`."""

    def ask(scale: float) -> Reply:
        messages = diagnose_messages(job.agent, job.weakness, job.evidence, scale, lesson=job.lesson)
        return house.gateway.complete(Scope(job.key, job.seed), "diagnose", messages, caps=house.caps)

    for scale in SCALES[:-1]:
        try:
            return ask(scale)
        except ModelError as error:
            if error.kind != "context_length":
                raise
    return ask(SCALES[-1])


def rewrite(job: ExpansionJob, issue: str, house: House) -> Rollout:
    """The agent at work on its own source."""
    problem = Problem(
        text=improve_problem(issue),
        repository=repository(job.agent),
        test_command=SELF_CHECK,
        role="improve",
        seconds=house.settings.rollout.improve_seconds,
    )
    return rollout(house, job.agent, problem, Scope(job.key, job.seed))


def repository(agent: Mapping[str, bytes]) -> dict[str, File]:
    return {FOLDER + path: File(content) for path, content in agent.items()}


def unchanged(run: Rollout) -> tuple[Outcome, str]:
    """How a rewrite that changed nothing of the agent ended."""
    if run.timed_out:
        return Outcome.TIMED_OUT, run.account
    if run.spent_out in OWN_BUDGETS:
        return Outcome.OVER_BUDGET, f"the {run.spent_out}'s budget ended before anything was changed"
    return (Outcome.CRASHED if run.crashed else Outcome.NO_CHANGE), run.account


def papers(attempt: Attempt) -> dict[str, bytes]:
    """The files of an expansion's log folder."""
    files = {"issue.md": attempt.issue.encode("utf-8", "surrogatepass"), "bill.json": bill(attempt.calls)}
    run = attempt.run
    if run is not None:
        facts = {
            "account": run.account,
            "stderr": run.stderr,
            "seconds": round(run.seconds, 3),
            "dropped": attempt.dropped or dict(run.diff.dropped),
        }
        files["transcript.jsonl"] = run.transcript
        files["patch.diff"] = run.diff.text.encode("utf-8", "surrogateescape")
        files["verdict.json"] = json_bytes(facts)
    return files
