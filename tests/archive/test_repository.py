"""The git side, checked against git itself where that is installed."""

from __future__ import annotations

import os
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archive import ArchiveError, check_path
from archive.repository import Repository

NOW = datetime(2026, 1, 1, tzinfo=UTC)
FILES = {
    "__main__.py": b"print(1)\n",
    "tools/bash.py": b"",
    "tools.py": b"sorts between tools and tools/\r\n",
    "naïve.py": b"\xff\xfe\0binary",
    "\udcff.bin": b"a name that is not UTF-8",
    "a/b/c/d.txt": bytes(range(256)) * 50,
}


def git(repository: Repository, *arguments: str) -> str:
    if shutil.which("git") is None:
        pytest.skip("NOT CHECKED against git: it is not installed")
    # A user's own configuration must have no say, so it is left as it is here.
    done = subprocess.run(["git", "-C", str(repository.path), *arguments], capture_output=True, check=True)
    return (done.stdout + done.stderr).decode("utf-8", "surrogateescape")


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository.create(tmp_path / "agents.git")


def test_files_come_back_byte_for_byte(repository: Repository) -> None:
    commit, _ = repository.commit(FILES, None, "seed", NOW)
    assert repository.files(commit) == dict(sorted(FILES.items()))


def test_git_finds_nothing_to_complain_about_and_draws_the_tree(repository: Repository) -> None:
    first, tree = repository.commit(FILES, None, "agent 0", NOW)
    second, same = repository.commit(FILES, first, "agent 1", NOW)
    third, other = repository.commit({**FILES, "x.py": b"x"}, first, "agent 2", NOW)
    assert same == tree != other
    for id, commit in enumerate((first, second, third)):
        repository.mark(id, commit)
    assert repository.marked() == {0, 1, 2}
    report = git(repository, "fsck", "--strict", "--full")
    assert "error" not in report
    assert "dangling" not in report
    assert git(repository, "rev-parse", "agent-2^", "HEAD", "agent-0^{tree}").split() == [first, first, tree]
    assert git(repository, "log", "--graph", "--all", "--format=%s").count("agent") == 3
    assert git(repository, "cat-file", "blob", "agent-0:a/b/c/d.txt") != ""
    assert git(repository, "config", "core.hooksPath").strip() == "/dev/null"
    assert git(repository, "config", "gc.auto").strip() == "0"


def test_what_a_person_packs_is_still_read(repository: Repository) -> None:
    commits = []
    for id in range(30):
        files = {"main.py": b"".join(b"line %d\n" % n for n in range(500)) + b"agent %d" % id}
        commits.append(repository.commit(files, commits[-1] if commits else None, f"agent {id}", NOW)[0])
        repository.mark(id, commits[-1])
    git(repository, "gc", "--quiet", "--aggressive", "--prune=now")
    assert not (repository.path / "refs" / "heads" / "agent-3").exists()
    assert repository.marked() == set(range(30))
    assert repository.files(commits[7])["main.py"].endswith(b"agent 7")
    after, _ = repository.commit({"main.py": b"new"}, commits[-1], "agent 30", NOW)
    repository.mark(3, after)
    assert git(repository, "rev-parse", "agent-3").strip() == after
    assert repository.files(after) == {"main.py": b"new"}


def test_the_same_files_are_stored_once(repository: Repository) -> None:
    repository.commit(FILES, None, "one", NOW)
    before = sum(len(files) for _, _, files in os.walk(repository.path / "objects"))
    repository.commit(FILES, None, "two", NOW)
    assert sum(len(files) for _, _, files in os.walk(repository.path / "objects")) == before + 1


def test_creating_again_keeps_what_is_there(repository: Repository) -> None:
    commit, _ = repository.commit(FILES, None, "seed", NOW)
    repository.mark(0, commit)
    again = Repository.create(repository.path)
    assert again.marked() == {0}
    assert again.files(commit).keys() == FILES.keys()


@pytest.mark.parametrize("files", [{}, {"a": b"", "a/b": b""}, {"a/b": b"", "a": b""}, {"ok": b"", "../x": b""}])
def test_a_tree_that_cannot_be_is_refused(repository: Repository, files: dict[str, bytes]) -> None:
    with pytest.raises(ArchiveError):
        repository.commit(files, None, "x", NOW)


def test_a_lost_object_is_named_and_not_skipped(repository: Repository) -> None:
    commit, tree = repository.commit(FILES, None, "seed", NOW)
    path = repository.path / "objects" / tree[:2] / tree[2:]
    path.unlink()
    with pytest.raises(ArchiveError, match=tree):
        repository.files(commit)


def _acceptable(path: str) -> bool:
    try:
        check_path(path)
    except ArchiveError:
        return False
    return True


names = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0/\\:"), min_size=1, max_size=8)
paths = st.lists(names, min_size=1, max_size=3).map("/".join).filter(_acceptable)


@settings(max_examples=40)  # each one is flushed to the disk
@given(st.dictionaries(paths, st.binary(max_size=50), min_size=1, max_size=8))
def test_any_tree_survives(tmp_path_factory: pytest.TempPathFactory, files: dict[str, bytes]) -> None:
    if any(other.startswith(path + "/") for path in files for other in files):
        return
    repository = Repository.create(tmp_path_factory.getbasetemp() / "any.git")
    assert repository.files(repository.commit(files, None, "x", NOW)[0]) == dict(sorted(files.items()))
