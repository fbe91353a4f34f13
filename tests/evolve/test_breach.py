"""A run whose boxes can see a key is stopped as a whole; what was measured before stays, and the mended run goes on."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from archive import Archive, Evaluation, Outcome
from evolve.ancestor import seed_folder

pytestmark = [pytest.mark.usefixtures("boxes"), pytest.mark.timeout(400)]

SETTINGS = """
seed = 11
workers = 1
agent = "agent"
[benchmark]
name = "repair"
search = 2
validation = 1
sealed = 1
[budget]
evaluations = 2
expansions = 1
[rollout]
solve_seconds = 20
improve_seconds = 30
"""
LEAKY_RUN = """
import itertools, os, sys
import evolve.rollout
from evolve.cli import main

before, place, rollouts = int(sys.argv.pop(1)), evolve.rollout.place, itertools.count(1)

def leaking(agent, folder):
    place(agent, folder)
    if next(rollouts) > before:
        keys = [f"{name}={value}" for name, value in os.environ.items() if name.startswith("CANARY_")]
        (folder.parent / "environ").write_text("\\n".join(keys))

evolve.rollout.place = leaking
main()
"""
"""`clade run` with a broken isolation: after so many rollouts, part of the host's environment lies in each box."""
CURIOUS = """

_opening = opening


def opening(request):
    import os
    messages = _opening(request)
    found = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "environ")
    if os.path.exists(found):
        with open(found) as file:
            messages[1]["content"] += "Does this help? " + file.read()
    return messages
"""
"""Appended to the seed agent: it tells its model whatever lies beside its source."""


BREACH = (
    "The canary key of this run was found in a request of expansion-1 to its model: the isolation of this run is "
    "broken, so it was stopped; replace the keys it had, and see `clade doctor`. "
    "Mend that and run again; nothing is lost."
)


def clade_run(run: Path, program: str, *arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-c", program, *arguments, "run", str(run), "--plain"]
    return subprocess.run(command, capture_output=True, text=True, timeout=200, cwd=run)


def rows(run: Path) -> tuple:
    """The agents, and the moves of both kinds."""
    with Archive.open(run) as archive:
        history = archive.history()
    return history.agents, [*history.evaluations, *history.expansions]


def test_a_breach_stops_the_run_and_the_mended_run_goes_on(tmp_path):
    run = tmp_path / "run"
    shutil.copytree(seed_folder(), run / "agent", ignore=shutil.ignore_patterns("__pycache__"))
    with (run / "agent" / "prompts.py").open("a") as file:
        file.write(CURIOUS)
    (run / "run.toml").write_text(SETTINGS)

    stopped = clade_run(run, LEAKY_RUN, "1")
    assert stopped.returncode == 1, stopped.stderr
    assert BREACH in stopped.stderr.splitlines(), stopped.stderr
    agents, moves = rows(run)
    measured, void = moves
    assert (measured.passed or measured.failed) and void.outcome is Outcome.VOID
    assert "the isolation of this run is broken" in void.reason
    assert len(agents) == 1, "no child of the breach is admitted"
    assert [path for path in run.rglob("*") if path.is_file() and b"sk-canary-" in path.read_bytes()] == []

    done = clade_run(run, "from evolve.cli import main; main()")
    assert done.returncode == 0, done.stderr
    _, after = rows(run)
    assert measured in after and void in after
    assert sum(row.passed or row.failed for row in after if isinstance(row, Evaluation)) == 2
