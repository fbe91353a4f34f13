"""The meta-loop on a real archive, its moves performed by a small world in place of boxes and models."""

import json
import pickle
import random
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from archive import Archive, Bill, Call, Evaluation, Outcome
from benchmarks import Benchmark, Task, Verdict
from evolve.jobs import EvaluationJob, ExpansionJob, Record
from evolve.llm import Outage
from evolve.loop import ASKED, Evolution
from evolve.settings import Settings
from evolve.shape import shape
from evolve.state import OUTAGE, attempts, left_out, next_decision, search, view_of
from evolve.supply import Supply

TASKS = tuple(f"t{number}" for number in range(30))


class Exercises(Benchmark):
    """Thirty tasks that nobody grades: the world does."""

    name = "exercises"

    def prepare(self, sandbox, progress=None):
        return ()

    def ids(self):
        return self.tasks("search")

    def prove(self, id, sandbox):
        raise AssertionError("nothing is proven here")

    def fingerprint(self, id):
        return id

    def tasks(self, split):
        return TASKS if split == "search" else ()

    def task(self, id):
        return Task(id, "search", f"Do {id}.", {})

    def grade(self, id, diff, sandbox):
        return Verdict("VOID", "not here")


class World:
    """Performs jobs: an agent's one file holds its skill; a child's differs at random, by the job's seed."""

    def __init__(self) -> None:
        self.jobs = []
        self.at_once = self.most_at_once = 0
        self.lock = threading.Lock()

    def __call__(self, job):
        with self.lock:
            self.jobs.append(job)
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            return self.perform(pickle.loads(pickle.dumps(job)))
        finally:
            with self.lock:
                self.at_once -= 1

    def perform(self, job):
        rng = random.Random(job.seed)
        skill = float(job.agent["__main__.py"])
        if isinstance(job, EvaluationJob):
            outcome = Outcome.RESOLVED if rng.random() < skill else Outcome.UNRESOLVED
            return Record(outcome, "drawn", 0.1, steps=3, calls=(call(),), files={"verdict.json": b"{}"})
        child = {"__main__.py": f"{min(1, max(0, skill + rng.uniform(-0.2, 0.3))):.6f}".encode()}
        return Record(Outcome.BORN, "lives", 0.1, calls=(call(),), issue="Be better.", child=child, shape=shape(child))


def call():
    return Call("solve", "offline:repair", 10, 0, 5, 0.01, 0.1, 0, "ok")


@pytest.fixture
def archive(tmp_path):
    with Archive.create(tmp_path / "run") as made:
        made.add_seed({"__main__.py": b"0.2"}, shape({"__main__.py": b"0.2"}))
        yield made


@pytest.fixture
def evolution(shared):
    def made(archive, world, executor, **settings):
        settings, listener = Settings(**settings), shared.Listener()
        return Evolution(archive, settings, Exercises(), executor, world, Supply(archive.spent), listener)

    return made


@pytest.fixture
def grow(evolution):
    def grown(archive, world, **settings):
        with ThreadPoolExecutor(settings.get("workers", 2)) as executor:
            return evolution(archive, world, executor, **settings).run()

    return grown


def test_a_tree_grows_to_its_budget_and_not_beyond(archive, grow):
    """The peers end at 800 to 805 of 800 evaluations."""
    ending = grow(archive, World(), workers=8, budget={"evaluations": 40})
    assert ending.finished
    assert "40 evaluations" in ending.reason
    history = archive.history()
    assert sum(row.passed or row.failed for row in history.evaluations) == 40
    assert 8 <= len(history.agents) <= 40**0.6 + 1


def test_it_ends_when_the_work_is_done(archive, grow):
    """The peers sleep for half an hour after it."""
    began = time.monotonic()
    grow(archive, World(), workers=4, budget={"evaluations": 10})
    assert time.monotonic() - began < 10


def test_workers_are_kept_busy_and_not_more(archive, grow):
    class Meeting(World):
        """The first three jobs end only when all three are under way."""

        barrier = threading.Barrier(3)

        def perform(self, job):
            if len(self.jobs) <= 3:
                self.barrier.wait(timeout=30)
            return super().perform(job)

    world = Meeting()
    grow(archive, world, workers=3, budget={"evaluations": 9})
    assert world.most_at_once == 3
    assert Outcome.VOID not in {row.outcome for row in archive.history().evaluations}


def test_every_move_has_its_row_before_its_work(archive, grow):
    class Witness(World):
        def perform(self, job):
            kind, _, number = job.key.partition("-")
            with Archive.open(archive.folder) as reader:
                rows = reader.history().expansions if kind == "expansion" else reader.history().evaluations
            assert [row.outcome for row in rows if row.id == int(number)] == [None]
            return super().perform(job)

    grow(archive, Witness(), budget={"evaluations": 6})
    assert Outcome.VOID not in {row.outcome for row in archive.history().evaluations}


def test_one_worker_and_one_seed_give_one_tree(tmp_path, grow):
    def story(name, workers=1):
        with Archive.create(tmp_path / name) as archive:
            archive.add_seed({"__main__.py": b"0.2"}, "s")
            grow(archive, World(), workers=workers, seed=3, budget={"evaluations": 25})
            rows = archive.history()
            return [(row.parent, row.tree) for row in rows.agents], [(row.agent, row.task) for row in rows.evaluations]

    assert story("one") == story("two")


def test_a_stopped_run_goes_on_as_if_it_had_not_been_stopped(tmp_path, evolution, grow):
    def rows(archive):
        history = archive.history()
        moves = [(row.decision, row.agent, row.task, row.outcome) for row in history.evaluations]
        return moves, [(row.parent, row.tree) for row in history.agents]

    with Archive.create(tmp_path / "whole") as whole:
        whole.add_seed({"__main__.py": b"0.2"}, "s")
        grow(whole, World(), workers=1, budget={"evaluations": 20})
        expected = rows(whole)
    with Archive.create(tmp_path / "parts") as parts:
        parts.add_seed({"__main__.py": b"0.2"}, "s")
        for evaluations in (5, 6, 13, 20):
            with ThreadPoolExecutor(1) as executor:
                session = evolution(parts, World(), executor, workers=1, budget={"evaluations": 20})
                closed = session.listener.closed

                def stop_at(row, session=session, evaluations=evaluations, closed=closed):
                    closed(row)
                    if len(parts.history().evaluations) >= evaluations:
                        session.stop()

                session.listener.closed = stop_at
                session.run()
        assert rows(parts) == expected


def test_an_exception_in_a_worker_is_a_void_row_and_the_move_is_tried_again(archive, evolution):
    """In the peers a task whose evaluation raised is lost for good, and expansions in flight never come back."""

    class Fragile(World):
        def perform(self, job):
            if len(self.jobs) in (2, 5):
                raise OSError("disk full")
            return super().perform(job)

    fragile = Fragile()
    with ThreadPoolExecutor(1) as executor:
        session = evolution(archive, fragile, executor, workers=1, budget={"evaluations": 12})
        session._rest_after = lambda record: None
        session.run()
    history = archive.history()
    moves = (*history.evaluations, *history.expansions)
    void = [row for row in moves if row.outcome is Outcome.VOID]
    assert [row.reason for row in void] == ["a fault in Clade itself: OSError: disk full"] * 2
    assert sum(row.passed or row.failed for row in history.evaluations) == 12


def test_a_dead_house_stops_the_run_with_its_cause(archive, evolution):
    class Dead(World):
        def perform(self, job):
            return Record(Outcome.VOID, "sandbox: the engine died", 0.0)

    with ThreadPoolExecutor(1) as executor:
        session = evolution(archive, Dead(), executor, workers=1, budget={"voids_in_a_row": 4})
        session._rest_after = lambda record: None
        ending = session.run()
    assert "the engine died" in ending.reason
    assert len(archive.history().evaluations) == 4


def test_children_that_never_live_stop_the_run_with_their_cause(archive, grow):
    """The peers' broken set-up: 1,374 attempts in a loop, no back-off, normal exit."""

    class Barren(World):
        def perform(self, job):
            if isinstance(job, ExpansionJob):
                return Record(Outcome.STILLBORN, "does not compile", 0.0)
            return super().perform(job)

    ending = grow(archive, Barren(), budget={"evaluations": 1000, "failures_in_a_row": 5})
    attempts = [row for row in archive.history().expansions if row.outcome is Outcome.STILLBORN]
    assert "does not compile" in ending.reason or "is spent" in ending.reason or "every task" in ending.reason
    assert 2 <= len(attempts) <= 6


def test_equal_children_share_one_row_of_evidence(archive, grow):
    """Two workers may write the same child at once: the later one is a duplicate of the earlier."""

    class Clones(World):
        def perform(self, job):
            if isinstance(job, ExpansionJob):
                child = {"__main__.py": b"0.5"}
                return Record(Outcome.BORN, "lives", 0.0, child=child, shape=shape(child))
            return super().perform(job)

    grow(archive, Clones(), budget={"evaluations": 12})
    history = archive.history()
    assert len(history.agents) == 2
    twins = [row for row in history.expansions if row.outcome is Outcome.DUPLICATE]
    assert twins
    assert {row.child for row in twins} == {1}


@pytest.mark.parametrize("policy", ["hgm", "dgm"])
def test_at_every_tick_the_view_is_the_plain_recomputation(archive, policy, evolution):
    """With faults of the house, outages, tasks that cannot be done, twins, several workers and two sessions."""

    class Rough(World):
        def perform(self, job):
            if isinstance(job, EvaluationJob) and job.task in TASKS[3::4]:
                return Record(Outcome.VOID, "sandbox: an image that cannot be opened", 0.1)
            if len(self.jobs) % 9 == 5:
                return Record(Outcome.VOID, f"{OUTAGE}mine answered 503", 0.1)
            if isinstance(job, ExpansionJob) and len(self.jobs) % 2:
                return Record(Outcome.BORN, "lives", 0.1, child=job.agent, shape=shape(job.agent))
            return super().perform(job)

    checked = 0

    def check(session):
        nonlocal checked
        history = archive.history()
        assert session.view().same(view_of(history, TASKS, session.settings))
        assert session._board.next_decision == next_decision(history)
        for agent in history.agents:
            assert archive.evaluations_of(agent.id) == history.evaluations_of(agent.id)
            assert archive.twin(agent.shape) == history.twin(agent.shape)
        assert archive.shapes() == history.shapes()
        checked += 1

    settings = {"workers": 3, "seed": 2, "policy": {"name": policy}}
    settings["budget"] = {"evaluations": 60, "voids_in_a_row": 50}
    for stop_after in (20, 1000):
        with ThreadPoolExecutor(3) as executor:
            session = evolution(archive, Rough(), executor, **settings)
            session._rest_after = lambda record: None
            session.listener.tick = lambda view, session=session: check(session)
            session.listener.opened = lambda row, session=session, last=stop_after: row.id < last or session.stop()
            session.run()
    outcomes = Counter(row.outcome for row in (*archive.history().evaluations, *archive.history().expansions))
    assert outcomes[Outcome.DUPLICATE] and outcomes[Outcome.VOID] > 3 and outcomes[Outcome.BORN], outcomes
    alone = left_out(archive.history()).keys()
    assert alone and alone <= set(TASKS[3::4]) and checked > 20


@pytest.mark.parametrize("policy", ["hgm", "mendel"])
def test_a_move_is_the_same_as_if_it_were_made_from_all_rows(tmp_path, policy, shared):
    @dataclass
    class AllRows:
        """All rows, whichever agent is asked about."""

        archive: Archive

        def evaluations_of(self, agent):
            return self.archive.history().evaluations

        def shapes(self):
            return frozenset(agent.shape for agent in self.archive.history().agents)

    class FromAll(Evolution):
        def known(self):
            return AllRows(self.archive)

    def jobs(name, loop):
        world, settings = World(), Settings(workers=1, policy={"name": policy}, budget={"evaluations": 40})
        with Archive.create(tmp_path / name) as archive, ThreadPoolExecutor(1) as executor:
            archive.add_seed({"__main__.py": b"0.4"}, "s")
            for task in TASKS[:9]:  # a person's measurements count as attempts, and as nothing else
                asked = {"agent": 0, "benchmark": "repair", "split": "search", "task": task, "attempt": 0, "seed": 1}
                archive.close_evaluation(
                    archive.open_evaluation(None, **asked).id, Outcome.UNRESOLVED, reason="by hand"
                )
            loop(archive, settings, Exercises(), executor, world, Supply(archive.spent), shared.Listener()).run()
            attempts = {row.attempt for row in archive.history().evaluations}
        return world.jobs, attempts

    expected, attempts = jobs("all", FromAll)
    assert attempts == {0, 1} and any(isinstance(job, ExpansionJob) and job.evidence for job in expected)
    assert jobs("own", Evolution) == (expected, attempts)


def test_rows_are_not_copied_for_a_move(tmp_path, evolution):
    """What a move costs must not grow with the rows: all of them are read when a session begins, and then no more."""

    class Counting(Archive):
        looks = 0

        def history(self):
            self.looks += 1
            return super().history()

    def looks(evaluations):
        with Counting.create(tmp_path / str(evaluations)) as archive:
            archive.add_seed({"__main__.py": b"0.2"}, "s")
            with ThreadPoolExecutor(1) as executor:
                session = evolution(archive, World(), executor, workers=1, budget={"evaluations": evaluations})
                session.supply = Supply(Bill)
                session.run()
            assert sum(row.passed or row.failed for row in archive.history().evaluations) == evaluations
            return archive.looks

    assert looks(10) == looks(40)


def test_money_stops_it(archive, grow):
    ending = grow(archive, World(), workers=1, budget={"evaluations": 100, "usd": 0.1})
    assert "$0.1 is spent" in ending.reason
    assert archive.spent().usd == pytest.approx(0.1)


def test_what_died_with_its_process_counts_as_spent(archive, evolution):
    with ThreadPoolExecutor(1) as executor:
        session = evolution(archive, World(), executor, budget={"usd": 5.0})
        session.supply = Supply(lambda: Bill(1, 0, 0, 0, 5.0))
        assert "$5 is spent" in session.run().reason
    assert archive.history().evaluations == ()


def test_decisions_are_recorded_with_their_grounds(archive, grow):
    grow(archive, World(), workers=1, budget={"evaluations": 10})
    decisions = archive.decisions()
    assert [decision.number for decision in decisions] == list(range(len(decisions)))
    assert {"own", "clade", "agents"} <= json.loads(decisions[-1].evidence).keys()


def test_the_chosen_agent_is_better_than_the_seed_on_average(tmp_path, evolution):
    """The paper's claim in small: over six seeds the agent chosen by HGM has more true skill than the seed."""
    gains = []
    for seed in range(6):
        with Archive.create(tmp_path / str(seed)) as archive:
            archive.add_seed({"__main__.py": b"0.2"}, "s")
            with ThreadPoolExecutor(1) as executor:
                session = evolution(archive, World(), executor, workers=1, seed=seed, budget={"evaluations": 40})
                session.run()
            best = session.settings.policy.best(session.view())
            gains.append(float(archive.files(best)["__main__.py"]) - 0.2)
    assert sum(gains) / len(gains) > 0.1


class TestOutages:
    """Nothing starts while a service is out, nothing that it spoilt leaves a trace, and its time is nobody's."""

    OUT = Outage("mine", "mine answered 503", datetime(2026, 1, 1, tzinfo=UTC), 40.0)

    def rows(self, archive):
        history = archive.history()
        moves = (*search(history), *attempts(history))
        told = sorted((row.decision, row.agent if isinstance(row, Evaluation) else -1, row.outcome) for row in moves)
        return told, [(row.parent, row.tree) for row in history.agents]

    def test_no_move_starts_and_the_clock_stands_still(self, archive, monkeypatch, evolution):
        class Clock:
            now = 0.0

            def monotonic(self):
                return self.now

            def sleep(self, seconds):
                self.now += seconds

        clock, told = Clock(), []
        monkeypatch.setattr("evolve.loop.time", clock)
        monkeypatch.setattr("evolve.outages.time", clock)
        world = World()
        with ThreadPoolExecutor(1) as executor:
            session = evolution(archive, world, executor, workers=1, budget={"evaluations": 3})
            session.listener.paused = told.append
            session.supply = Supply(archive.spent, outages=lambda: (self.OUT,) if clock.now < 7200 else ())
            clock.now = 0.0
            session._clock = 0.0
            ending = session.run()
        assert ending.finished and clock.now >= 7200
        assert told[0] == (self.OUT,) and told[-1] == () and told.count(()) == 1
        assert session.hours < 0.01, "two hours of waiting are no working time"

    def test_what_an_outage_spoilt_is_made_again_as_if_nothing_had_been(self, tmp_path, evolution):
        class Fragile(World):
            """The service goes out in the middle of its second, fifth and sixth move."""

            out = False

            def perform(self, job):
                if len(self.jobs) in (2, 5, 6):
                    self.out = True
                    time.sleep(0.5)
                    self.out = False
                    return Record(Outcome.VOID, "model: mine answered 503", 0.0)
                return super().perform(job)

        def grown(name, world):
            with Archive.create(tmp_path / name) as archive:
                archive.add_seed({"__main__.py": b"0.2"}, "s")
                with ThreadPoolExecutor(1) as executor:
                    session = evolution(
                        archive, world, executor, workers=1, seed=3, budget={"evaluations": 12, "voids_in_a_row": 1}
                    )
                    out = getattr(world, "out", None)
                    if out is not None:
                        session.supply = Supply(archive.spent, outages=lambda: (self.OUT,) if world.out else ())
                    assert session.run().finished
                history = archive.history()
                voids = [row.reason for row in (*history.evaluations, *history.expansions) if row.outcome == "VOID"]
                return self.rows(archive), voids

        calm, none = grown("calm", World())
        rough, voids = grown("rough", Fragile())
        assert none == [] and voids == ["outage: mine answered 503"] * 3
        assert rough == calm

    def test_another_fault_during_an_outage_is_still_that_fault(self, archive, evolution):
        class Broken(World):
            def perform(self, job):
                time.sleep(0.5)
                return Record(Outcome.VOID, "sandbox: the engine died", 0.0)

        polls = iter(range(10**9))
        with ThreadPoolExecutor(1) as executor:
            session = evolution(archive, Broken(), executor, workers=1, budget={"voids_in_a_row": 1})
            session.supply = Supply(archive.spent, outages=lambda: (self.OUT,) if next(polls) in (1, 2) else ())
            assert "the engine died" in session.run().reason
        assert archive.history().evaluations[0].reason == "sandbox: the engine died"

    def test_no_move_starts_beside_others_that_wait_for_a_service(self, archive, evolution):
        world = World()
        with ThreadPoolExecutor(4) as executor:
            session = evolution(archive, world, executor, workers=4, budget={"evaluations": 8})
            session.supply = Supply(archive.spent, crowded=lambda: True)
            assert session.run().finished
        assert world.most_at_once == 1, "the one that is allowed to wait alone"

    def test_what_no_retry_can_mend_ends_the_run_with_its_cure(self, archive, evolution):
        with ThreadPoolExecutor(1) as executor:
            session = evolution(archive, World(), executor, workers=1)
            session.supply = Supply(archive.spent, refusal=lambda: "mine:m: wrong key; check the key in MY_KEY")
            ending = session.run()
        assert not ending.finished and "check the key in MY_KEY. Mend that and run again" in ending.reason
        assert archive.history().evaluations == ()

    def test_who_stops_a_run_that_waits_does_not_wait(self, archive, evolution):
        with ThreadPoolExecutor(1) as executor:
            session = evolution(archive, World(), executor, workers=1)
            session.supply = Supply(archive.spent, outages=lambda: (self.OUT,))
            session.listener.paused = lambda outages: session.stop()
            assert session.run() is ASKED
        assert archive.history().evaluations == ()
