"""Older rows become rows of swebench 5.x, by the older swebench itself."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from random import Random

import pytest

from benchmarks.base import BenchmarkError
from benchmarks.swebench import convert as conversion
from benchmarks.swebench import official
from benchmarks.swebench.convert import convert
from benchmarks.swebench.guards import guarded
from benchmarks.swebench.rows import read_rows
from benchmarks.swebench.script import split_script

BASE = "0123456789abcdef0123456789abcdef01234567"


def old(id: str, repo: str, version: str, *paths: str) -> dict[str, str]:
    """A row as the older datasets have them, with a test patch of our own."""
    patch = "".join(f"diff --git a/{p} b/{p}\n--- a/{p}\n+++ b/{p}\n@@ -1 +1,2 @@\n a = 1\n+b = 2\n" for p in paths)
    return {
        "instance_id": id,
        "repo": repo,
        "version": version,
        "base_commit": BASE,
        "test_patch": patch,
        "patch": "",
        "problem_statement": "It is wrong.",
        "hints_text": "",
        "created_at": "2024-01-01",
        "environment_setup_commit": BASE,
        "FAIL_TO_PASS": json.dumps(["test_b"]),
        "PASS_TO_PASS": "[]",
    }


ROWS = (
    old("django__django-1", "django/django", "3.1", "tests/utils_tests/test_dates.py"),
    old("sphinx-doc__sphinx-1", "sphinx-doc/sphinx", "4.0", "tests/test_build.py", "tests/roots/test-a/index.rst"),
    old("sympy__sympy-1", "sympy/sympy", "1.9", "sympy/core/tests/test_args.py"),
    old("pytest-dev__pytest-1", "pytest-dev/pytest", "6.0", "testing/test_runner.py"),
    old("gin-gonic__gin-2755", "gin-gonic/gin", "2755", "tree_test.go"),
)
COMMANDS = {
    "django__django-1": (
        "./tests/runtests.py --verbosity 2 --settings=test_sqlite --parallel 1 utils_tests.test_dates",
        "parse_log_django",
        "django",
    ),
    "sphinx-doc__sphinx-1": (
        "tox --current-env -epy39 -v -- tests/test_build.py tests/roots/test-a/index.rst",
        "parse_log_sphinx",
        "pytest",
    ),
    "sympy__sympy-1": (
        "PYTHONWARNINGS='ignore::UserWarning,ignore::SyntaxWarning' bin/test -C --verbose "
        "sympy/core/tests/test_args.py",
        "parse_log_sympy",
        "sympy",
    ),
    "pytest-dev__pytest-1": ("pytest -rA testing/test_runner.py", "parse_log_pytest", "pytest"),
    "gin-gonic__gin-2755": ('go test -v . -run "^TestTree"', "parse_log_gotest", "go"),
}


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache folder in which the older swebench gets installed once."""
    folder = tmp_path_factory.mktemp("cache")
    told: list[str] = []
    try:
        convert(ROWS, folder, told.append)
    except BenchmarkError as error:
        if "could not install" in str(error):
            pytest.skip(f"no row was converted, as swebench {conversion.VERSION} is not to be had here: {error}")
        raise
    assert len(told) == 1
    return folder


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_older_rows_are_converted_and_read(cache: Path, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in ROWS))
    found = read_rows(path, lambda rows: convert(rows, cache))
    assert [instance.id for instance in found] == [row["instance_id"] for row in ROWS]
    for instance, row in zip(found, ROWS, strict=True):
        command, parser, kind = COMMANDS[instance.id]
        script = split_script(instance)
        reset = f"git checkout {BASE} "
        assert script.test == (command,)
        assert parser in (instance.log_parser, instance.log_parser.replace("pytest_v2", "sphinx"))
        assert instance.image == f"swebench/sweb.eval.x86_64.{instance.id.replace('__', '_1776_')}:latest"
        assert instance.eval_script.startswith("#!/bin/bash\nset -uxo pipefail\n")
        assert "cd /testbed" in script.setup
        assert row["test_patch"].rstrip("\n") in "\n".join(script.setup)
        assert script.reset[-1].startswith(reset)
        assert script.setup[script.setup.index(script.reset[-1]) + 1].startswith("git apply")
        assert {name: instance.row[name] for name in row} == row
        assert guarded(instance, Random(0)).kind == kind


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_what_was_converted_once_is_not_asked_again(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = convert(ROWS, cache)

    def never(*_: object) -> bytes:
        raise AssertionError("it was asked again")

    monkeypatch.setattr(conversion, "_ask", never)
    assert convert(ROWS, cache) == first
    with pytest.raises(AssertionError):
        convert(ROWS[:1], cache)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_row_without_a_recipe_is_refused_by_name(cache: Path) -> None:
    strange = old("owner__repo-1", "owner/repo", "1.0", "tests/test_a.py")
    with pytest.raises(
        BenchmarkError, match=r"could not convert older rows: owner__repo-1: .* no recipe for owner/repo 1\.0"
    ):
        convert([*ROWS, strange], cache)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_converted_rows_are_those_that_swebench_takes(cache: Path) -> None:
    try:
        make_test_spec = official.part("harness.utils").make_test_spec
    except BenchmarkError as error:
        pytest.skip(f"no specification was made: {error}")
    for row in convert(ROWS, cache):
        spec = make_test_spec(dict(row))
        assert ">>>>> Test Exit Code" in spec.eval_script
        assert spec.FAIL_TO_PASS == ["test_b"]


@pytest.mark.slow
def test_an_environment_that_cannot_be_made_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without network pip finds nothing; here it is told to look nowhere."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    with pytest.raises(BenchmarkError, match=r"could not install swebench 4\.1\.0.*go online") as caught:
        convert(ROWS, tmp_path)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.glob("swebench-converted/*"))


def test_an_environment_that_gives_no_rows_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversion, "_INSIDE", tmp_path / "inside.py")
    (tmp_path / "inside.py").write_text("print('[')")
    monkeypatch.setattr(conversion, "_environment", lambda *_: Path(sys.executable))
    with pytest.raises(BenchmarkError, match="gave no rows"):
        convert(ROWS, tmp_path / "cache")
