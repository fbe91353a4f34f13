"""The evaluation cache in a run: nothing is measured twice but on purpose, and it is said where a verdict is from."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from archive import Archive, ArchiveError, Outcome
from benchmarks import Benchmark, Task
from evolve.jobs import EvaluationJob, Record
from evolve.loop import Evolution
from evolve.policies import HGM
from evolve.remembered import open_memory
from evolve.settings import Settings
from evolve.supply import Supply

SEED = {"__main__.py": b"print()"}


class Sums(Benchmark):
    """Six tasks, of which the loop needs the names."""

    name = "sums"

    def __init__(self, fingerprint="one"):
        self.made = fingerprint

    def prepare(self, sandbox, progress=None):
        return ()

    def ids(self):
        return tuple(f"sum-{number}" for number in range(6))

    def tasks(self, split):
        return self.ids()

    def task(self, id):
        return Task(id, "search", "Add.", {})

    def prove(self, id, sandbox):
        raise AssertionError("nothing is proven here")

    def fingerprint(self, id):
        return self.made + id

    def grade(self, id, diff, sandbox):
        raise AssertionError("nothing is graded here")


class World:
    """Measures by the job's seed, and counts."""

    def __init__(self, outcome=None):
        self.jobs = []
        self.outcome = outcome

    def __call__(self, job):
        self.jobs.append(job)
        if not isinstance(job, EvaluationJob):
            return Record(Outcome.NO_CHANGE, "kept as it is", 0.0)
        outcome = self.outcome or (Outcome.RESOLVED if job.seed % 2 else Outcome.UNRESOLVED)
        return Record(outcome, "drawn", 2.0, steps=4, files={"verdict.json": b"{}", "patch.diff": b"+x\n"})

    @property
    def measured(self):
        return sum(isinstance(job, EvaluationJob) for job in self.jobs)


def settings(**more):
    return Settings(
        workers=1, budget={"evaluations": 5, "expansions": 0}, policy=HGM(), cache={"evaluations": True}, **more
    )


@pytest.fixture
def run(tmp_path, shared):
    """Make a run of its own folder in the one cache; the world, the archive's rows and what was said."""

    def make(name, world, chosen=None, benchmark=None, break_cache=False):
        chosen, benchmark, log = chosen or settings(), benchmark or Sums(), shared.Listener()
        folder = tmp_path / name
        memory = open_memory(chosen, benchmark, "bwrap-1", folder, tmp_path / "cache")
        if break_cache:
            memory = replace(memory, cache=Broken())
        with Archive.create(folder) as archive, ThreadPoolExecutor(1) as executor:
            archive.add_seed(SEED, "shape")
            Evolution(archive, chosen, benchmark, executor, world, Supply(archive.spent), log, memory=memory).run()
            rows = archive.history().evaluations
            papers = [(archive.folder_of(row) / "patch.diff").read_bytes() for row in rows if row.source]
        return rows, papers, log.said

    return make


class Broken:
    def find(self, key):
        raise ArchiveError("the disk is gone")

    keep = find


def test_a_second_run_takes_over_what_the_first_measured_and_says_so(run):
    first, second = World(), World()
    rows, _, _ = run("one", first)
    again, papers, _ = run("two", second)
    assert (first.measured, second.measured) == (5, 0)
    assert [(row.task, row.outcome, row.steps) for row in again] == [(row.task, row.outcome, row.steps) for row in rows]
    assert [row.source for row in rows] == [""] * 5
    assert [row.source for row in again] == [f"one, evaluation {row.id}" for row in rows]
    assert papers == [b"+x\n"] * 5
    assert sum(row.seconds for row in again) == 0


@pytest.mark.parametrize(
    ("chosen", "benchmark"),
    [
        (settings(seed=1), None),
        (settings(models={"solve": "openai:gpt-5"}), None),
        (settings(models={"parameters": {"solve": {"temperature": 0.5}}}), None),
        (settings(rollout={"solve_seconds": 5}), None),
        (settings(sandbox={"memory_mb": 512}), None),
        (settings(), Sums("another")),
    ],
    ids=["seed", "model", "parameters", "time", "memory", "task"],
)
def test_what_differs_in_anything_that_decides_is_measured(run, chosen, benchmark):
    run("one", World())
    world = World()
    run("two", world, chosen, benchmark)
    assert world.measured == 5


def test_what_does_not_decide_a_measurement_does_not_hinder(run):
    run("one", World())
    world = World()
    run("two", world, settings(models={"improve": "openai:gpt-5"}))
    assert world.measured == 0


def test_the_houses_faults_are_not_remembered(run, monkeypatch):
    monkeypatch.setattr("evolve.loop.VOID_PAUSE_SECONDS", 0.0)
    run("one", World(Outcome.VOID), settings().model_copy(update={"budget": settings().budget.model_copy()}))
    world = World()
    run("two", world)
    assert world.measured == 5


def test_without_the_setting_there_is_no_memory(tmp_path):
    assert open_memory(Settings(), Sums(), "bwrap-1", tmp_path, tmp_path) is None


def test_a_store_that_cannot_be_used_is_one_sentence(tmp_path):
    (tmp_path / "evaluations.db").write_bytes(b"no database" * 100)
    with pytest.raises(ArchiveError, match=r"cache\.evaluations = false"):
        open_memory(settings(), Sums(), "bwrap-1", tmp_path, tmp_path)


def test_a_cache_that_fails_in_the_middle_costs_savings_and_not_the_run(run):
    world = World()
    rows, _, said = run("one", world, break_cache=True)
    assert world.measured == len(rows) == 5
    assert [text for text in said if "the disk is gone" in text] == said[:1]
