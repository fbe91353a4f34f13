"""A benchmark made of a real repository: every task proven, told without its answer, and judged."""

from __future__ import annotations

import json
import shutil
from difflib import ndiff
from pathlib import Path

import pytest

from benchmarks import SPLITS, BenchmarkError
from benchmarks.repository import Manifest, Repository, from_repository
from benchmarks.repository.cut import without_tests
from benchmarks.repository.manifest import read
from sandbox import File, Sandbox, SandboxError, compare


def write(folder: Path, files: dict[str, str]) -> Path:
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    return folder


def ids(repository: Repository) -> list[str]:
    return [id for split in SPLITS for id in repository.tasks(split)]


def test_only_tests_that_always_pass_are_relied_on(manifest: Manifest, reliable: set[str]) -> None:
    assert set(manifest.expected) == reliable
    cart = "tests/unit/test_cart.py::"
    assert set(manifest.unreliable) == {f"{cart}test_{name}" for name in ("flaky", "later", "fails", "knows_its_name")}
    assert manifest.unreliable[f"{cart}test_flaky"] == "it does not pass in every run"
    assert manifest.unreliable[f"{cart}test_knows_its_name"] == "it does not pass under a random name"
    assert set(manifest.twinned) == reliable - {f"{cart}test_refuses"}
    assert set(manifest.left_out) == {".env", ".git", "build"}
    assert (manifest.ini, manifest.name) == ("pytest.ini", "shop")


def test_bugs_are_spread_and_differ(manifest: Manifest, reliable: set[str]) -> None:
    assert len(manifest.bugs) == 6
    places = [(bug.path, bug.function) for bug in manifest.bugs]
    assert len(set(places)) == 6  # each function that tests call, before any has a second
    assert {path for path, _ in places} == {"shop/text.py", "shop/cart.py"}
    assert "Cart.never_called" not in {function for _, function in places}
    assert len({(bug.path, bug.function, bug.broken) for bug in manifest.bugs}) == 6
    for bug in manifest.bugs:
        assert 1 <= len(bug.broken) <= len(bug.hidden) <= len(reliable) // 2 + 1
        assert set(bug.broken) <= reliable


def test_the_folder_is_all_there_is(
    manifest: Manifest, folder: Path, repository: Repository, sandbox: Sandbox, shop_files: dict[str, str]
) -> None:
    again, tree = read(folder)
    assert again == manifest
    assert {path: file.content.decode() for path, file in tree.items()} == {
        path: text for path, text in shop_files.items() if path not in (".env", ".git/config", "build/lib/shop/text.py")
    }


def test_splits_hold_whole_functions(repository: Repository, manifest: Manifest) -> None:
    function = {bug.id: (bug.path, bug.function) for bug in manifest.bugs}
    found = {split: {function[id] for id in repository.tasks(split)} for split in SPLITS}
    assert all(found.values())
    assert not found["search"] & found["validation"]
    assert not found["search"] & found["sealed"]
    assert not found["validation"] & found["sealed"]
    assert sorted(ids(repository)) == sorted(repository.ids()) == sorted(function)


def test_what_an_agent_sees(repository: Repository, manifest: Manifest, shop_files: dict[str, str]) -> None:
    bugs = {bug.id: bug for bug in manifest.bugs}
    for id in ids(repository):
        task, bug = repository.task(id), bugs[id]
        assert task.test_command == "python -m pytest --maxfail=3"
        visible = "".join(file.content.decode() for path, file in task.files.items() if path.startswith("tests/"))
        for test in bug.hidden:
            assert f"def {test.partition('[')[0].rpartition('::')[2]}(" not in visible
        before, after = shop_files[bug.path].splitlines(), task.files[bug.path].content.decode().splitlines()
        changed = [line[2:].strip() for line in ndiff(before, after) if line[0] in "+-"]
        told = [line.strip() for line in task.problem.splitlines()]
        assert changed
        assert not any(line in told for line in changed if line)
        assert not any(line in task.problem for line in changed if len(line) >= 10)
        for word in (bug.path, bug.path.rpartition("/")[2], bug.id):
            assert word not in task.problem
        assert any(word in task.problem for word in ("AssertionError", "exception"))


@pytest.mark.parametrize(
    "which", [slice(1), pytest.param(slice(1, None), marks=pytest.mark.slow)], ids=["the first task", "all others"]
)
def test_references_are_resolved_and_untouched_starts_are_not(
    repository: Repository, sandbox: Sandbox, reliable: set[str], which: slice
) -> None:
    chosen = ids(repository)[which]
    assert chosen
    for id in chosen:
        proof = repository.prove(id, sandbox)
        assert proof.failure == ""
        assert proof.reference is not None
        assert proof.untouched is not None
        assert set(proof.reference.passed) == reliable
        bug = next(bug for bug in repository._manifest.bugs if bug.id == id)
        assert set(proof.untouched.failed) == set(bug.broken)
        json.dumps(proof.untouched.evidence)
        assert "hidden" not in proof.untouched.visible_failure


def test_a_fix_is_resolved_and_half_a_fix_is_not(repository: Repository, sandbox: Sandbox) -> None:
    id = ids(repository)[0]
    files = repository.task(id).files
    verdict = repository.grade(id, compare(files, repository.reference(id)), sandbox)
    assert (verdict.outcome, verdict.failed, verdict.visible_failure) == ("RESOLVED", (), "")
    path = next(path for path in files if files[path] != repository.reference(id)[path])
    touched = {**files, path: File(files[path].content + b"# looked at\n")}
    verdict = repository.grade(id, compare(files, touched), sandbox)
    assert verdict.outcome == "UNRESOLVED"
    assert "test_fails" in verdict.visible_failure  # it failed from the first, and is not hidden
    assert verdict.output
    broken = {**files, path: File(b"def x(:\n")}
    verdict = repository.grade(id, compare(files, broken), sandbox)
    assert verdict.outcome == "UNRESOLVED", verdict


def test_hidden_tests_and_fingerprints(repository: Repository, folder: Path, cache: Path) -> None:
    id = ids(repository)[0]
    bug = next(bug for bug in repository._manifest.bugs if bug.id == id)
    assert set(repository.hidden_tests(id)) == {test.partition("::")[0] for test in bug.hidden}
    other = Repository({"path": folder, "split_seed": 9}, cache)
    assert other.fingerprint(id) == repository.fingerprint(id)
    assert len({repository.fingerprint(id) for id in repository.ids()}) == len(repository.ids())


def test_proofs_are_kept(repository: Repository, folder: Path, cache: Path, sandbox: Sandbox) -> None:
    again = Repository({"path": folder, "limit": 3}, cache)
    assert again.prepare(sandbox, lambda done, of: pytest.fail("proven again")) == ()
    assert len(ids(again)) == 3


def test_a_changed_folder_is_refused(manifest: Manifest, folder: Path, cache: Path, tmp_path: Path) -> None:
    for change, message in {
        "tree/shop/cart.py": "is not what it was",
        "manifest.json": "cannot be read",
    }.items():
        copy = tmp_path / change.replace("/", "-")
        shutil.copytree(folder, copy)
        (copy / change).write_text("{")
        with pytest.raises(BenchmarkError, match=message):
            Repository({"path": copy}, cache)
    (copy / "manifest.json").write_text('{"format": 99}')
    with pytest.raises(BenchmarkError, match="not of format 1"):
        Repository({"path": copy}, cache)
    with pytest.raises(BenchmarkError, match="from-repo"):
        Repository({"path": tmp_path / "nowhere"}, cache)


def test_unknown_tasks_splits_and_places(repository: Repository, folder: Path, cache: Path, sandbox: Sandbox) -> None:
    with pytest.raises(BenchmarkError, match="has no task 'x'"):
        repository.task("x")
    with pytest.raises(BenchmarkError, match="has no split"):
        repository.tasks("x")  # type: ignore[arg-type]
    with pytest.raises(BenchmarkError, match="not been prepared"):
        Repository({"path": folder}, cache).tasks("search")
    if sandbox.name == "bwrap":
        with pytest.raises(BenchmarkError, match="needs the docker sandbox"):
            Repository({"path": folder, "image": "shop:1"}, cache).prepare(sandbox)


def test_repositories_that_cannot_be_used(tmp_path: Path, cache: Path, sandbox: Sandbox) -> None:
    cases = {
        "does not call pytest": ({"a.py": "x = 1\n"}, "make test"),
        "do not run in a box": ({"a.py": "x = 1\n"}, "pytest"),
        r"test_a.py cannot be loaded": ({"test_a.py": "import nowhere_to_be_found\n"}, "pytest"),
        "none of 0 changes": ({"test_a.py": "def test_a():\n    assert True\n"}, "pytest"),
    }
    for number, (message, (files, tests)) in enumerate(cases.items()):
        root = write(tmp_path / str(number), files)
        with pytest.raises(BenchmarkError, match=message):
            from_repository(root, tmp_path / "out", sandbox, cache, tests=tests)
    assert not (tmp_path / "out").exists()
    (tmp_path / "out").mkdir()
    with pytest.raises(BenchmarkError, match="is there already"):
        from_repository(root, tmp_path / "out", sandbox, cache)


def test_a_house_that_fails_is_no_evidence(
    repository: Repository, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(**_: object) -> None:
        raise SandboxError("no space left")

    monkeypatch.setattr(sandbox, "open", fail)
    id = ids(repository)[0]
    verdict = repository.grade(id, compare(repository.task(id).files, repository.reference(id)), sandbox)
    assert (verdict.outcome, "no space left" in verdict.reason) == ("VOID", True)


@pytest.mark.slow
def test_the_same_seed_gives_the_same_benchmark(
    shop: Path, folder: Path, manifest: Manifest, tmp_path: Path, sandbox: Sandbox, cache: Path, reliable: set[str]
) -> None:
    again = from_repository(shop, tmp_path / "again", sandbox, cache, tests="pytest --maxfail=3", bugs=6, seed=3)
    assert (again.bugs, again.expected, again.unreliable) == (manifest.bugs, manifest.expected, manifest.unreliable)
    other = from_repository(
        shop,
        tmp_path / "other",
        sandbox,
        cache,
        bugs=3,
        seed=4,
        include=["shop/*"],
        exclude=["*/cart.py"],
        tests="pytest -q",
    )
    assert {bug.path for bug in other.bugs} == {"shop/text.py"}


def test_what_is_visible_is_cut_from_what_was_there(repository: Repository, manifest: Manifest) -> None:
    _, tree = read(repository.options.path)
    for bug in manifest.bugs:
        assert repository.task(bug.id).files == without_tests(bug.applied(tree), bug.hidden)
