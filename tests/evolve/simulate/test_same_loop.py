"""The simulator and the real loop make the same moves on the same evidence, for every policy, with one worker and more.

The real `Evolution` runs here on a real archive. Only its workers are replaced: they answer from a simulated world, on
a clock that jumps from one finishing move to the next, as the simulator's does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Executor, Future
from typing import Any, get_args

import pytest

from archive import Archive, Call, Outcome
from benchmarks import Benchmark, Task, Verdict
from evolve.jobs import EvaluationJob, ExpansionJob, Job, Record
from evolve.loop import Evolution
from evolve.policies import AnyPolicy
from evolve.seeds import generator
from evolve.settings import Settings
from evolve.shape import shape
from evolve.simulate import Attempt, Plan, Simulation, Trial, World, WorldSettings
from evolve.supply import Supply

POLICIES = [policy() for policy in get_args(get_args(AnyPolicy)[0])]
EVALUATIONS = 40
FEW_TASKS = WorldSettings(tasks=12, sealed=10, void=0.05, seed_skill=0.3, contrast_gain=0, hybrid_share=0)
"""A job does not say what its expansion is about, so that must make no difference here."""
BAD_HOUSE = FEW_TASKS.model_copy(update={"tasks": 8, "void": 0.45})
"""So that pairs and whole tasks are left alone."""
CASES = [(policy, FEW_TASKS) for policy in POLICIES] + [(POLICIES[0], BAD_HOUSE)]


class Exercises(Benchmark):
    """The world's tasks, which nobody grades."""

    name = "exercises"

    def __init__(self, tasks: tuple[str, ...]) -> None:
        self._tasks = tasks

    def prepare(self, sandbox, progress=None):
        return ()

    def ids(self):
        return self._tasks

    def prove(self, id, sandbox):
        raise AssertionError("nothing is proven here")

    def fingerprint(self, id):
        return id

    def tasks(self, split):
        return self._tasks if split == "search" else ()

    def task(self, id):
        return Task(id, "search", f"Do {id}.", {})

    def grade(self, id, diff, sandbox):
        return Verdict("VOID", "not here")


class Answers(Executor):
    """Workers in a simulated world, on a simulated clock. An agent's one file holds its number in that world."""

    def __init__(self, world: World, column: dict[str, int]) -> None:
        self.world = world
        self.column = column
        self.hours = 0.0
        self.flying: dict[Future[Record], tuple[float, int, Job, Trial | Attempt]] = {}
        self.submitted = 0

    def submit(self, perform: Callable[..., Any], job: Job, /) -> Future[Record]:  # type: ignore[override]
        agent = int(job.agent["__main__.py"])
        result: Trial | Attempt
        if isinstance(job, EvaluationJob):
            result = self.world.evaluate(agent, self.column[job.task])
        else:
            result = self.world.expand(agent)
        future: Future[Record] = Future()
        self.flying[future] = (self.hours + result.seconds / 3600, self.submitted, job, result)
        self.submitted += 1
        return future

    def wait(self, futures: Iterable[Future[Record]], **_: object) -> tuple[set[Future[Record]], set[Future[Record]]]:
        """In place of `concurrent.futures.wait`: the next move ends, and the clock stands at its end."""
        futures = set(futures)
        assert futures == set(self.flying)
        ended = min(self.flying, key=lambda future: self.flying[future][:2])
        self.hours, _number, job, result = self.flying.pop(ended)
        ended.set_result(self.record(job, result))
        return {ended}, futures - {ended}

    def record(self, job: Job, result: Trial | Attempt) -> Record:
        calls = (Call("solve", "sim:world", 1, 0, 1, result.usd, 0.0, 0, "ok"),)
        if result.void:
            return Record(Outcome.VOID, "the house fell", result.seconds, calls=calls)
        if isinstance(result, Trial):
            outcome = Outcome.RESOLVED if result.passed else Outcome.UNRESOLVED
            return Record(outcome, "drawn", result.seconds, calls=calls)
        assert isinstance(job, ExpansionJob)
        if result.child is not None:
            child = {"__main__.py": str(self.world.admit(result.child)).encode()}
        elif result.outcome is Outcome.DUPLICATE:
            child = dict(job.agent)
        else:
            return Record(result.outcome, "drawn", result.seconds, calls=calls)
        return Record(Outcome.BORN, "lives", result.seconds, calls=calls, issue="?", child=child, shape=shape(child))


def no_perform(job: Job) -> Record:
    raise AssertionError("the executor answers by itself")


@pytest.mark.parametrize("workers", [1, 5])
@pytest.mark.parametrize(("policy", "world_settings"), CASES, ids=[*(policy.name for policy in POLICIES), "bad-house"])
def test_the_same_moves(policy, world_settings, workers, tmp_path, monkeypatch, shared):
    seed = 4
    simulation = Simulation(
        World(world_settings, seed),
        policy,
        Plan(evaluations=EVALUATIONS, workers=workers),
        lambda number: generator(seed, "decision", number),
    )
    trace = simulation.run()
    assert trace.last.evaluations + trace.last.expansions + trace.voids == len(simulation.moves)

    tasks = simulation.board.tasks
    answers = Answers(World(world_settings, seed), simulation.board.column)
    monkeypatch.setattr("evolve.loop.wait", answers.wait)
    budget = {"evaluations": EVALUATIONS, "expansions": simulation.plan.expansion_budget}
    settings = Settings(seed=seed, workers=workers, policy=policy, budget=budget)
    with Archive.create(tmp_path / "run") as archive:
        archive.add_seed({"__main__.py": b"0"}, shape({"__main__.py": b"0"}))
        benchmark, supply = Exercises(tasks), Supply(archive.spent)
        evolution = Evolution(archive, settings, benchmark, answers, no_perform, supply, shared.Listener())
        evolution._rest_after = lambda record: None  # no pause after a house's fault: the simulator has none
        ending = evolution.run()
        made = [(decision.move, decision.agent, decision.task) for decision in archive.decisions()]
        believed = evolution.view()
        assert believed.same(simulation.board.view())
        assert settings.policy.best(believed) == policy.best(simulation.board.view())

    simulated = [
        ("evaluate", move.agent, tasks[move.task]) if hasattr(move, "task") else ("expand", move.agent, None)
        for move in simulation.moves
    ]
    assert made == simulated
    assert answers.hours == pytest.approx(simulation.hours)
    assert trace.ending.split(",")[0] in ending.reason


def test_the_bad_house_leaves_whole_tasks_alone():
    """Else the comparison above would not reach the quarantine."""
    shut = 0
    for seed in range(6):
        plan = Plan(evaluations=EVALUATIONS, workers=5)
        simulation = Simulation(World(BAD_HOUSE, seed), POLICIES[0], plan, lambda number: generator(1, number))
        simulation.run()
        view = simulation.board.view()
        unmeasured = (view.verdict == -1) & ~view.open
        shut += int((unmeasured.sum(axis=0) > 2).any())
    assert shut
