"""What every benchmark must hold, in every sandbox."""

from __future__ import annotations

import json

import pytest

from benchmarks import SPLITS, Benchmark, BenchmarkError
from benchmarks.polyglot import Polyglot
from benchmarks.repair import Repair
from sandbox import Box, Diff, File, Sandbox, SandboxError, compare


def ids(benchmark: Benchmark) -> list[str]:
    return [id for split in SPLITS for id in benchmark.tasks(split)]


def answer(benchmark: Benchmark, id: str) -> Diff:
    assert isinstance(benchmark, Repair | Polyglot)
    return compare(benchmark.task(id).files, benchmark.reference(id))


def touched(benchmark: Benchmark, id: str) -> Diff:
    """The untouched start with a comment added: a change that changes nothing."""
    files = benchmark.task(id).files
    path = answer(benchmark, id).paths[0]
    return compare(files, {**files, path: File(files[path].content + b"# looked at\n")})


def test_splits_are_disjoint_and_not_empty(benchmark: Benchmark) -> None:
    found = ids(benchmark)
    assert len(found) == len(set(found))
    assert all(benchmark.tasks(split) for split in SPLITS)


def test_a_task_says_what_it_is(benchmark: Benchmark) -> None:
    for split in SPLITS:
        for id in benchmark.tasks(split):
            task = benchmark.task(id)
            assert (task.id, task.split) == (id, split)
            assert task.files
            assert all(path in task.problem for path in answer(benchmark, id).paths)


def test_no_task_carries_its_answer(benchmark: Benchmark) -> None:
    for id in ids(benchmark):
        task = benchmark.task(id)
        visible = task.problem + "".join(f"{path}\n{file.content.decode()}" for path, file in task.files.items())
        assert "CANARY" not in visible
        for change in answer(benchmark, id).changes:
            assert change.after is not None
            assert change.after.content.decode() not in visible
        assert not any("_test.py" in path or "hidden" in path or ".meta" in path for path in task.files)


def test_the_reference_is_resolved(benchmark: Benchmark, sandbox: Sandbox) -> None:
    for id in ids(benchmark):
        verdict = benchmark.grade(id, answer(benchmark, id), sandbox)
        assert (verdict.outcome, verdict.failed) == ("RESOLVED", ()), verdict
        assert verdict.passed
        assert verdict.visible_failure == ""


def test_the_untouched_start_is_unresolved(benchmark: Benchmark, sandbox: Sandbox) -> None:
    for id in ids(benchmark):
        verdict = benchmark.grade(id, touched(benchmark, id), sandbox)
        assert verdict.outcome == "UNRESOLVED", verdict
        assert verdict.failed
        json.dumps(verdict.evidence)


def test_nothing_changed_needs_no_box(benchmark: Benchmark) -> None:
    verdict = benchmark.grade(ids(benchmark)[0], Diff(), NoSandbox())
    assert verdict.outcome == "EMPTY_PATCH"


def test_nothing_acceptable_changed_needs_no_box(benchmark: Benchmark) -> None:
    id = ids(benchmark)[0]
    files = benchmark.task(id).files
    diff = compare(files, {**files, "notes.txt": File(b"I tried")})
    verdict = benchmark.grade(id, diff, NoSandbox())
    assert verdict.outcome == "PATCH_REJECTED"
    assert set(verdict.dropped) == {"notes.txt"}


def test_a_broken_house_is_no_evidence(benchmark: Benchmark) -> None:
    id = ids(benchmark)[0]
    verdict = benchmark.grade(id, answer(benchmark, id), NoSandbox())
    assert verdict.outcome == "VOID"
    assert "no space left" in verdict.reason


def test_a_diff_of_another_tree_is_refused(benchmark: Benchmark, sandbox: Sandbox) -> None:
    id = ids(benchmark)[0]
    path = answer(benchmark, id).paths[0]
    diff = compare({path: File(b"something else\n")}, {path: File(b"and changed\n")})
    with pytest.raises(BenchmarkError, match="does not fit"):
        benchmark.grade(id, diff, sandbox)


def test_an_unknown_task_names_the_nearest(benchmark: Benchmark) -> None:
    id = ids(benchmark)[0]
    with pytest.raises(BenchmarkError, match=f"did you mean {id!r}"):
        benchmark.task(id + "x")


def test_an_unknown_split_is_refused(benchmark: Benchmark) -> None:
    with pytest.raises(BenchmarkError, match="no split 'test'"):
        benchmark.tasks("test")  # type: ignore[arg-type]


class NoSandbox(Sandbox):
    """A back end whose machine is full."""

    name = "full"
    isolation = "none"

    def open(self, **_: object) -> Box:
        raise SandboxError("no space left on the machine")

    def probe(self) -> tuple[()]:
        return ()

    def reap(self) -> int:
        return 0

    def close(self) -> None:
        return None
