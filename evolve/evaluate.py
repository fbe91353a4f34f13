"""Evaluate: one agent on one task, from the rollout to an outcome."""

from __future__ import annotations

import dataclasses
import json
import time

from archive import Bill, Call, Outcome
from benchmarks import Benchmark, Verdict
from evolve.house import House
from evolve.jobs import EvaluationJob, Record
from evolve.llm import ModelError, Scope
from evolve.rollout import Problem, Rollout, rollout
from sandbox import SandboxError

WAITED_TOO_LONG = 0.1
"""Share of a rollout's time that, lost to failed tries at a model's service, excuses it for running out of time."""


def evaluate(job: EvaluationJob, house: House, benchmark: Benchmark) -> Record:
    """Measure an agent on a task. The house's faults end as VOID records, never as exceptions."""
    started = time.monotonic()
    task = benchmark.task(job.task)
    problem = Problem(
        text=task.problem,
        repository=task.files,
        test_command=task.test_command,
        role="solve",
        seconds=house.settings.rollout.solve_seconds,
        image=task.image or house.image,
    )
    try:
        run = rollout(house, job.agent, problem, Scope(job.key, job.seed))
    except (SandboxError, ModelError) as error:
        return Record(Outcome.VOID, f"the house: {error}", time.monotonic() - started)
    verdict = None if void(run) else benchmark.grade(job.task, run.diff, house.sandbox)
    outcome, reason = conclude(run, verdict)
    return Record(
        outcome=outcome,
        reason=reason,
        seconds=time.monotonic() - started,
        steps=run.steps,
        calls=run.calls,
        files=papers(run, verdict),
    )


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
    if run.spent_out == "rollout":
        return Outcome.OVER_BUDGET, "the rollout's budget ended before the task was solved"
    if run.crashed:
        return Outcome.AGENT_CRASHED, run.account
    return graded, verdict.reason


def void(run: Rollout) -> str | None:
    """Why a rollout says nothing about its agent, if so."""
    if run.fault is not None:
        return f"model: {run.fault}"
    if run.spent_out == "run":
        return "the run's budget ended during the rollout"
    if run.ran_out and run.waited >= WAITED_TOO_LONG * run.seconds:
        return f"model: {run.waited:.0f} s of its time were lost to the model's service"
    if run.ran_out and run.calls and not run.steps:
        return f"model: {run.calls[0].model} gave no answer in the whole rollout"
    return None


def papers(run: Rollout, verdict: Verdict | None) -> dict[str, bytes]:
    """The files of an evaluation's log folder."""
    facts = {
        "agent": {
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
        },
        "grading": None if verdict is None else dataclasses.asdict(verdict),
        "dropped": dict(run.diff.dropped),
    }
    return {
        "transcript.jsonl": run.transcript,
        "patch.diff": run.diff.text.encode("utf-8", "surrogateescape"),
        "verdict.json": json_bytes(facts),
        "bill.json": bill(run.calls),
    }


def bill(calls: tuple[Call, ...]) -> bytes:
    total = Bill()
    for call in calls:
        total += Bill(1, call.input_tokens, call.cached_tokens, call.output_tokens, call.usd)
    return json_bytes({"total": dataclasses.asdict(total), "calls": [dataclasses.asdict(call) for call in calls]})


def json_bytes(value: object) -> bytes:
    return json.dumps(value, indent=1, ensure_ascii=True, default=str).encode() + b"\n"
