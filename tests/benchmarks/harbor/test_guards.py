"""Hidden tests spoiled: what an honest verifier must refuse."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest

from benchmarks.harbor.guards import spoiled
from sandbox import File

MODULE = b"def test_one():\n    assert True\n\n\nclass TestMore:\n    def test_two(self):\n        pass\n"


def test_every_pytest_module_gets_one_more_test_which_fails(tmp_path: Path) -> None:
    tests = {"test_a.py": File(MODULE), "deep/b_test.py": File(MODULE), "help.py": File(b"def test_x(): pass\n")}
    changed = spoiled(tests, "test", Random(1))
    assert changed is not None
    assert {path for path in tests if changed[path] != tests[path]} == {"test_a.py", "deep/b_test.py"}
    (tmp_path / "test_a.py").write_bytes(changed["test_a.py"].content)
    run = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "-c",
            "/dev/null",
            "--rootdir",
            ".",
            "test_a.py",
        ],
        cwd=tmp_path,
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},  # plugins that are installed here take seconds
        capture_output=True,
        text=True,
    )
    assert run.returncode == 1 and "1 failed, 2 passed" in run.stdout, run.stdout + run.stderr


@pytest.mark.parametrize("content", [b"def test(:\n", b"\xff\xfe", b"x = 1\n"])
def test_what_is_no_test_module_is_left_alone(content: bytes) -> None:
    assert spoiled({"test_a.py": File(content)}, "test", Random(1)) is None


@pytest.mark.parametrize("head", ["#!/bin/bash\n", "#!/usr/bin/env bash\n", "#!/bin/sh\n", ""])
def test_a_script_ends_with_the_reward_0(head: str, tmp_path: Path) -> None:
    script = f"{head}set -e\necho 1 > reward.txt\nexit 3\n"
    changed = spoiled({"test.sh": File(script.encode())}, "script", Random(1))
    assert changed is not None
    text = changed["test.sh"].content.decode().replace("/logs/verifier", str(tmp_path))
    (tmp_path / "test.sh").write_text(text)
    run = subprocess.run(["bash", "test.sh"], cwd=tmp_path)
    assert run.returncode == 3
    assert (tmp_path / "reward.txt").read_text() == "0\n"


def test_other_scripts_cannot_be_spoiled_that_way() -> None:
    assert spoiled({"test.sh": File(b"#!/usr/bin/python3\nprint()\n")}, "script", Random(1)) is None
    assert spoiled({"test.sh": File(b"")}, "none", Random(1)) is None
