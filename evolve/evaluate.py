"""Evaluate: one agent on one task, from the rollout (or two, under Aider's protocol) to an outcome."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass

from archive import Bill, Call, Outcome
from benchmarks import Benchmark, Task, Verdict
from evolve.house import House
from evolve.jobs import EvaluationJob, Record
from evolve.llm import ModelError, Scope
from evolve.rollout import Problem, Rollout, rollout
from evolve.seeds import derive
from sandbox import Diff, SandboxError, compare

WAITED_TOO_LONG = 0.1
"""Share of a rollout's time that, lost to a model's service (to its limits, to failed tries, to an answer that took far
longer than the model needs), excuses it for running out of time."""
MODEL = "model: "
"""Begins the reason of a VOID move that failed at a model's service."""

OWN_BUDGETS = ("rollout", "move")
"""Whose end is the agent's own doing; the run's and the hour's are not."""


@dataclass(frozen=True, slots=True)
class Try:
    """One rollout on the task and its grading."""

    run: Rollout
    diff: Diff
    """All changes to the task's own files, an earlier try's included."""
    verdict: Verdict | None
    """None if the rollout says nothing about the agent."""


def evaluate(job: EvaluationJob, house: House, benchmark: Benchmark) -> Record:
    """Measure an agent on a task. The house's faults end as VOID records, never as exceptions."""
    started = time.monotonic()
    tries: list[Try] = []
    try:
        benchmark.provide(job.task, house.sandbox)
        first = benchmark.task(job.task)
        tries.append(attempt(job, house, benchmark, first, first))
        if (again := another(benchmark, job.task, tries[0])) is not None:
            tries.append(attempt(job, house, benchmark, again, first))
    except (SandboxError, ModelError) as error:
        calls = tuple(call for done in tries for call in done.run.calls)
        return Record(Outcome.VOID, f"the house: {error}", time.monotonic() - started, calls=calls)
    last = tries[-1]
    outcome, reason = conclude(last.run, last.verdict)
    return Record(
        outcome=outcome,
        reason=reason if len(tries) == 1 else f"at the second try: {reason}",
        seconds=time.monotonic() - started,
        steps=sum(done.run.steps for done in tries),
        calls=tuple(call for done in tries for call in done.run.calls),
        files=papers(tries),
        clocked=any(done.run.clocked for done in tries),
    )


def attempt(job: EvaluationJob, house: House, benchmark: Benchmark, task: Task, first: Task) -> Try:
    """One try at `task`, which is `first` or what that became by a failed try.

    Raises: `SandboxError`, `ModelError`.
    """
    problem = Problem(
        text=task.problem,
        repository=task.files,
        test_command=task.test_command,
        role="solve",
        seconds=house.settings.rollout.solve_seconds,
        environment=task.environment,
        setup=task.setup,
    )
    seed = job.seed if task is first else derive(job.seed, "second try")
    run = rollout(house, job.agent, problem, Scope(job.key, seed, job.split))
    diff = run.diff
    if task is not first:
        whole = compare(first.files, run.diff.apply(task.files))
        diff = Diff(whole.changes, {**whole.dropped, **run.diff.dropped})
    return Try(run, diff, None if void(run) else benchmark.grade(job.task, diff, house.sandbox))


def another(benchmark: Benchmark, id: str, first: Try) -> Task | None:
    """The task for a second try, if the benchmark gives one and the first was an honest failure."""
    if first.verdict is None or first.verdict.outcome in ("RESOLVED", "VOID", "TAMPERED"):
        return None
    return benchmark.second_try(id, first.diff, first.verdict)


def conclude(run: Rollout, verdict: Verdict | None) -> tuple[Outcome, str]:
    """The outcome of an evaluation and one sentence on why.

    A right patch counts however the agent ended. Otherwise the agent's own way of ending names the failure; what the
    house did to it (a dead provider, the run's own budget) is no evidence.
    """
    cause = void(run)
    if cause or verdict is None:
        return Outcome.VOID, cause or "not graded"
    graded = Outcome(verdict.outcome)
    if graded in (Outcome.RESOLVED, Outcome.VOID, Outcome.TAMPERED):
        return graded, verdict.reason
    if run.timed_out:
        return Outcome.TIMED_OUT, run.account
    if run.spent_out in OWN_BUDGETS:
        return Outcome.OVER_BUDGET, f"the {run.spent_out}'s budget ended before the task was solved"
    if run.crashed:
        return Outcome.AGENT_CRASHED, run.account
    return graded, verdict.reason


def void(run: Rollout) -> str | None:
    """Why a rollout says nothing about its agent, if so."""
    if run.fault is not None:
        return f"{MODEL}{run.fault}"
    if run.spent_out is not None and run.spent_out not in OWN_BUDGETS:
        return f"the {run.spent_out}'s budget ended during the rollout"
    if (run.ran_out or left_hanging(run)) and run.waited >= WAITED_TOO_LONG * run.seconds:
        return f"{MODEL}{run.waited:.0f} s of its time were lost to the model's service"
    if run.ran_out and run.calls and not run.steps:
        return f"{MODEL}{run.calls[0].model} gave no answer in the whole rollout"
    return None


def left_hanging(run: Rollout) -> bool:
    """Whether it ended by itself, without being done, after a call that had no answer: agents may be impatient."""
    return run.status != "done" and bool(run.calls) and run.calls[-1].status in ("unavailable", "cancelled")


def papers(tries: Sequence[Try]) -> dict[str, bytes]:
    """The files of an evaluation's log folder: the last try's, and what the earlier one was, under `first-…`."""
    files: dict[str, bytes] = {}
    for number, done in enumerate(tries, 1):
        prefix = "" if number == len(tries) else "first-"
        facts = {
            "agent": account(done.run),
            "grading": None if done.verdict is None else dataclasses.asdict(done.verdict),
            "dropped": dict(done.diff.dropped),
        }
        files[f"{prefix}transcript.jsonl"] = done.run.transcript
        files[f"{prefix}patch.diff"] = done.diff.text.encode("utf-8", "surrogateescape")
        files[f"{prefix}verdict.json"] = json_bytes(facts)
    files["bill.json"] = bill(tuple(call for done in tries for call in done.run.calls))
    return files


def account(run: Rollout) -> dict[str, object]:
    """How the agent ended, for verdict.json."""
    return {
        "status": run.status,
        "summary": run.summary,
        "account": run.account,
        "exit_code": run.exit_code,
        "timed_out": run.timed_out,
        "stderr": run.stderr,
        "overflowed": any(call.status == "context_length" for call in run.calls),
        "steps": run.steps,
        "seconds": round(run.seconds, 3),
        "box_seconds": round(run.box_seconds, 3),
    }


def bill(calls: tuple[Call, ...]) -> bytes:
    total = Bill()
    for call in calls:
        total += Bill(1, call.input_tokens, call.cached_tokens, call.output_tokens, call.usd)
    return json_bytes({"total": dataclasses.asdict(total), "calls": [dataclasses.asdict(call) for call in calls]})


def json_bytes(value: object) -> bytes:
    return json.dumps(value, indent=1, ensure_ascii=True, default=str).encode() + b"\n"
