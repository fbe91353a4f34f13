"""Defects of the two reference implementations in their outer loops; docs/peers.md says which.

The real loop on a real archive, with moves that take no time.
"""

import shutil
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import evolve.loop
from archive import Archive, Bill, Outcome
from benchmarks import Benchmark, Task
from evolve.evidence import evidence_of, overflowed
from evolve.jobs import EvaluationJob, Record
from evolve.loop import Evolution
from evolve.policies import HGM
from evolve.settings import Settings, parse
from evolve.shape import shape
from evolve.state import view_of
from evolve.supply import Supply


class Numbered(Benchmark):
    """So many tasks, of which the loop only needs the names."""

    name = "numbered"

    def __init__(self, count):
        self.count = count

    def prepare(self, sandbox, progress=None):
        return ()

    def ids(self):
        return self.tasks("search")

    def prove(self, id, sandbox):
        raise AssertionError("nothing is proven here")

    def fingerprint(self, id):
        return id

    def tasks(self, split):
        return tuple(f"task-{number}" for number in range(self.count))

    def task(self, id):
        return Task(id, "search", "Mend it.", {})

    def grade(self, id, diff, sandbox):
        raise NotImplementedError("moves of these tests are not really made")


class Counting(ThreadPoolExecutor):
    """Knows how many jobs it was given."""

    given = 0

    def submit(self, *arguments):
        self.given += 1
        return super().submit(*arguments)


def perform(job):
    """A move that takes no time; how it ends depends on the job alone."""
    if isinstance(job, EvaluationJob):
        papers = {"transcript.jsonl": b"", "patch.diff": job.key.encode(), "verdict.json": b"{}"}
        outcome = Outcome.RESOLVED if (job.seed + len(job.agent)) % 3 == 0 else Outcome.UNRESOLVED
        return Record(outcome, "so it went", 0.0, files=papers)
    child = {**job.agent, f"gene_{job.seed}.py": b""}
    return Record(Outcome.BORN, "it lives", 0.0, child=child, shape=shape(child))


@pytest.fixture
def grow(shared):
    def grown(folder, perform=perform, tasks=60, **settings):
        """A whole run: why it stopped, its archive's history, what the listener heard, how many jobs were given out."""
        settings, listener = Settings(**settings), shared.Listener()
        with Archive.create(folder) as archive, Counting(settings.workers) as executor:
            archive.add_seed({"__main__.py": b""}, "seed")
            loop = Evolution(archive, settings, Numbered(tasks), executor, perform, Supply(Bill), listener)
            return loop.run(), archive.history(), listener.rows, executor.given

    return grown


@pytest.fixture
def no_pause(monkeypatch):
    """What is tested is not how long the house rests after a fault."""
    monkeypatch.setattr(evolve.loop, "VOID_PAUSE_SECONDS", 0.0)


class TestLoop:
    def test_no_job_is_queued_that_a_finished_run_would_have_to_wait_for(self, tmp_path, grow):
        """T8: there, a hundred times as many were queued as the budget allows, and each slept before it looked."""
        ending, history, rows, given = grow(tmp_path / "run", workers=7, budget={"evaluations": 20})
        assert ending.finished
        assert given == len(rows) == len(history.expansions) + len(history.evaluations)

    def test_a_budget_made_smaller_than_what_is_spent_breaks_no_policy(self, tmp_path, grow):
        """T7: the cooling factor is B over what remains of B, and nothing may remain."""
        _, history, _, _ = grow(tmp_path / "run", budget={"evaluations": 6})
        view = view_of(history, ("task-0",), Settings(budget={"evaluations": 3}))
        assert HGM().parent(view, np.arange(1), np.random.default_rng(0)) == 0
        assert HGM().choose(view, np.random.default_rng(0)) is None

    def test_an_exception_in_a_worker_is_told_at_once_and_the_move_made_again(self, tmp_path, no_pause, grow):
        """T5: nothing stays marked as under way, no task is lost, no expansion's place either."""
        lock, raised = threading.Lock(), Counter()

        def flaky(job):
            with lock:
                kind = type(job).__name__
                raised[kind] += 1
                if raised[kind] <= 3:
                    raise OSError("the disk hiccupped")
            return perform(job)

        ending, history, rows, _ = grow(tmp_path / "run", flaky, tasks=6, workers=1, budget={"evaluations": 20})
        assert ending.finished
        voids = [row for row in rows if row.outcome is Outcome.VOID]
        assert len(voids) == 6
        assert all("the disk hiccupped" in row.reason for row in voids)
        evidence = {(row.agent, row.task) for row in history.evaluations if row.passed or row.failed}
        assert len(evidence) == 20
        _, calm, _, _ = grow(tmp_path / "calm", tasks=6, workers=1, budget={"evaluations": 20})
        assert len(history.agents) == len(calm.agents)

    def test_evaluations_that_end_together_are_all_recorded_with_their_own_papers(self, tmp_path, grow):
        """R3, R4: twenty of one agent at the same moment; there, metadata was torn and folders were shared."""
        together = threading.Barrier(20)

        def at_once(job):
            if isinstance(job, EvaluationJob):
                together.wait(30)
            return perform(job)

        _, history, _, _ = grow(tmp_path / "run", at_once, workers=20, budget={"evaluations": 20, "expansions": 0})
        assert len({row.task for row in history.evaluations if row.passed or row.failed}) == 20
        papers = {path.parent.name: path.read_text() for path in (tmp_path / "run" / "logs").glob("*/patch.diff")}
        assert papers == {f"evaluation-{number}": f"evaluation-{number}" for number in range(1, 21)}

    def test_measuring_an_agent_writes_nothing_into_the_agents_code(self, tmp_path, grow, shared):
        """G13: there, each evaluation truncated and rewrote its ancestors' patches."""
        grow(tmp_path / "run", budget={"evaluations": 8})
        code = {path: path.stat() for path in (tmp_path / "run" / "agents.git").rglob("*")}
        settings = Settings(workers=4, budget={"evaluations": 20, "expansions": 0})
        with Archive.open(tmp_path / "run", write=True) as archive, ThreadPoolExecutor(4) as executor:
            Evolution(archive, settings, Numbered(60), executor, perform, Supply(Bill), shared.Listener()).run()
        after = {path: path.stat() for path in (tmp_path / "run" / "agents.git").rglob("*")}
        assert {path: (stat.st_ino, stat.st_mtime_ns) for path, stat in code.items()} == {
            path: (stat.st_ino, stat.st_mtime_ns) for path, stat in after.items()
        }

    def test_two_runs_in_one_process_do_not_meet(self, tmp_path, grow):
        """T11: side by side they grow the trees that they grow alone, whatever is drawn elsewhere."""

        def tree(name, seed):
            np.random.seed(seed)  # somebody else's use of the one generator that a process shares
            _, history, _, _ = grow(tmp_path / name, seed=seed, workers=1, budget={"evaluations": 12})
            moves = [(row.agent, row.task, row.seed, row.outcome) for row in history.evaluations]
            return [(row.id, row.parent, row.tree) for row in history.agents], moves

        alone = [tree(f"alone-{seed}", seed) for seed in (1, 2)]
        with ThreadPoolExecutor(2) as pool:
            beside = list(pool.map(tree, ("beside-1", "beside-2"), (1, 2)))
        assert beside == alone
        assert alone[0] != alone[1]


def test_a_run_folder_grows_with_the_moves_and_not_with_their_square(tmp_path):
    """R5: there, the whole tree was appended after every event."""
    folder = tmp_path / "run"
    with Archive.create(folder) as archive:
        archive.add_seed({"__main__.py": b""}, "seed")

    def grown_by(moves):
        before = (folder / "archive.db").stat().st_size
        with Archive.open(folder, write=True) as archive:
            for number in range(moves):
                row = archive.open_evaluation(
                    None, agent=0, benchmark="b", split="search", task=f"task-{number}", attempt=0, seed=1
                )
                archive.close_evaluation(row.id, Outcome.RESOLVED, reason="all 7 hidden tests passed " * 4)
        return (folder / "archive.db").stat().st_size - before

    first, _, third = (grown_by(30) for _ in range(3))
    assert 0 < third < 2 * first  # with the square it would be five times as much


def test_a_row_is_not_closed_before_its_papers_are_kept(tmp_path, monkeypatch, grow):
    """D4, R3: there is no failed task without a log, even if the disk is full at that moment."""

    def full(*_):
        raise OSError("no space left on the device")

    monkeypatch.setattr(evolve.loop, "keep", full)
    with pytest.raises(OSError, match="no space left"):
        grow(tmp_path / "run")
    with Archive.open(tmp_path / "run") as archive:
        assert {row.outcome for row in archive.history().evaluations} == {None}


def test_a_run_goes_on_without_the_papers_that_somebody_removed(tmp_path, grow):
    """D4: there, one failed task without a log ended the run."""
    grow(tmp_path / "run", budget={"evaluations": 8})
    with Archive.open(tmp_path / "run") as archive:
        failed = next(row for row in archive.history().evaluations if row.failed)
        shutil.rmtree(archive.folder_of(failed))
        assert not overflowed(archive.folder_of(failed))
        assert evidence_of(failed, archive.folder_of(failed), Numbered(5)).transcript == ""


@pytest.mark.parametrize("name", ["hgm", "dgm", "greedy", "uniform"])
def test_every_policy_is_taken_by_its_own_name(name):
    """D1: there, the default's own name was refused."""
    assert parse(f"[policy]\nname = {name!r}").policy.name == name
