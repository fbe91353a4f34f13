"""The repair benchmark's own promises."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import SPLITS, Benchmark, BenchmarkError, open_benchmark
from benchmarks.pytest_site import pytest_site
from benchmarks.repair.benchmark import split_of
from benchmarks.repair.humaneval import Problem, problems
from sandbox import Sandbox


@pytest.fixture
def fresh(cache: Path, tmp_path: Path) -> Path:
    """A cache without proofs; pytest is in it already, because compiling it takes seconds."""
    site = pytest_site(cache)
    shutil.copytree(site, tmp_path / site.name)
    return tmp_path


@given(st.integers(0, 10**6), st.text(), st.text())
def test_a_functions_split_hangs_on_its_number_alone(number: int, text: str, other: str) -> None:
    assert split_of(Problem(number, text, text, text, text)) == split_of(Problem(number, other, "", "", ""))


def test_splits_are_about_sixty_twenty_twenty() -> None:
    counts = [sum(split_of(problem) == split for problem in problems()) for split in SPLITS]
    assert [0.55 < counts[0] / 164 < 0.65, *(0.15 < count / 164 < 0.25 for count in counts[1:])] == [True] * 3


def test_sizes_are_as_asked(repair: Benchmark) -> None:
    assert [len(repair.tasks(split)) for split in SPLITS] == [2, 1, 1]


def test_a_task_has_one_bug_in_one_place(repair: Benchmark) -> None:
    for id in repair.tasks("search"):
        task = repair.task(id)
        assert task.test_command == "python test_examples.py"
        assert set(task.files) == {"solution.py", "test_examples.py"}
        reference = repair.reference(id)["solution.py"].content.splitlines()  # type: ignore[attr-defined]
        buggy = task.files["solution.py"].content.splitlines()
        assert reference != buggy
        assert sum(line not in buggy for line in reference) <= 3
        assert not any(
            line.decode().strip() in task.problem for line in reference if line not in buggy and line.strip()
        )


def test_the_same_options_give_the_same_tasks_and_the_cache_is_used(
    repair: Benchmark, sandbox: Sandbox, cache: Path, fresh: Path
) -> None:
    options = {"search": 2, "validation": 1, "sealed": 1}
    first = open_benchmark("repair", options, fresh)
    calls: list[tuple[int, int]] = []
    first.prepare(sandbox, lambda done, of: calls.append((done, of)))
    assert calls
    assert calls[-1][0] == calls[-1][1]
    again = open_benchmark("repair", options, cache)
    again.prepare(sandbox, lambda done, of: pytest.fail("proven again"))
    for split in SPLITS:
        assert first.tasks(split) == again.tasks(split) == repair.tasks(split)
    assert all(first.task(id) == repair.task(id) for id in repair.tasks("search"))


def test_another_seed_gives_other_bugs_in_the_same_functions(repair: Benchmark, sandbox: Sandbox, cache: Path) -> None:
    other = open_benchmark("repair", {"search": 2, "validation": 0, "sealed": 0, "bug_seed": 7}, cache)
    other.prepare(sandbox)
    numbers = [id[:3] for id in repair.tasks("search")]
    assert [id[:3] for id in other.tasks("search")] == numbers
    assert other.tasks("search") != repair.tasks("search")
    assert other.tasks("sealed") == ()


def test_more_bugs_in_each_function(sandbox: Sandbox, cache: Path) -> None:
    opened = open_benchmark("repair", {"search": 4, "validation": 0, "sealed": 0, "bugs_per_function": 2}, cache)
    opened.prepare(sandbox)
    ids = opened.tasks("search")
    assert len(set(ids)) == 4
    assert len({id[:3] for id in ids}) == 4  # first bugs of more functions come before second bugs


def test_more_tasks_than_there_are(sandbox: Sandbox, cache: Path) -> None:
    opened = open_benchmark("repair", {"search": 0, "validation": 0, "sealed": 50}, cache)
    with pytest.raises(BenchmarkError, match=r"option sealed: 50 tasks are asked for and \d+ exist"):
        opened.prepare(sandbox)
    opened = open_benchmark("repair", {"search": 0, "validation": 0}, cache)
    refused = opened.prepare(sandbox)
    assert len(opened.tasks("sealed")) + len(refused) == sum(split_of(problem) == "sealed" for problem in problems())


def test_a_damaged_cache_is_made_again(sandbox: Sandbox, fresh: Path) -> None:
    options = {"search": 1, "validation": 0, "sealed": 0}
    open_benchmark("repair", options, fresh).prepare(sandbox)
    files = list(fresh.glob("*.json"))
    assert files
    for file in files:
        file.write_text("{")
    opened = open_benchmark("repair", options, fresh)
    opened.prepare(sandbox)
    assert len(opened.tasks("search")) == 1


@pytest.mark.slow
def test_all_of_humaneval(sandbox: Sandbox, cache: Path) -> None:
    opened = open_benchmark("repair", {}, cache)
    refused = opened.prepare(sandbox)
    assert {entry.task for entry in refused} == {"038-decode_cyclic", "050-decode_shift"}
    assert sum(len(opened.tasks(split)) for split in SPLITS) == 162
