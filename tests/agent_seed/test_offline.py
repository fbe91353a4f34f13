"""The seed agent and the offline model together: the real loop, on a function that is wrong."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from evolve.llm import ModelError
from evolve.llm.offline.provider import answer

Desk = Any
SOLUTION = '''def mean(numbers):
    """The arithmetic mean of some numbers."""
    total = 0
    for number in numbers:
        total -= number
    return total / len(numbers)
'''
TEST = """from solution import mean
got = mean([1, 2, 9])
print("ok" if got == 4 else f"FAIL mean([1, 2, 9]) expected 4.0, got {got}")
raise SystemExit(got != 4)
"""


def model(seed: int) -> Any:
    def reply(body: dict[str, Any]) -> Any:
        try:
            return answer(body, seed).body
        except ModelError as error:
            assert error.kind == "context_length"
            return 400, {"error": {"code": "context_length_exceeded", "message": str(error)}}

    return reply


@pytest.mark.parametrize("parallel", ["False", "True"])
def test_a_function_is_mended(desk: Desk, parallel: str) -> None:
    desk.set("agent.py", "PARALLEL_TOOL_CALLS = False", f"PARALLEL_TOOL_CALLS = {parallel}")
    desk.set("agent.py", "MAX_STEPS = 30", "MAX_STEPS = 200")
    (desk.repository / "solution.py").write_text(SOLUTION)
    (desk.repository / "test_it.py").write_text(TEST)
    command = f"{sys.executable} test_it.py"
    run = desk.run(model=model(1), problem="mean() in solution.py is wrong.", test_command=command)
    assert run.result["status"] == "done"
    assert "total += number" in (desk.repository / "solution.py").read_text()


def test_the_same_seed_gives_the_same_run(desk: Desk) -> None:
    runs = []
    for _ in range(2):
        (desk.repository / "solution.py").write_text(SOLUTION)
        (desk.repository / "test_it.py").write_text(TEST.replace("== 4", "== 5"))
        (desk.folder / "socket").unlink(missing_ok=True)
        runs.append(desk.run(model=model(2), test_command=f"{sys.executable} test_it.py"))
    assert runs[0].requests == runs[1].requests
    assert runs[0].result == runs[1].result
    assert runs[0].result["summary"].startswith("Stopped at the limit of 30 steps")


def test_it_changes_its_own_source_and_passes_its_own_check(desk: Desk) -> None:
    own = desk.repository / "agent"
    own.mkdir()
    for path in (desk.folder / "agent").glob("*.py"):
        (own / path.name).write_text(path.read_text())
    issue = "Stopped at the limit of 30 steps. Where to look: `MAX_STEPS = 30` in agent/agent.py. Raise the limit."
    command = f"{sys.executable} -m agent --selfcheck"
    run = desk.run(model=model(4), problem=f"# Issue\n{issue}", test_command=command, role="improve")
    assert run.result["status"] == "done"
    before = {path.name: path.read_text() for path in (desk.folder / "agent").glob("*.py")}
    after = {path.name: path.read_text() for path in own.glob("*.py")}
    assert [name for name in before if before[name] != after[name]] == ["agent.py"]
