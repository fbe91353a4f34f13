"""The promise of the offline model: an agent that gives it more attempts really solves more, at its own work too."""

from __future__ import annotations

import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from archive import Outcome
from evolve.ancestor import ancestor
from evolve.jobs import EvaluationJob, Evidence, ExpansionJob, Record
from evolve.llm import parse_transcript, render
from evolve.settings import Settings
from evolve.shape import shape
from evolve.workshop import Workshop
from sandbox import SandboxError

TASKS = 25


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workshop]:
    try:
        opened = Workshop(Settings(workers=2), tmp_path_factory.mktemp("gradient"))
    except SandboxError as error:
        pytest.skip(f"no sandbox on this machine, so the gradient was not measured: {error}")
    with opened:
        opened.prepare()
        yield opened


def measured(workshop: Workshop, agent: dict[str, bytes], name: str) -> list[Record]:
    tasks = workshop.benchmark.tasks("search")[:TASKS]
    jobs = [EvaluationJob(f"{name}-{i}", agent, task, i) for i, task in enumerate(tasks)]
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(workshop.perform, jobs))


def with_steps(steps: int) -> dict[str, bytes]:
    agent = ancestor(None)
    assert b"MAX_STEPS = 30" in agent["agent.py"]
    return agent | {"agent.py": agent["agent.py"].replace(b"MAX_STEPS = 30", b"MAX_STEPS = %d" % steps)}


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_more_steps_solve_more(workshop: Workshop) -> None:
    solved = {}
    for steps in (9, 90):
        records = measured(workshop, with_steps(steps), f"{steps}-steps")
        assert all(record.outcome is not Outcome.VOID for record in records)
        solved[steps] = sum(record.outcome is Outcome.RESOLVED for record in records)
    assert solved[90] >= solved[9] + 4


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_children_mostly_live_and_differ(workshop: Workshop) -> None:
    seed = ancestor(None)
    tasks = workshop.benchmark.tasks("search")[:6]
    records = [workshop.perform(EvaluationJob(f"seen-{i}", seed, task, i)) for i, task in enumerate(tasks)]
    failures = [(task, r) for task, r in zip(tasks, records, strict=True) if r.outcome is not Outcome.RESOLVED]
    assert failures, "the seed solved all it was shown, so nothing can be diagnosed"
    known = {shape(seed)}
    outcomes = []
    for number in range(12):
        task, record = random.Random(number).choice(failures)
        seen = Evidence(
            task,
            workshop.benchmark.task(task).problem,
            str(record.outcome),
            record.reason,
            render(parse_transcript(record.files["transcript.jsonl"].decode().split("\n"))),
            record.files["patch.diff"].decode(),
            "",
        )
        job = ExpansionJob(f"child-{number}", seed, None, (seen,), number, frozenset(known))
        born = workshop.perform(job)
        outcomes.append(born.outcome)
        known.add(born.shape or "")
    assert outcomes.count(Outcome.BORN) >= 5, outcomes
    assert Outcome.VOID not in outcomes
