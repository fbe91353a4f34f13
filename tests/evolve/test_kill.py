"""`kill -9` at any moment: nothing closed is lost, doubled or orphaned, and the finished tree is the same.

CLADE_KILLS sets how many kills the slow test makes (100 were made for the record in docs/measurements.md).
"""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from archive import INTERRUPTED, Archive, ArchiveError, Outcome
from evolve.board import board_of
from evolve.settings import load
from evolve.state import view_of

pytestmark = pytest.mark.usefixtures("boxes")

SETTINGS = """
seed = {seed}
workers = 1
[benchmark]
name = "repair"
search = 24
validation = 2
sealed = 2
[budget]
evaluations = {evaluations}
[rollout]
solve_seconds = 120
improve_seconds = 180
"""


def make_run(folder: Path, *, seed: int, evaluations: int) -> Path:
    folder.mkdir()
    (folder / "run.toml").write_text(SETTINGS.format(seed=seed, evaluations=evaluations))
    return folder


def start(run: Path) -> subprocess.Popen:
    program = "from evolve.cli import main; main()"
    with (run / "out.txt").open("ab") as out:
        return subprocess.Popen([sys.executable, "-c", program, "run", str(run), "--plain"], stdout=out, stderr=out)


def closed_rows(run: Path) -> dict:
    if not (run / "archive.db").exists():
        return {}
    try:
        with Archive.open(run) as archive:
            history = archive.history()
    except ArchiveError:  # killed while the archive was being made: the next start makes it
        return {}
    rows = (*history.agents, *history.expansions, *history.evaluations)
    return {(type(row).__name__, row.id): row for row in rows if getattr(row, "outcome", "born") is not None}


def story(run: Path) -> tuple:
    """What must be equal between a killed and an unkilled run: all but times, and the numbers of rows."""
    with Archive.open(run) as archive:
        history = archive.history()
        files = [archive.files(agent.id) for agent in history.agents]
    agents = [(row.id, row.parent, row.tree, row.shape) for row in history.agents]
    kept = [row for row in history.expansions if row.reason != INTERRUPTED]
    expansions = sorted(
        (row.decision, row.parent, row.entry, row.seed, row.outcome, row.issue, row.child) for row in kept
    )
    measured = [row for row in history.evaluations if row.reason != INTERRUPTED]
    evaluations = sorted((row.decision, row.agent, row.task, row.seed, row.outcome, row.steps) for row in measured)
    return agents, files, expansions, evaluations


def boxes_of(pid: int) -> list[str]:
    """Command lines of processes that a dead run left behind."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
                parent = (entry / "stat").read_text().rsplit(")", 1)[1].split()[1]
            except OSError:
                continue
            if ("bwrap" in line or "-m agent" in line) and parent in ("1", str(pid)):
                found.append(line)
    return found


def kill_and_resume(run: Path, rng: random.Random, kills: int, longest: float) -> int:
    """Kill the run up to `kills` times at random moments, then let it finish; how many kills hit a living run."""
    hits, known = 0, {}
    while hits < kills:
        process = start(run)
        try:
            process.wait(rng.uniform(0.2, longest))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            hits += 1
        else:
            assert process.returncode == 0, (run / "out.txt").read_text()[-2000:]
            break
        now = closed_rows(run)
        assert {key: now.get(key) for key in known} == known, "a closed row was lost or changed"
        known = now
        time.sleep(0.2)
        assert boxes_of(process.pid) == []
    finish = start(run)
    assert finish.wait(300) == 0, (run / "out.txt").read_text()[-2000:]
    now = closed_rows(run)
    assert {key: now[key] for key in known} == known
    return hits


def check_finished(run: Path, evaluations: int) -> None:
    with Archive.open(run) as archive:
        history = archive.history()
    evidence = [row for row in history.evaluations if row.passed or row.failed]
    assert len(evidence) == evaluations
    assert len({(row.agent, row.task) for row in evidence}) == len(evidence), "a task was measured twice"
    assert all(row.outcome is not None for row in (*history.expansions, *history.evaluations))
    born = [row.child for row in history.expansions if row.outcome is Outcome.BORN]
    assert sorted(born) == [agent.id for agent in history.agents if agent.parent is not None]
    settings, tasks = load(run), sorted({row.task for row in history.evaluations})
    assert board_of(history, tasks, settings).view().same(view_of(history, tasks, settings))


@pytest.mark.timeout(900)
def test_killed_twice_the_tree_is_the_same(tmp_path):
    whole = make_run(tmp_path / "whole", seed=5, evaluations=4)
    assert start(whole).wait(300) == 0, (whole / "out.txt").read_text()[-2000:]
    killed = make_run(tmp_path / "killed", seed=5, evaluations=4)
    kill_and_resume(killed, random.Random(1), kills=2, longest=3.0)
    check_finished(killed, 4)
    assert story(killed) == story(whole)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_killed_many_times_the_tree_is_the_same(tmp_path):
    wanted, done, seed = int(os.environ.get("CLADE_KILLS", "12")), 0, 100
    rng = random.Random(7)
    while done < wanted:
        whole = make_run(tmp_path / f"whole-{seed}", seed=seed, evaluations=20)
        assert start(whole).wait(300) == 0, (whole / "out.txt").read_text()[-2000:]
        killed = make_run(tmp_path / f"killed-{seed}", seed=seed, evaluations=20)
        done += kill_and_resume(killed, rng, kills=wanted - done, longest=6.0)
        check_finished(killed, 20)
        assert story(killed) == story(whole)
        seed += 1
