"""The shell and the editor under what a model really sends them."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st


def run(tools: Any, work: Path, command: str, seconds: float = 20) -> str:
    text: str = tools.perform("bash", {"command": command}, str(work), seconds).text
    return text


@pytest.mark.parametrize(
    ("command", "shown"),
    [
        ("echo out; echo err >&2; echo out again", "out\nerr\nout again\n[exit status 0]"),
        ("cat <<'END'\nheredoc $HOME\nEND", "heredoc $HOME\n[exit status 0]"),
        ("echo hello # a comment at the end", "hello\n[exit status 0]"),
        ("printf 'no newline'", "no newline\n[exit status 0]"),
        ("true", "[exit status 0]"),
        ("exit 7", "[exit status 7]"),
        ("kill -9 $$", "[exit status -9]"),
        ('read line; echo "got $line"', "got \n[exit status 0]"),
        ("cd / && pwd", "/\n[exit status 0]"),
        ("echo '<<exit>>'; echo after", "<<exit>>\nafter\n[exit status 0]"),
        ("printf '\\xff\\xfe'", "\ufffd\ufffd\n[exit status 0]"),
    ],
)
def test_what_a_command_shows(tools: Any, work: Path, command: str, shown: str) -> None:
    assert run(tools, work, command) == shown


@pytest.mark.parametrize("command", ["if then", "echo 'open quote", "echo $("])
def test_syntax_errors_are_shown_and_do_not_hang(tools: Any, work: Path, command: str) -> None:
    text = run(tools, work, command)
    assert "syntax error" in text or "unexpected" in text
    assert "[exit status 0]" not in text


@pytest.mark.parametrize("last", ["", "echo started", "(exit 0)\n"])
def test_a_child_in_the_background_holds_nothing_up(tools: Any, work: Path, last: str) -> None:
    started = time.monotonic()
    try:
        assert "[exit status 0]" in run(tools, work, f"sleep 60 & echo $! > child\n{last}")
        assert time.monotonic() - started < 10
    finally:
        os.kill(int((work / "child").read_text()), signal.SIGKILL)


def test_a_flood_from_the_background_is_left_behind(tools: Any, work: Path) -> None:
    assert "[exit status 0]" in run(tools, work, "yes &")


def test_a_timed_out_command_is_killed_with_its_children(tools: Any, work: Path) -> None:
    observation = tools.perform("bash", {"command": "echo begun; sleep 300 & echo $! > child; wait"}, str(work), 1)
    assert observation.text == "begun\n[timed out after 1 s and was killed]"
    assert observation.note == "a command timed out"
    child = int((work / "child").read_text())
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline and alive(child):
        time.sleep(0.02)
    assert not alive(child)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "Z" not in Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1]


def test_closing_its_output_does_not_end_a_command(tools: Any, work: Path) -> None:
    assert run(tools, work, "exec >&- 2>&-; sleep 0.3; touch done; exit 3") == "[exit status 3]"
    assert (work / "done").exists()


def test_long_output_is_bounded_and_says_what_is_missing(tools: Any, work: Path) -> None:
    observation = tools.perform("bash", {"command": "seq 1 200000; echo the end"}, str(work), 20)
    assert observation.text.startswith("1\n2\n3\n")
    assert observation.text.endswith("200000\nthe end\n[exit status 0]")
    assert "bytes left out]" in observation.text
    assert len(observation.text) < tools.OUTPUT_HEAD + tools.OUTPUT_TAIL + 100
    assert observation.note == "the output of a command was cut"


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(chunks=st.lists(st.binary(max_size=9000), max_size=6))
def test_head_and_tail_together_are_the_whole_or_say_how_much_is_not(tools: Any, chunks: list[bytes]) -> None:
    output = tools.Output()
    for chunk in chunks:
        output.add(chunk)
    whole = b"".join(chunks)
    assert len(output.head) + len(output.tail) + output.dropped == len(whole)
    assert whole.startswith(output.head)
    assert whole.endswith(output.tail)
    assert output.dropped == 0 or (len(output.head), len(output.tail)) == (tools.OUTPUT_HEAD, tools.OUTPUT_TAIL)


def test_a_nul_in_a_command_is_refused(tools: Any, work: Path) -> None:
    assert "NUL" in run(tools, work, "echo \0")


def edit(tools: Any, work: Path, **arguments: object) -> str:
    text: str = tools.perform("edit", arguments, str(work), 5).text
    return text


def test_a_file_is_created_with_its_folders_and_never_overwritten(tools: Any, work: Path) -> None:
    assert edit(tools, work, path="new/deep/a.py", new="x = 1\n") == "Created new/deep/a.py (1 lines)."
    assert "exists already" in edit(tools, work, path="new/deep/a.py", new="")
    assert (work / "new/deep/a.py").read_text() == "x = 1\n"


def test_an_exact_replacement_keeps_everything_else(tools: Any, work: Path) -> None:
    before = "\n\n    indented = 1\t \n\n\n  last = 2   "
    (work / "a.py").write_text(before)
    assert edit(tools, work, path="a.py", old="    indented = 1", new="\tindented = 3  ") == "Edited a.py at line 3."
    assert (work / "a.py").read_text() == before.replace("    indented = 1", "\tindented = 3  ")


def test_text_that_occurs_twice_is_refused_with_its_lines(tools: Any, work: Path) -> None:
    (work / "a.py").write_text("x = 1\ny = 2\nx = 1\n")
    text = edit(tools, work, path="a.py", old="x = 1", new="x = 2")
    assert "occurs 2 times" in text
    assert "at lines 1, 3" in text
    assert (work / "a.py").read_text() == "x = 1\ny = 2\nx = 1\n"


def test_text_that_is_missing_is_answered_with_the_nearest_lines(tools: Any, work: Path) -> None:
    (work / "a.py").write_text("import os\n\ndef area(width, height):\n    return width * height\n")
    text = edit(tools, work, path="a.py", old="def area(width, hight):", new="")
    assert "was not found" in text
    assert "     3\tdef area(width, height):" in text


def test_lines_are_replaced_by_their_numbers(tools: Any, work: Path) -> None:
    (work / "a.py").write_text("one\ntwo\nthree\nfour")
    assert edit(tools, work, path="a.py", first_line=2, last_line=3, new="2 and 3") == "Edited a.py at line 2."
    assert (work / "a.py").read_text() == "one\n2 and 3\nfour"
    edit(tools, work, path="a.py", first_line=1, new="")
    assert (work / "a.py").read_text() == "2 and 3\nfour"
    assert "there are no lines 2 to 9" in edit(tools, work, path="a.py", first_line=2, last_line=9, new="x")


def test_line_ends_of_the_file_are_kept(tools: Any, work: Path) -> None:
    (work / "a.txt").write_bytes(b"one\r\ntwo\r\nthree\r\n")
    edit(tools, work, path="a.txt", old="one\ntwo", new="1\n2")
    edit(tools, work, path="a.txt", first_line=3, new="3")
    assert (work / "a.txt").read_bytes() == b"1\r\n2\r\n3\r\n"


def test_other_bytes_modes_and_links_survive(tools: Any, work: Path) -> None:
    (work / "a.sh").write_bytes(b"#!/bin/sh\n# \xe9t\xe9\necho 1\n")
    (work / "a.sh").chmod(0o755)
    (work / "link").symlink_to("a.sh")
    edit(tools, work, path="link", old="echo 1", new="echo 2")
    assert (work / "a.sh").read_bytes() == b"#!/bin/sh\n# \xe9t\xe9\necho 2\n"
    assert (work / "a.sh").stat().st_mode & 0o777 == 0o755
    assert (work / "link").is_symlink()
    assert sorted(os.listdir(work)) == ["a.sh", "link"]


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ({"path": "a.py", "old": "", "new": "x"}, "`old` is empty"),
        ({"path": "a.py", "old": "x", "first_line": 1, "new": "y"}, "not both"),
        ({"path": "missing.py", "old": "x", "new": "y"}, "No such file"),
        ({"path": ".", "old": "x", "new": "y"}, "Is a directory"),
        ({"path": "a.py"}, "'new' is missing"),
        ({"path": "a.py", "new": 5}, "must be of type string"),
        ({"path": "a.py", "new": "x", "first_line": True}, "must be of type integer"),
        ({"path": "a.py", "new": "x", "mode": "w"}, "there is no field 'mode'"),
    ],
)
def test_edits_that_cannot_be_done_say_why(tools: Any, work: Path, arguments: dict[str, object], why: str) -> None:
    (work / "a.py").write_text("x\n")
    text = edit(tools, work, **arguments)
    assert text.startswith("Error: ")
    assert why in text
    assert (work / "a.py").read_text() == "x\n"


def test_an_unknown_tool_is_answered_with_the_known_ones(tools: Any, work: Path) -> None:
    assert "The tools are: bash, edit." in tools.perform("python", {}, str(work), 5).text


def test_bad_schemas_are_found(tools: Any) -> None:
    tools.check_schemas()
    tools.SCHEMAS[1]["function"]["parameters"]["properties"]["old"] = {"enum": ["a"]}
    with pytest.raises(ValueError, match=r"edit\.old"):
        tools.check_schemas()
