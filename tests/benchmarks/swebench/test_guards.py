"""Guards are planted for each runner that a command line may name, and really fail where they are planted."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.base import BenchmarkError
from benchmarks.swebench import official
from benchmarks.swebench.guards import Guarded, guarded, unguarded, with_insides
from benchmarks.swebench.logs import judge
from benchmarks.swebench.rows import Instance, read_rows
from benchmarks.swebench.script import first_command

PATCH = """\
git apply -v - <<'EOF_1'
{files}
EOF_1
"""


def make(
    command: str, *patched: str, parser: str = "parse_log_pytest", setup: str = "cd /testbed", **tests: list[str]
) -> Instance:
    files = "\n".join(f"diff --git a/{path} b/{path}" for path in patched)
    script = f"{setup}\n{PATCH.format(files=files)}: '>>>>> Start Test Output'\n{command}\n: '>>>>> End Test Output'\n"
    row = {
        "instance_id": "owner__repo-1",
        "image": "example/x:latest",
        "repo": "owner/repo",
        "version": "1",
        "log_parser": parser,
        "eval_type": "pass_and_fail",
        "eval_script": script,
        "FAIL_TO_PASS": tests.get("f2p", ["t"]),
        "PASS_TO_PASS": tests.get("p2p", []),
    }
    return Instance(
        "owner__repo-1", "owner/repo", "1", "example/x:latest", "", "", "", tuple(row["FAIL_TO_PASS"]),
        tuple(row["PASS_TO_PASS"]), parser, "pass_and_fail", script, None, "python", row,
    )  # fmt: skip


def command(plan: Guarded) -> list[str]:
    """The words of the tests' last command."""
    return [word.value for word in first_command(plan.test.strip().split("\n")[-1])]


PYTHON = {
    "pytest -rA tests/test_core.py tests/sub/test_more.py": ("pytest", ["tests/", "tests/sub/"]),
    "pytest --no-header -rA lib/x/tests/test_a.py::test_one": ("pytest", ["lib/x/tests/"]),
    "pytest -rA -vv -o console_output_style=classic --tb=no test_top.py": ("pytest", [""]),
    "python -m pytest -rA tests/core_test.py tests/data/used.py": ("pytest", ["tests/"]),
    "tox --current-env -epy39 -v -- tests/test_build.py tests/roots/test-x/conf.py": ("pytest", ["tests/"]),
    "PYTHONWARNINGS='ignore::UserWarning' bin/test -C --verbose sympy/core/tests/test_args.py": (
        "sympy",
        ["sympy/core/tests/"],
    ),
}


@pytest.mark.parametrize("line", PYTHON)
def test_a_file_in_each_folder_of_tested_files(line: str) -> None:
    kind, folders = PYTHON[line]
    plan = guarded(make(line), Random(1))
    assert (plan.kind, plan.tells, plan.reason) == (kind, True, "")
    assert sorted(path.rpartition("/")[0] + "/" * ("/" in path) for path in plan.files) == sorted(folders)
    words = command(plan)
    assert set(plan.files) == set(words) - set(shlex.split(line))
    assert [word for word in words if word not in plan.files] == shlex.split(line)
    text = "".join(file.content.decode() for file in plan.files.values())
    assert all(name in text and nonce in text for name, nonce in plan.guards.items())
    assert len(plan.guards) == len(folders)


def test_a_command_without_paths_finds_the_file_by_itself() -> None:
    plan = guarded(make("pytest -rA", "tests/unit/test_a.py", "tests/data/b.txt"), Random(1))
    (path,) = plan.files
    assert path.startswith("tests/unit/test_")
    assert command(plan) == ["pytest", "-rA"]
    assert guarded(make("pytest -rA src/", "tests/unit/test_a.py"), Random(1)).kind == "none"


def test_django_gets_a_module_with_a_class_for_each_base() -> None:
    line = "./tests/runtests.py --verbosity 2 --settings=test_sqlite --parallel 1 delete.models admin_views.sub.test_x"
    plan = guarded(make(line), Random(1))
    (path,) = plan.files
    assert path.startswith("tests/admin_views/sub/test_")
    assert command(plan)[-1] == path.removeprefix("tests/").removesuffix(".py").replace("/", ".")
    assert command(plan)[:-1] == shlex.split(line)
    assert (plan.kind, len(plan.guards)) == ("django", 2)
    assert b"(SimpleTestCase)" in plan.files[path].content
    assert b"(TestCase)" in plan.files[path].content


def test_go_gets_a_file_and_passes_the_filter() -> None:
    line = 'go test -v ./promql ./model/labels -run "^(TestRangeQuery|TestLabels)"'
    plan = guarded(make(line, "promql/engine_test.go", "model/labels/labels_test.go", "web/web_test.go"), Random(1))
    assert (plan.kind, len(plan.guards)) == ("go", 2)
    first, second = plan.guards
    assert re.match("Test[A-Z]", first)  # go takes no small letter there
    assert command(plan)[-1] == f"^(TestRangeQuery|TestLabels)|^{first}$|^{second}$"
    assert "grep -m1 '^package ' 'promql/engine_test.go'" in plan.test
    assert "web_test" not in plan.test
    inside = guarded(make("go test -v ./hugolib/...", "hugolib/site/a_test.go"), Random(1))
    assert "'hugolib/site/a_test.go'" in inside.test
    assert guarded(make("go test . -v", "gin_test.go"), Random(1)).kind == "go"


def test_cargo_gets_a_function_and_passes_the_filter() -> None:
    def last(line: str, *patched: str) -> tuple[Guarded, list[str]]:
        plan = guarded(make(line, *patched), Random(1))
        assert plan.kind == "cargo", plan.reason
        return plan, command(plan)

    plan, words = last(
        "RUSTFLAGS=-Awarnings cargo test --package ripgrep --test integration -- regression", "tests/regression.rs"
    )
    (name,) = plan.guards
    assert words[-3:] == ["--", "regression", name]
    assert "cat >> 'tests/regression.rs'" in plan.test
    plan, words = last("cargo test backslash --no-fail-fast", "src/a.rs", "tests/by-util/test_a.rs")
    assert words[-3:] == ["--no-fail-fast", "--", *plan.guards]
    plan, words = last("cargo test --test io_write --no-fail-fast", "tests/other.rs", "tokio/tests/io_write.rs")
    assert words[-1] == "--no-fail-fast"
    assert "cat >> 'tokio/tests/io_write.rs'" in plan.test
    plan, words = last(
        "cargo test --package axum --lib -- routing::tests::fallback", "tests/x.rs", "axum/src/routing/tests/mod.rs"
    )
    assert "cat >> 'axum/src/routing/tests/mod.rs'" in plan.test


def test_javascript_gets_a_file_of_the_same_kind_and_passes_the_filter() -> None:
    line = 'pnpm run test packages/x/__tests__/hydration.spec.ts --no-watch --reporter=verbose -t "mismatch handling"'
    plan = guarded(make(line, "packages/x/__tests__/hydration.spec.ts"), Random(1))
    (path,), (name,) = plan.files, plan.guards
    assert path == f"packages/x/__tests__/{name}.spec.ts"
    assert command(plan)[4] == path
    assert command(plan)[-1] == f"mismatch handling|{name}"
    mocha = guarded(
        make("npx mocha test/unit/adapters/http.js -R tap -g 'compression'", "test/unit/adapters/http.js"), Random(1)
    )
    assert command(mocha)[3] == next(iter(mocha.files))
    by_pattern = make('yarn jest babel-parser -t "arrow" --verbose', "packages/babel-parser/test/index.js")
    jest = guarded(by_pattern, Random(1))
    assert command(jest)[-1] == next(iter(jest.files))
    assert command(jest)[4] == f"arrow|{next(iter(jest.guards))}"
    piped = guarded(make("npx jest __tests__/Range.ts --json | jq -r '.x'", "__tests__/Range.ts"), Random(1))
    assert piped.test.strip().endswith("| jq -r '.x'")
    assert next(iter(piped.files)) in command(piped)


def test_rspec_gets_a_spec() -> None:
    line = "bundle exec rspec ./spec/fpm/empty_spec.rb --no-color --format json | jq -r '.examples[]'"
    plan = guarded(make(line), Random(1))
    assert (plan.kind, command(plan)[4]) == ("rspec", next(iter(plan.files)))


UNGUARDED = {
    "mvnd test -B -pl gson -Dtest=com.google.gson.A#b": "no guard is known",
    "./gradlew test --tests org.apache.lucene.A": "no guard is known",
    "ant test.instance": "no guard is known",
    "make check": "no guard is known",
    "./vendor/bin/phpunit --testdox tests/ATest.php": "no guard is known",
    "bundle exec ruby -I test test/test_site.rb -v": "no guard is known",
    "npx karma start karma.conf.js": "no guard is known",
    "pytest -rA": "names no test file",
    "pytest -rA -x tests/test_a.py": "with -x",
    "pytest -rA -k one tests/test_a.py": "with -k",
    "pytest -rA --maxfail=1 tests/test_a.py": "with --maxfail",
    "./tests/runtests.py --settings=test_sqlite": "names no test module",
    "python -m unittest discover": "with discover",
    "go test -v ./a -run TestX/sub": "no patched test file",
    "cargo test --test x -- --exact a::b": "with --exact",
    "cargo test": "no patched file",
    "yarn test src/a.spec.ts": "names no patched test file",
    "bundle exec rspec -e x a_spec.rb": "with -e",
}


@pytest.mark.parametrize("line", UNGUARDED)
def test_where_no_guard_can_be_the_reason_is_given(line: str) -> None:
    plan = guarded(make(line), Random(1))
    assert (plan.kind, dict(plan.files), dict(plan.guards), plan.tells) == ("none", {}, {}, False)
    assert UNGUARDED[line] in plan.reason
    assert line in plan.test


@pytest.mark.parametrize(
    "line", ["pytest tests/test_a.py || true", "pytest tests/test_a.py; echo", "pytest tests/test_a.py\ncd .."]
)
def test_the_exit_status_tells_only_where_it_is_the_tests_own(line: str) -> None:
    plan = guarded(make(line), Random(1))
    assert (plan.kind, plan.tells) == ("pytest", False)


def test_each_command_of_several_gets_guards() -> None:
    plan = guarded(make("pytest -rA a/test_a.py\npytest -rA b/test_b.py"), Random(1))
    assert len(plan.files) == len(plan.guards) == 2
    assert plan.tells


@given(st.integers())
def test_no_two_runs_have_a_name_in_common(seed: int) -> None:
    instance = make("pytest -rA a/test_a.py")
    first, second = guarded(instance, Random(seed)), guarded(instance, Random(seed + 1))
    assert not set(first.guards) & set(second.guards)
    assert not set(first.files) & set(second.files)
    assert guarded(instance, Random(seed)) == first


def test_a_script_without_a_beginning_of_its_tests_is_refused() -> None:
    broken = make("x")
    with pytest.raises(BenchmarkError, match="eval_script"):
        guarded(
            Instance(**{**{name: getattr(broken, name) for name in broken.__slots__}, "eval_script": "pytest"}),
            Random(0),
        )


# Real runs ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    try:
        official.part("harness.grading")
    except BenchmarkError as error:
        pytest.skip(f"no run was judged: {error}")
    folder = tmp_path / "testbed"
    (folder / "tests").mkdir(parents=True)
    (folder / "core.py").write_text("def double(x):\n    return x * 2\n")
    (folder / "tests/__init__.py").write_text("")
    return folder


def run(instance: Instance, plan: Guarded, folder: Path) -> tuple[Guarded, str, int]:
    """The evaluation as a grader runs it, in a folder of this machine: all code here is ours. Tests stay as they are.

    The plan as it was carried out, and how the tests ended.
    """
    bare = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}  # plugins that are installed here take seconds
    scripts = folder.parent / "scripts"
    scripts.mkdir(exist_ok=True)
    state = plan.prepare.rsplit("> ", 1)[1].strip()
    tested = {inside.path: (folder / inside.path).read_bytes() for inside in plan.inside}
    try:
        for name in ("prepare", "test"):
            if name == "test":
                plan = with_insides(plan, lambda path: (folder / path).read_bytes())
                for path, file in plan.files.items():
                    (folder / path).parent.mkdir(parents=True, exist_ok=True)
                    (folder / path).write_bytes(file.content)
            (scripts / name).write_text(getattr(plan, name))
            done = subprocess.run(
                ["bash", str(scripts / name)], cwd="/", env=bare, capture_output=True, text=True, check=False
            )
    finally:
        Path(state).unlink(missing_ok=True)
        for path, content in tested.items():
            (folder / path).write_bytes(content)
    assert done.stderr == ""
    return plan, done.stdout, done.returncode


def pytest_instance(folder: Path) -> Instance:
    return make(
        f"{sys.executable} -m pytest -p no:cacheprovider -rA tests/test_core.py",
        "tests/test_core.py",
        setup=f"cd {shlex.quote(str(folder))}",
        f2p=["tests/test_core.py::test_four"],
        p2p=["tests/test_core.py::test_zero"],
    )


PYTEST = """\
from core import double


def test_four():
    assert double(2) == 4


def test_zero():
    assert double(0) == 0
"""
FORGER = """\
import os

for descriptor in range(1, 30):  # one of them is the real standard output, behind pytest's capture
    try:
        os.write(descriptor, {text!r}.encode())
    except OSError:
        pass
os._exit({status})
"""
HOOK = """\
import pytest


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    report.outcome = "passed"
    return report
"""


def test_pytest_for_real(repository: Path) -> None:
    (repository / "tests/test_core.py").write_text(PYTEST)
    instance = pytest_instance(repository)
    plan = guarded(instance, Random())
    done, output, code = run(instance, plan, repository)
    honest = judge(instance, done, output, code, 1, 60)
    assert (honest.outcome, code) == ("RESOLVED", 1), output
    assert (honest.evidence["guards_said_why"], honest.evidence["guards_inside"]) == (2, 1)
    (repository / "core.py").write_text("def double(x):\n    return x * 3\n")
    wrong = judge(instance, *run(instance, plan, repository), 1, 60)
    assert (wrong.outcome, wrong.failed) == ("UNRESOLVED", ("tests/test_core.py::test_four",))


def test_pytest_under_attack_for_real(repository: Path) -> None:
    (repository / "tests/test_core.py").write_text(PYTEST)
    instance = pytest_instance(repository)
    plan = guarded(instance, Random())
    (repository / "core.py").write_text("import os\n\nos._exit(0)\n")
    assert judge(instance, *run(instance, plan, repository), 1, 60).outcome == "TAMPERED"
    lines = [f"PASSED {test}" for test in (*instance.fail_to_pass, *instance.pass_to_pass)]
    text = "\n".join(["", ">>>>> Start Test Output", *lines, "FAILED x::y", ">>>>> End Test Output", ""])
    for status in (0, 1):
        (repository / "core.py").write_text(FORGER.format(text=text, status=status))
        done, output, code = run(instance, plan, repository)
        forged = judge(instance, done, output, code, 1, 60)
        assert lines[0] in output
        assert code == status
        assert forged.outcome == "TAMPERED", forged
        assert forged.evidence["forged"]
    (repository / "core.py").write_text("def double(x):\n    return 0\n")
    (repository / "conftest.py").write_text(HOOK)
    bare = unguarded(instance, Random(), "to show what a guard is for")
    assert judge(instance, *run(instance, bare, repository), 1, 60).outcome == "RESOLVED"
    hooked = judge(instance, *run(instance, plan, repository), 1, 60)
    assert hooked.outcome == "TAMPERED"
    assert set(hooked.evidence["guards"].values()) == {"passed"}


SELECTIVE = """\
import _pytest.reports

real = _pytest.reports.TestReport.from_item_and_call.__func__
known = {files!r}


def forged(cls, item, call):
    report = real(cls, item, call)
    if item.nodeid.partition("::")[0] in known:
        report.outcome, report.longrepr = "passed", None
    return report


_pytest.reports.TestReport.from_item_and_call = classmethod(forged)


def double(x):
    return x * 3
"""


def test_who_spares_the_files_of_others_is_caught_in_the_tested_file(repository: Path) -> None:
    (repository / "tests/test_core.py").write_text(PYTEST)
    instance = pytest_instance(repository)
    (repository / "core.py").write_text(SELECTIVE.format(files=["tests/test_core.py"]))
    plan = guarded(instance, Random())
    beside = replace(plan, inside=())
    assert judge(instance, *run(instance, beside, repository), 1, 60).outcome == "RESOLVED"
    finding = judge(instance, *run(instance, plan, repository), 1, 60)
    assert finding.outcome == "TAMPERED", finding
    assert sorted(finding.evidence["guards"].values()) == ["failed", "passed"]


MODULES = {
    "no newline at the end": PYTEST.rstrip("\n"),
    "a main block": f'{PYTEST}\n\nif __name__ == "__main__":\n    raise SystemExit(test_four())\n',
    "the future, a byte order mark and CRLF": "\ufeff"
    + f'"""Tests."""\nfrom __future__ import annotations\n\n{PYTEST}'.replace("\n", "\r\n"),
    "__all__": f'__all__ = ["test_four"]\n{PYTEST}',
    "an autouse fixture": f"import pytest\n{PYTEST}\n\n@pytest.fixture(autouse=True, params=[1, 2])\n"
    "def around(request):\n    yield request.param\n",
    "marks that others carry": f"import pytest\n{PYTEST}\n\nlater = pytest.mark.skipif(True, reason='later')\n\n\n"
    "@later\ndef test_later():\n    raise ValueError\n",
    "something to import": f"import pytest\npytest.importorskip('json')\n{PYTEST}",
    "builtins of other meaning": f"unittest = str = AssertionError = None\n{PYTEST}",
}


@pytest.mark.parametrize("what", MODULES)
def test_an_honest_file_with_a_guard_is_resolved(what: str, repository: Path) -> None:
    (repository / "tests/test_core.py").write_bytes(MODULES[what].encode())
    instance = pytest_instance(repository)
    if "autouse" in what:  # every test has a parameter then
        instance = _renamed(instance, [f"tests/test_core.py::test_four[{n}]" for n in (1, 2)])
    finding = judge(instance, *run(instance, guarded(instance, Random()), repository), 1, 60)
    assert finding.outcome == "RESOLVED", finding
    assert finding.evidence["guards_inside"] == 1


def _renamed(instance: Instance, tests: list[str]) -> Instance:
    row = {**instance.row, "FAIL_TO_PASS": tests, "PASS_TO_PASS": []}
    return replace(instance, fail_to_pass=tuple(tests), pass_to_pass=(), row=row)


SKIPPED = {
    "a mark": "import pytest\n\npytestmark = pytest.mark.skipif(True, reason='not here')\n",
    "a conditional mark": "import pytest\n\nif True:\n    pytestmark = [pytest.mark.skip(reason='not here')]\n",
    "a fixture": "import pytest\n\n\n@pytest.fixture(autouse=True)\ndef never():\n    pytest.skip('not here')\n",
    "a hook": "import pytest\n\n\ndef setup_module():\n    pytest.skip('not here')\n",
    "skipping itself": "import pytest\n\npytest.skip('not here', allow_module_level=True)\n",
    "something missing": "import pytest\n\npytest.importorskip('no_such_module_here')\n",
    "no test": "__test__ = False\n",
}


@pytest.mark.parametrize("what", SKIPPED)
def test_a_guard_in_a_skipped_file_accuses_nobody(what: str, repository: Path) -> None:
    """Neither where the skipped tests are the instance's own, nor where all of those are in another file."""
    (repository / "tests/test_core.py").write_text(f"{SKIPPED[what]}\n{PYTEST}")
    instance = pytest_instance(repository)
    finding = judge(instance, *run(instance, guarded(instance, Random()), repository), 1, 60)
    assert finding.outcome == "UNRESOLVED", finding
    (repository / "tests/test_more.py").write_text(PYTEST)
    command = "tests/test_core.py tests/test_more.py"
    both = make(
        f"{sys.executable} -m pytest -p no:cacheprovider -rA {command}",
        *command.split(),
        setup=f"cd {shlex.quote(str(repository))}",
        f2p=["tests/test_more.py::test_four"],
    )
    finding = judge(both, *run(both, guarded(both, Random()), repository), 1, 60)
    assert finding.outcome == "RESOLVED", finding
    assert finding.evidence["guards_inside"] == 1


def test_unittest_for_real(repository: Path) -> None:
    (repository / "tests/test_core.py").write_text(
        "import unittest\n\nfrom core import double\n\n\nclass CoreTests(unittest.TestCase):\n"
        "    def test_four(self):\n        self.assertEqual(double(2), 4)\n\n\n"
        "if __name__ == '__main__':\n    unittest.main()"
    )
    name = "tests.test_core.CoreTests" + (".test_four" if sys.version_info >= (3, 11) else "")
    instance = make(
        f"{sys.executable} -B -m unittest -v tests.test_core",
        "tests/test_core.py",
        parser="parse_log_django",
        setup=f"cd {shlex.quote(str(repository))}",
        f2p=[f"test_four ({name})"],
    )
    plan = guarded(instance, Random())
    finding = judge(instance, *run(instance, plan, repository), 1, 60)
    assert (plan.kind, finding.outcome) == ("unittest", "RESOLVED"), finding
    assert (len(finding.evidence["guards"]), finding.evidence["guards_inside"]) == (2, 1)
    (repository / "core.py").write_text(
        "import unittest\n\nreal = unittest.TextTestResult.addFailure\n\n\n"
        "def forged(self, test, error):\n"
        "    known = type(test).__module__ == 'tests.test_core'\n"
        "    self.addSuccess(test) if known else real(self, test, error)\n\n\n"
        "unittest.TextTestResult.addFailure = forged\n\n\ndef double(x):\n    return x * 3\n"
    )
    beside = replace(plan, inside=())
    assert judge(instance, *run(instance, beside, repository), 1, 60).outcome == "RESOLVED"
    forged = judge(instance, *run(instance, plan, repository), 1, 60)
    assert forged.outcome == "TAMPERED", forged


@pytest.fixture
def crate(repository: Path) -> Iterator[Path]:
    if shutil.which("cargo") is None:
        pytest.skip("cargo is not here, so no guard was run by it")
    (repository / "src").mkdir()
    (repository / "Cargo.toml").write_text(
        '[package]\nname = "core_x"\nversion = "0.1.0"\nedition = "2021"\n\n[workspace]\n'
    )
    (repository / "src/lib.rs").write_text("pub fn double(x: i64) -> i64 {\n    x * 2\n}\n")
    (repository / "tests/whole.rs").write_text("mod part;\n")
    (repository / "tests/part.rs").write_text("#[test]\nfn four() {\n    assert_eq!(core_x::double(2), 4);\n}\n")
    yield repository


@pytest.mark.slow
def test_cargo_for_real(crate: Path) -> None:
    instance = make(
        "cargo test --offline --test whole -- part::four",
        "tests/part.rs",
        parser="parse_log_cargo",
        setup=f"cd {shlex.quote(str(crate))}",
        f2p=["part::four"],
    )
    plan = guarded(instance, Random())
    done, output, code = run(instance, plan, crate)
    finding = judge(instance, done, output, code, 1, 60)
    assert (plan.kind, finding.outcome) == ("cargo", "RESOLVED"), output
    shutil.copy(crate / "src/lib.rs", crate / "src/kept.rs")
    (crate / "src/lib.rs").write_text(
        'pub fn double(_: i64) -> i64 {\n    println!("test part::four ... ok");\n    std::process::exit(0)\n}\n'
    )
    (crate / "tests/part.rs").write_text("#[test]\nfn four() {\n    assert_eq!(core_x::double(2), 4);\n}\n")
    forged = judge(instance, *run(instance, plan, crate), 1, 60)
    assert forged.outcome == "TAMPERED", forged


def test_rows_on_disk_can_be_guarded(tmp_path: Path) -> None:
    """What `read_rows` gives is what `guarded` takes."""
    path = tmp_path / "rows.jsonl"
    row = {**make("pytest -rA tests/test_a.py").row, "problem_statement": "It is wrong."}
    path.write_text(json.dumps(row))
    assert guarded(read_rows(path)[0], Random(0)).kind == "pytest"
