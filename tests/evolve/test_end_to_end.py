"""The whole machine on a small run: real boxes, the real seed agent, the offline model, the real judge."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from archive import Archive, Outcome
from evolve.cli import main

pytestmark = [pytest.mark.usefixtures("boxes"), pytest.mark.timeout(400)]

CANARY = "sk-canary-9f3a61c2d47b4f0e"
SETTINGS = """
seed = 11
workers = 2
[benchmark]
name = "repair"
search = 12
validation = 2
sealed = 4
[budget]
evaluations = 6
[rollout]
solve_seconds = 20
improve_seconds = 30
"""


def clade(*arguments: str, code: int = 0):
    result = CliRunner().invoke(main, list(arguments))
    assert result.exit_code == code, result.output
    return result


@pytest.fixture(scope="module")
def run(tmp_path_factory, boxes) -> Path:
    """A finished run, grown with a key in the launcher's environment."""
    folder = tmp_path_factory.mktemp("runs") / "small"
    folder.mkdir()
    (folder / "run.toml").write_text(SETTINGS)
    program = [sys.executable, "-c", "from evolve.cli import main; main()", "run", str(folder)]
    done = subprocess.run(
        program,
        env={**os.environ, "OPENAI_API_KEY": CANARY, "MY_SECRET": CANARY},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return folder


def test_a_tree_has_grown(run):
    with Archive.open(run) as archive:
        history = archive.history()
        files = {agent.id: archive.files(agent.id) for agent in history.agents}
    assert len(history.agents) > 1
    assert sum(row.passed or row.failed for row in history.evaluations) == 6
    for expansion in history.expansions:
        if expansion.outcome is Outcome.BORN:
            assert files[expansion.child] != files[expansion.parent]
            assert expansion.issue


def test_every_move_left_its_papers(run):
    with Archive.open(run) as archive:
        for row in (*archive.history().expansions, *archive.history().evaluations):
            folder = archive.folder_of(row)
            names = {path.name for path in folder.iterdir()}
            assert {"transcript.jsonl", "patch.diff", "verdict.json", "bill.json"} <= names
            assert json.loads((folder / "bill.json").read_text())["total"]["calls"] == row.bill.calls > 0


def test_no_key_is_anywhere(run):
    """A key in the launcher's environment is in no log, transcript, row or agent."""
    hits = [path for path in run.rglob("*") if path.is_file() and CANARY.encode() in path.read_bytes()]
    assert hits == []


def test_hidden_tests_are_in_no_transcript(run):
    for path in run.glob("logs/*/transcript.jsonl"):
        assert b"def check(" not in path.read_bytes()


def test_the_verbs_read_it(run):
    status = json.loads(clade("status", str(run), "--json").stdout)
    assert {"agents", "expansions", "evaluations", "resolved", "void", "spent_usd"} <= status.keys()
    assert clade("tree", str(run)).stdout
    best = json.loads(clade("best", str(run), "--json").stdout)
    assert clade("show", str(run), str(best["agent"])).stdout


def test_an_exported_agent_stands_alone(run, tmp_path):
    out = tmp_path / "agent"
    clade("export", str(run), "1", str(out))
    done = subprocess.run([sys.executable, str(out), "--selfcheck"], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    provenance = json.loads((out / "provenance.json").read_text())
    assert CANARY not in json.dumps(provenance)


def test_running_again_says_that_it_is_over(run):
    before = json.loads(clade("status", str(run), "--json").stdout)
    clade("run", str(run))
    assert json.loads(clade("status", str(run), "--json").stdout)["evaluations"] == before["evaluations"]


def test_sealed_measurements_do_not_steer_the_search(run):
    with Archive.open(run) as archive:
        before = [row for row in archive.history().evaluations if row.decision is not None]
    answer = json.loads(clade("evaluate", str(run), "0", "--split", "sealed", "--limit", "2", "--json").stdout)
    assert answer["tasks"] == 2
    with Archive.open(run) as archive:
        assert [row for row in archive.history().evaluations if row.decision is not None] == before
        sealed = [row for row in archive.history().evaluations if row.split == "sealed"]
    assert len(sealed) == 2
    again = json.loads(clade("evaluate", str(run), "0", "--split", "sealed", "--limit", "2", "--json").stdout)
    assert again["resolved"] == answer["resolved"]


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["run", "{empty}"], 2, "clade init"),
        (["status", "{empty}"], 1, "no archive"),
        (["show", "{run}", "99"], None, "99"),
        (["evaluate", "{run}", "0", "--split", "secret"], 2, "secret"),
        (["evaluate", "{run}", "0", "--benchmark", "repare"], 2, "repair"),
        (["init", "{run}"], 2, "exists already"),
        (["init", "/proc/nowhere"], 1, "clade: /proc/nowhere: No such file or directory"),
        (["frobnicate"], 2, "No such command"),
    ],
)
def test_a_mistake_gets_one_sentence(run, tmp_path, arguments, code, says):
    result = CliRunner().invoke(main, [part.format(run=run, empty=tmp_path) for part in arguments])
    assert result.exit_code in ((1, 2) if code is None else (code,))
    assert says in result.output
    assert "Traceback" not in result.output


def test_a_run_keeps_its_benchmark_for_life(run):
    text = (run / "run.toml").read_text()
    try:
        (run / "run.toml").write_text(text.replace("[benchmark]", "[benchmark]\nbug_seed = 3"))
        result = CliRunner().invoke(main, ["run", str(run)])
    finally:
        (run / "run.toml").write_text(text)
    assert result.exit_code == 2
    assert "`benchmark`" in result.output


def test_a_run_that_is_being_written_is_refused(run):
    with Archive.open(run, write=True):
        program = [sys.executable, "-c", "from evolve.cli import main; main()", "run", str(run)]
        second = subprocess.run(program, capture_output=True, text=True)
    assert second.returncode == 1
    assert str(os.getpid()) in second.stderr
