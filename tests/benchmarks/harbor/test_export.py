"""Our own tasks written as Harbor folders, and read back."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import Benchmark, BenchmarkError, Environment, Task, open_benchmark
from benchmarks.harbor import Harbor, build, export
from benchmarks.harbor.config import Config
from benchmarks.harbor.export import task_folder
from benchmarks.harbor.folder import read_folder
from sandbox import Docker, File, Tree, compare

TASK = Task(
    'odd "id"',
    "search",
    "Mend it.\n",
    {"pkg/code.py": File(b"x = 1\n"), "gone.txt": File(b"-"), "run.sh": File(b"#!/bin/sh\n", executable=True)},
    environment=Environment(variables={"A": 'quoted "\\ \x7f'}),
)
REFERENCE = {"pkg/code.py": File(b"x = 2\n"), "run.sh": TASK.files["run.sh"]}
TESTS = {"test_it.py": File(b"from pkg.code import x\n\n\ndef test_x():\n    assert x == 2\n")}


def written(folder: Path, files: Mapping[str, File]) -> Path:
    for path, file in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(file.content)
        (folder / path).chmod(0o755 if file.executable else 0o644)
    return folder


def test_a_task_is_written_as_the_format_says(tmp_path: Path) -> None:
    folder = written(tmp_path / "odd", task_folder("ours", TASK, TESTS, REFERENCE))
    settings = tomllib.loads((folder / "task.toml").read_text())
    assert settings["schema_version"] == "1.4"
    assert settings["task"]["name"] == "clade/odd--id"
    assert settings["environment"] == {"network_mode": "no-network", "env": {"A": 'quoted "\\ \x7f'}}
    Config.model_validate(settings)
    read = read_folder("odd", folder)
    assert read.instruction == "Mend it.\n"
    assert set(read.tests) == {"test.sh", "run_tests.py", "hidden/test_it.py"}
    assert set(read.solution) == {"solve.sh", "files/pkg/code.py"}
    assert read.tests["test.sh"].executable


def test_the_solution_makes_the_reference_of_the_start(tmp_path: Path) -> None:
    folder = written(tmp_path / "odd", task_folder("ours", TASK, TESTS, REFERENCE))
    work = written(tmp_path / "work", TASK.files)
    subprocess.run(["sh", str(folder / "solution/solve.sh")], cwd=work, check=True)
    made = {str(path.relative_to(work)): path.read_bytes() for path in work.rglob("*") if path.is_file()}
    assert made == {path: file.content for path, file in REFERENCE.items()}


RUNNER_TESTS = """
import unittest


def helper(x):
    return x


def test_plain():
    assert helper(1) == 1


class TestPlain:
    def test_method(self):
        assert {plain}


class CaseTest(unittest.TestCase):
    def setUp(self):
        self.kept = 1

    def test_case(self):
        self.assertEqual(self.kept, {case})

    {skip}
    def test_other(self):
        pass
"""


@pytest.mark.parametrize(
    ("plain", "case", "skip", "states"),
    [
        ("True", 1, "", "pppp"),
        ("False", 1, "", "pfpp"),
        ("True", 2, "", "ppfp"),
        ("True", 1, "@unittest.skip('no')", "pppf"),
    ],
)
def test_the_runner_runs_functions_and_classes(tmp_path: Path, plain: str, case: int, skip: str, states: str) -> None:
    source = RUNNER_TESTS.format(plain=plain, case=case, skip=skip)
    files = dict(task_folder("ours", TASK, {"test_it.py": File(source.encode())}, REFERENCE))
    report = tmp_path / "ctrf.json"
    runner = files["tests/run_tests.py"].content.replace(b"/logs/verifier/ctrf.json", str(report).encode())
    folder = written(tmp_path / "odd", {**files, "tests/run_tests.py": File(runner)})
    run = subprocess.run([sys.executable, "-I", "-B", folder / "tests/run_tests.py", tmp_path], capture_output=True)
    assert run.returncode == (0 if "f" not in states else 1), run.stdout + run.stderr
    found = [entry["status"][0] for entry in json.loads(report.read_text())["results"]["tests"]]
    assert "".join(found) == states


@pytest.mark.parametrize("content", ["", "x = 1\n", "import nowhere_to_be_found\n", "raise ValueError\n"])
def test_no_tests_and_unimportable_ones_are_no_success(tmp_path: Path, content: str) -> None:
    files = dict(task_folder("ours", TASK, {"test_it.py": File(content.encode())}, REFERENCE))
    runner = files["tests/run_tests.py"].content.replace(b"/logs/verifier", str(tmp_path).encode())
    folder = written(tmp_path / "odd", {**files, "tests/run_tests.py": File(runner)})
    run = subprocess.run([sys.executable, "-I", "-B", folder / "tests/run_tests.py", tmp_path], capture_output=True)
    assert run.returncode == 1


class Shown:
    """A benchmark of one task, as far as an export asks."""

    name = "shown"

    def __init__(self, task: Task, tests: Tree) -> None:
        self._task, self._tests = task, tests

    def tasks(self, split: str) -> tuple[str, ...]:
        return (self._task.id,) if split == self._task.split else ()

    def task(self, id: str) -> Task:
        return self._task

    def hidden_tests(self, id: str) -> Tree:
        return self._tests

    def reference(self, id: str) -> Tree:
        return REFERENCE


@pytest.mark.parametrize(
    ("task", "tests", "said"),
    [
        (replace(TASK, language="go"), TESTS, "its tests are in go"),
        (replace(TASK, environment=Environment(image="x")), TESTS, "an image, a set-up, or tools"),
        (TASK, {"data.txt": File(b"")}, "not in files that are named as such"),
    ],
)
def test_what_the_format_cannot_hold_is_left_out_by_name(tmp_path: Path, task: Task, tests: Tree, said: str) -> None:
    refused = export(Shown(task, tests), tmp_path / "out")  # type: ignore[arg-type]
    assert [entry.task for entry in refused] == [task.id]
    assert said in refused[0].reason
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("path", "source", "files", "reward"),
    [
        ("test_it.py", "import pytest\n\n\ndef test_x():\n    assert x == 2\n", REFERENCE, "1\n"),
        ("test_it.py", "def test_x(tmp_path):\n    assert x == 2\n", TASK.files, "0\n"),
        ("pkg/test_it.py", "def test_x():\n    assert x == 2\n", REFERENCE, "1\n"),
    ],
    ids=["imports pytest", "uses a fixture", "has its place among the files"],
)
def test_tests_that_need_pytest_get_it(tmp_path: Path, path: str, source: str, files: Tree, reward: str) -> None:
    tests = {path: File(f"from pkg.code import x\n\n\n{source}".encode())}
    made = task_folder("ours", TASK, tests, REFERENCE)
    assert b"pip install --no-cache-dir pytest==" in made["environment/Dockerfile"].content
    moved = {"/logs/verifier": str(tmp_path / "logs"), "/tests": str(tmp_path / "odd/tests")}
    text = made["tests/test.sh"].content.decode()
    for there, here in moved.items():
        text = text.replace(there, here)
    folder = written(tmp_path / "odd", {**made, "tests/test.sh": File(text.encode(), executable=True)})
    work = written(tmp_path / "work", {**files, "pytest.ini": File(b"[pytest]\n")})
    programs = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    bare = {"PATH": programs, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}  # plugins that are installed here take seconds
    subprocess.run([folder / "tests/test.sh"], cwd=work, env=bare, check=True, capture_output=True)
    assert (tmp_path / "logs/reward.txt").read_text() == reward
    assert (tmp_path / "logs/junit.xml").exists()


def test_an_export_never_writes_over_anything(tmp_path: Path) -> None:
    shown = Shown(replace(TASK, id="it"), TESTS)
    assert export(shown, tmp_path) == ()  # type: ignore[arg-type]
    with pytest.raises(BenchmarkError, match="exists already"):
        export(shown, tmp_path)  # type: ignore[arg-type]


def test_every_polyglot_exercise_in_the_fixture_is_exported(polyglot: Benchmark, tmp_path: Path) -> None:
    assert export(polyglot, tmp_path) == ()
    exported = {path.name for path in tmp_path.iterdir()}
    assert exported == {id for split in ("search", "validation", "sealed") for id in polyglot.tasks(split)}
    for path in tmp_path.iterdir():
        assert read_folder(path.name, path).config.verifier.timeout_sec == 300.0


@pytest.mark.docker
@pytest.mark.timeout(900)
def test_the_round_trip(docker: Docker, images: None, tmp_path: Path) -> None:
    """Tasks of `repair`, exported, read back: their references RESOLVED, untouched not."""
    repair = open_benchmark("repair", {"search": 1, "validation": 1, "sealed": 0}, tmp_path / "cache")
    repair.prepare(docker)
    ids = repair.tasks("search") + repair.tasks("validation")
    assert export(repair, tmp_path / "out", ids) == ()
    assert build({"path": tmp_path / "out"}) == ()
    harbor = Harbor({"path": tmp_path / "out"}, tmp_path / "cache")
    assert harbor.prepare(docker) == ()
    assert set(harbor.ids()) == set(ids)
    id = ids[0]
    ours = repair.task(id)
    right = compare(ours.files, repair.reference(id))  # type: ignore[attr-defined]
    verdict = harbor.grade(id, right, docker)
    assert verdict.outcome == "RESOLVED", verdict
    assert verdict.evidence["guard"] == "test"
    wrong = compare(ours.files, {**ours.files, "solution.py": File(b"import os\nos._exit(0)\n")})
    assert harbor.grade(id, wrong, docker).outcome in ("UNRESOLVED", "TAMPERED")
