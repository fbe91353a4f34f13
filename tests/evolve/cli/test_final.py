"""`clade final`: chosen among finalists, the sealed split opened once, also if it is killed at the worst moment."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from archive import Archive, Decision, History, Outcome
from evolve.cli.final import final
from evolve.cli.measuring import evaluate
from evolve.cli.reading import best
from evolve.settings import load
from evolve.statistics.mcnemar import exact
from evolve.statistics.sealed import BEGUN, OPENED, TOUCHED

Invoke = Callable[..., Result]
SEED = Path(__file__).parents[3] / "agent_seed"
SETTINGS = """
seed = 5
workers = 2
[budget]
evaluations = 8
[benchmark]
name = "repair"
search = 2
validation = 1
sealed = 1
[rollout]
solve_seconds = 3
improve_seconds = 30
"""


def opening(agent: int, reference: int = 0, tasks: int = 10) -> dict[str, Any]:
    return {
        "benchmark": "repair",
        "agent": agent,
        "reference": reference,
        "tasks": [f"s{n}" for n in range(tasks)],
        "finalists": [
            {"agent": agent, "before": [14, 4], "after": [12, 8]},
            {"agent": 8, "before": [9, 3], "after": [9, 11]},
        ],
    }


@pytest.fixture
def said(grown: Path, tmp_path: Path) -> Path:
    """The grown run, whose agents 11 and 0 were measured on ten sealed tasks, after such an opening."""
    run = tmp_path / "run"
    shutil.copytree(grown, run)
    with Archive.open(run, write=True) as archive:
        archive.void_open()
        archive.event(OPENED, opening(11))
    return run


def test_what_is_done_is_only_shown(said: Path, invoke: Invoke) -> None:
    before = rows_of(said)
    facts = json.loads(invoke(final, said, "--json").stdout)
    assert rows_of(said) == before
    assert (facts["agent"], facts["reference"], facts["times_opened"], facts["tasks"]) == (11, 0, 1, 10)
    assert (facts["paired"]["only_a"], facts["paired"]["only_b"], facts["paired"]["p"]) == (4, 0, exact(4, 0))
    assert (facts["looked_at"], facts["p_bound"], facts["warnings"]) == ([11], exact(4, 0), [])
    assert facts["finalists"][0]["before"] == {"passed": 14, "failed": 4}
    text = invoke(final, said).stdout
    assert "finalists on the same 20 search tasks" in text
    assert "12 of 20" in text
    assert re.search(r"agent 11  12 of 20  raw 60 % \(38 to 78\)  skill \d+ % \(\d+ to \d+\)  was 14 of 18", text)
    assert "agent 11 was chosen; 10 sealed tasks opened" in text
    assert "on the same 10 tasks: agent 11 8, agent 0 4" in text
    assert "difference +40 points" in text


def test_every_look_is_counted(said: Path, invoke: Invoke) -> None:
    with Archive.open(said, write=True) as archive:
        archive.event(OPENED, opening(8))
        for task in range(10):
            row = archive.open_evaluation(
                None, agent=8, benchmark="repair", split="sealed", task=f"s{task}", attempt=0, seed=1
            )
            archive.close_evaluation(row.id, Outcome.RESOLVED, reason="")
    facts = json.loads(invoke(final, said, "--json").stdout)
    assert (facts["agent"], facts["times_opened"], facts["looked_at"]) == (8, 2, [8, 11])
    assert facts["p_bound"] == pytest.approx(2 * exact(6, 0))
    assert "opened 2 times" in facts["warnings"][0]
    assert "read p as at most 0.062 (Bonferroni)" in invoke(final, said).stdout.replace("\n", " ")


def test_another_reference_is_another_opening(said: Path, invoke: Invoke) -> None:
    result = invoke(final, said, "--reference", "3")
    assert result.exit_code == 2
    assert "opened to compare with agent 0; `--again` opens it once more" in result.output
    assert invoke(final, said, "--reference", "0").exit_code == 0


def test_best_knows_of_it(said: Path, grown: Path, invoke: Invoke) -> None:
    assert "8 of 10; the seed 4 of 10" in invoke(best, said).stdout
    facts = json.loads(invoke(best, said, "--json").stdout)
    assert facts["final"] == {"agent": 11, "reference": 0, "times_opened": 1}
    with Archive.open(said, write=True) as archive:
        archive.event(OPENED, opening(8))
    assert json.loads(invoke(best, said, "--final", "--json").stdout)["agent"] == 8
    assert json.loads(invoke(best, said, "--json").stdout)["agent"] == 11
    refused = invoke(best, grown, "--final")
    assert refused.exit_code == 2
    assert "clade final" in refused.output


# From here on `clade final` really measures, in boxes, with the offline model.


def make_run(folder: Path, *, better: bool = True) -> Path:
    """Two agents, of the same code but for a comment, each measured on one of the two search tasks."""
    folder.mkdir()
    (folder / "run.toml").write_text(SETTINGS)
    first, second = search_tasks(folder)
    with Archive.create(folder, about={"settings": SETTINGS}) as archive:
        files = {path.name: path.read_bytes() for path in SEED.iterdir() if path.is_file()}
        archive.add_seed(files, "seed")
        row = archive.open_expansion(decided(1, "expand", 0, None), entry="task:x", seed=1)
        child = {**files, "__main__.py": files["__main__.py"] + b"# a child\n"}
        archive.close_expansion(row.id, Outcome.BORN, reason="", files=child, shape="child")
        results = [(0, first, not better), (0, second, not better), (1, first, better)]
        for number, (agent, task, passed) in enumerate(results, 2):
            measured = archive.open_evaluation(
                decided(number, "evaluate", agent, task), agent=agent, benchmark="repair", split="search",
                task=task, attempt=0, seed=number,
            )  # fmt: skip
            outcome = Outcome.RESOLVED if passed else Outcome.UNRESOLVED
            archive.close_evaluation(measured.id, outcome, reason="", seconds=4.0)
    return folder


def search_tasks(folder: Path) -> tuple[str, str]:
    from benchmarks import open_benchmark
    from evolve.workshop import cache_folder
    from sandbox import open_sandbox

    settings = load(folder)
    benchmark = open_benchmark(settings.benchmark_name, settings.benchmark_options, cache_folder())
    sandbox = open_sandbox("bwrap")
    try:
        benchmark.prepare(sandbox)
    finally:
        sandbox.close()
    first, second = benchmark.tasks("search")
    return first, second


def decided(number: int, move: str, agent: int, task: str | None) -> Decision:
    return Decision(number, "hgm", move, agent, task, "{}", datetime.now(UTC))


def rows_of(run: Path) -> History:
    with Archive.open(run) as archive:
        return archive.history()


def sealed_rows(run: Path) -> list[Any]:
    return [row for row in rows_of(run).evaluations if row.split == "sealed"]


def openings_of(run: Path) -> list[dict[str, Any]]:
    with Archive.open(run) as archive:
        return [dict(event.facts) for event in archive.events(OPENED)]


def start(run: Path) -> subprocess.Popen[bytes]:
    program = "from evolve.cli import main; main()"
    with (run / "out.txt").open("ab") as out:
        return subprocess.Popen(
            [sys.executable, "-c", program, "final", str(run), "--yes", "--finalists", "2"], stdout=out, stderr=out
        )


def kill_when(run: Path, ready: Callable[[], bool]) -> None:
    """Start `clade final` and `kill -9` it as soon as its archive is as wanted."""
    process = start(run)
    while process.poll() is None and not ready():
        time.sleep(0.02)
    assert process.poll() is None, (run / "out.txt").read_text()[-2000:]
    process.send_signal(signal.SIGKILL)
    process.wait()


def check_finished(run: Path) -> None:
    (facts,) = openings_of(run)
    with Archive.open(run) as archive:
        opened_at = archive.events(OPENED)[0].at
    rows = sealed_rows(run)
    evidence = [(row.agent, row.task) for row in rows if row.passed or row.failed]
    assert sorted(evidence) == sorted((agent, task) for agent in (0, facts["agent"]) for task in facts["tasks"])
    assert all(row.opened >= opened_at for row in rows)
    assert all(row.outcome is not None for row in rows_of(run).evaluations)


@pytest.mark.timeout(300)
@pytest.mark.usefixtures("boxes")
def test_killed_before_and_after_the_opening_it_opens_once(tmp_path: Path, invoke: Invoke) -> None:
    """Before: nothing is opened. After: the next one goes on with the agent and the tasks that were written down.

    Once it is done, only `--again` opens once more, and measures nothing twice.
    """
    run = make_run(tmp_path / "run")
    kill_when(run, lambda: any(row.outcome is None for row in rows_of(run).evaluations))
    assert openings_of(run) == []
    assert sealed_rows(run) == []
    kill_when(run, lambda: bool(openings_of(run)))
    first = openings_of(run)
    assert [facts["reference"] for facts in first] == [0]
    kill_when(run, lambda: any(row.outcome is None for row in sealed_rows(run)))
    process = start(run)
    assert process.wait(100) == 0, (run / "out.txt").read_text()[-2000:]
    assert openings_of(run) == first
    check_finished(run)
    assert "going on with the opening of" in (run / "out.txt").read_text()
    rows = rows_of(run)
    facts = json.loads(invoke(final, run, "--again", "--yes", "--finalists", "2", "--json").stdout)
    assert (facts["agent"], facts["times_opened"], facts["looked_at"]) == (1, 2, [1])
    assert rows_of(run) == rows


@pytest.mark.timeout(300)
@pytest.mark.usefixtures("boxes")
def test_where_the_seed_is_chosen_the_split_stays_shut(tmp_path: Path, invoke: Invoke) -> None:
    run = make_run(tmp_path / "run", better=False)
    refused = invoke(final, run)
    assert refused.exit_code == 2
    assert "`--yes` goes on without asking" in refused.output
    shut = invoke(final, run, "--yes", "--finalists", "2", "--budget", "0")
    assert shut.exit_code == 0, shut.output
    assert "the sealed split stays shut" in shut.stdout
    assert openings_of(run) == []
    assert sealed_rows(run) == []
    looked = invoke(evaluate, run, "1", "--split", "sealed", "--limit", "1")
    assert looked.exit_code == 0, looked.output
    with Archive.open(run) as archive:
        assert [event.facts["agent"] for event in archive.events(TOUCHED)] == [1]
    facts = json.loads(invoke(evaluate, run, "1", "--json").stdout)
    assert (facts["split"], facts["tasks"]) == ("validation", 1)
    assert facts["low"] < facts["high"]
    assert facts["mean"] == facts["resolved"]
    assert {row.split for row in rows_of(run).evaluations if row.decision is None} == {"sealed", "validation"}

    # As if a call had been cut off after one evaluation of a finalist: what it spent is spent.
    with Archive.open(run, write=True) as archive:
        (begun,) = archive.events(BEGUN)
        row = archive.open_evaluation(
            None, agent=0, benchmark="repair", split="search", task=search_tasks(run)[0], attempt=1, seed=1
        )
        archive.close_evaluation(row.id, Outcome.UNRESOLVED, reason="")
    rows = rows_of(run)
    shut = invoke(final, run, "--yes", "--finalists", "2", "--budget", "1")
    assert "finalists: agents 0, 1; 0 evaluations to measure them" in shut.stderr
    assert rows_of(run) == rows
    with Archive.open(run) as archive:
        assert archive.events(BEGUN) == (begun,)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.usefixtures("boxes")
def test_killed_at_random_moments_of_a_run_that_was_really_grown(tmp_path: Path) -> None:
    """CLADE_KILLS kills (12 by default) over as many runs as that takes."""
    rng, kills, seed = random.Random(3), int(os.environ.get("CLADE_KILLS", "12")), 20
    while kills > 0:
        run = tmp_path / f"run-{seed}"
        run.mkdir()
        (run / "run.toml").write_text(
            SETTINGS.replace("seed = 5", f"seed = {seed}").replace("search = 2", "search = 6")
        )
        program = [sys.executable, "-c", "from evolve.cli import main; main()", "run", str(run), "--plain"]
        subprocess.run(program, check=True, timeout=300, capture_output=True)
        seed, known = seed + 1, []
        while kills > 0:
            process = start(run)
            try:
                process.wait(rng.uniform(0.5, 12.0))
                break
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                process.wait()
                kills -= 1
            assert openings_of(run)[: len(known)] == known
            known = openings_of(run)
            assert len(known) <= 1
            assert known or not sealed_rows(run)
        assert start(run).wait(300) == 0, (run / "out.txt").read_text()[-2000:]
        if openings_of(run):
            check_finished(run)
