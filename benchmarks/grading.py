"""The grading protocol for tasks judged by pytest: one diff, one fresh box, hidden tests that cannot be forged.

1. The diff is data. Changes outside the task's editable files are dropped and recorded; the rest is applied to the
   task's own tree here, so nothing of the agent's box is left but the text of those files.
2. A fresh box gets that tree. The visible tests run first, while nothing hidden is in reach, so that their output may
   be shown.
3. The hidden tests follow, scrambled (see `benchmarks.twins`), and pytest runs once, with our settings and none of the
   tree's.
4. The verdict comes from the exit status of that run and from its results file, never from output (see
   `benchmarks.verdicts`).
"""

from __future__ import annotations

import shlex
import time
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random, SystemRandom

from benchmarks.base import BenchmarkError, Task, Verdict
from benchmarks.pytest_site import SITE, START
from benchmarks.twins import scramble
from benchmarks.verdicts import Finding, Run, judge
from sandbox import WORK, Box, Diff, File, Limits, Result, Sandbox, SandboxError, Tree

LIMITS = Limits(memory_mb=1024, processes=64, disk_mb=64, output_bytes=20_000)
SHOWN = 4000
"""Characters of the visible tests' output that are kept."""
OUTPUT = 2000
"""Characters of the hidden tests' output that are kept as evidence when there are no results."""


@dataclass(frozen=True, slots=True)
class Exam:
    """What a task is judged by. Never part of a `Task`."""

    tests: Tree
    """The hidden files, in a folder of their own beside the judged tree; both are importable."""
    modules: tuple[str, ...]
    """Those of `tests` that hold tests."""
    seconds: float
    """Time limit of the run."""
    expected: tuple[str, ...] | None = None
    """Ids of the tests that the reference passed; None while they are being recorded."""


@dataclass(frozen=True, slots=True)
class Examination:
    """What a box showed of one tree."""

    finding: Finding
    visible_failure: str


def grade(task: Task, editable: Collection[str], exam: Exam, diff: Diff, sandbox: Sandbox, site: Path) -> Verdict:
    """Judge a diff against the task's tree.

    A fault of the sandbox is the verdict VOID with its cause.

    Raises: `BenchmarkError` if the diff was not made from the task's tree.
    """
    started = time.monotonic()
    kept = diff.restrict(lambda path: None if path in editable else "not among the files that this task lets change")
    if not kept:
        return _ungraded(diff, kept, started)
    try:
        tree = kept.apply(task.files)
    except ValueError as error:
        raise BenchmarkError(f"the diff does not fit task {task.id}: {error}") from error
    try:
        seen = examine(tree, exam, sandbox, site, visible=task.test_command, image=task.image)
    except SandboxError as error:
        cause = f"the sandbox failed: {error}"
        return Verdict("VOID", cause, dropped=kept.dropped, seconds=time.monotonic() - started)
    finding = seen.finding
    return Verdict(
        finding.outcome,
        finding.reason,
        finding.passed,
        finding.failed,
        visible_failure="" if finding.outcome == "RESOLVED" else seen.visible_failure,
        dropped=kept.dropped,
        seconds=time.monotonic() - started,
        evidence={**finding.evidence, "isolation": sandbox.isolation, "pytest": site.name},
    )


def _ungraded(diff: Diff, kept: Diff, started: float) -> Verdict:
    seconds = time.monotonic() - started
    if not kept.dropped:
        return Verdict("EMPTY_PATCH", "nothing was changed", seconds=seconds)
    reason = f"none of {len(kept.dropped)} changed files may be changed: {', '.join(sorted(kept.dropped)[:5])}"
    return Verdict("PATCH_REJECTED", reason, dropped=kept.dropped, seconds=seconds)


def examine(
    tree: Tree,
    exam: Exam,
    sandbox: Sandbox,
    site: Path,
    *,
    visible: str | None = None,
    image: str | None = None,
    rng: Random | None = None,
) -> Examination:
    """Run the visible tests, then the hidden ones, on a tree in a fresh box. Raises: `SandboxError`."""
    rng = rng or SystemRandom()
    sources = {name: exam.tests[name].content.decode("utf-8") for name in exam.modules}
    scrambled, key = scramble(sources, rng)
    hidden = {**exam.tests, **{name: File(source.encode()) for name, source in scrambled.items()}}
    with sandbox.open(limits=LIMITS, mounts={SITE: site}, image=image) as box:
        box.put(tree)
        shown = _visible(box, visible, exam.seconds) if visible else ""
        run = _hidden(box, hidden, exam, f"/box/{rng.getrandbits(64):016x}")
    return Examination(judge(run, key, exam.expected), shown)


def _hidden(box: Box, hidden: Tree, exam: Exam, folder: str) -> Run:
    """One run of the hidden tests, which are put in now and not before."""
    tests, ini, junit = f"{folder}/tests", f"{folder}/pytest.ini", f"{folder}/junit.xml"
    box.put({"pytest.ini": File(b"[pytest]\n")}, folder)
    box.put(hidden, tests)
    argv = ["python", "-I", "-S", "-B", f"{SITE}/{START}", WORK, tests, ini, junit, *exam.modules]
    result = box.run(argv, seconds=exam.seconds)
    output = (result.stdout + result.stderr).decode("utf-8", "replace")[-OUTPUT:]
    return Run(result.exit_code, box.read(junit), result.seconds, exam.seconds, output)


def _visible(box: Box, command: str, seconds: float) -> str:
    """Output of the visible tests if they fail, else nothing."""
    result = box.run(shlex.split(command), seconds=seconds)
    return "" if result.ok else _shown(result, seconds)


def _shown(result: Result, seconds: float) -> str:
    text = (result.stdout + result.stderr).decode("utf-8", "replace")
    if len(text) > SHOWN:
        text = f"{text[: SHOWN // 2]}\n[… {len(text) - SHOWN} characters left out …]\n{text[-SHOWN // 2 :]}"
    end = f"stopped after {seconds:.0f} s" if result.timed_out else f"exit status {result.exit_code}"
    return f"{text.rstrip()}\n[{end}]\n"


def recorded(exam: Exam, finding: Finding) -> Exam:
    """The exam with what the reference passed as what is expected from now on."""
    return replace(exam, expected=finding.passed)
