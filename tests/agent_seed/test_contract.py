"""What the world outside relies on, whatever else becomes of the agent."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

Desk = Any
SEED = Path(__file__).parents[2] / "agent_seed"
SOURCES = sorted(SEED.glob("*.py"))


def old_python() -> str | None:
    """A Python 3.8 on this machine, or None."""
    found = shutil.which("python3.8")
    versions = sorted(Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")).glob("versions/3.8*/bin/python"))
    for python in [str(path) for path in versions] + ([found] if found else []):
        if subprocess.run([python, "-c", ""], capture_output=True, check=False).returncode == 0:
            return python
    return None


def test_the_self_check_passes_however_it_is_started(desk: Desk) -> None:
    for arguments, folder in ((["-m", "agent"], desk.folder), (["agent"], desk.folder), (["."], desk.folder / "agent")):
        done = subprocess.run(
            [sys.executable, *arguments, "--selfcheck"], cwd=folder, capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stdout) == (0, "The self-check passed.\n"), done.stderr


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("tools.py", '"required": required', ""),
        ("tools.py", '            "path": {"type": "string"', '            "path": {"enum": ["a"]'),
        ("prompts.py", "{problem}\n", ""),
        ("agent.py", "        self.add(message)\n        return", "        return"),
        ("agent.py", "            self.add({\"role\": \"tool\"", "            dict({\"role\": \"tool\""),
        ("agent.py", "MAX_STEPS = 30", "MAX_STEPS = 3"),
        ("tools.py", "import difflib\n", "import difflib, numpy_is_not_here\n"),
        ("agent.py", "(arguments or {})", "(arguments)"),
    ],
)  # fmt: skip
def test_the_self_check_finds_what_would_kill_a_child(desk: Desk, file: str, old: str, new: str) -> None:
    desk.set(file, old, new)
    command = [sys.executable, "-m", "agent", "--selfcheck"]
    assert subprocess.run(command, cwd=desk.folder, capture_output=True, check=False).returncode != 0


def test_only_the_standard_library_and_relative_imports() -> None:
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                assert all(alias.name.split(".")[0] in sys.stdlib_module_names for alias in node.names), path
            elif isinstance(node, ast.ImportFrom) and not node.level:
                assert str(node.module).split(".")[0] in sys.stdlib_module_names, path


def test_it_is_small_enough_to_be_rewritten_with_pleasure() -> None:
    lengths = {path.name: len(path.read_text().splitlines()) for path in SOURCES}
    assert max(lengths.values()) < 260, lengths
    assert sum(lengths.values()) < 800, lengths


def test_it_runs_on_python_3_8(desk: Desk) -> None:
    python = old_python()
    if python is None:
        pytest.skip("there is no Python 3.8 on this machine, so the seed was not run with one")
    desk.python = python
    run = desk.run(desk.answer(("bash", {"command": "cat greeting || echo none"})), desk.answer(content="Looked."))
    assert run.result is not None
    assert run.result["status"] == "done", run.stderr
    assert run.observations[0].endswith("none\n[exit status 0]")


def test_it_leaves_nothing_in_its_own_folder_or_the_repository(desk: Desk) -> None:
    run = desk.run(desk.answer(content="Nothing to do."))
    assert run.exit_code == 0
    assert list(desk.repository.iterdir()) == []


@pytest.mark.parametrize("arguments", [[], ["--request", "a"], ["--unknown"]])
def test_a_wrong_call_is_refused(desk: Desk, arguments: list[str]) -> None:
    command = [sys.executable, "-m", "agent", *arguments]
    done = subprocess.run(command, cwd=desk.folder, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "usage:" in done.stderr
