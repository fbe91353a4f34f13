"""What the offline model reads out of texts: which command checks, what a failure suggests, which tools there are."""

from __future__ import annotations

import pytest

from evolve.llm.offline.candidates import Edit
from evolve.llm.offline.checks import bounded, check_command, passed
from evolve.llm.offline.hands import Call, hands_of
from evolve.llm.offline.notes import View, read_command, take_notes
from evolve.llm.offline.suspicion import Hints, hints_in, next_repair


@pytest.mark.parametrize(
    ("text", "command"),
    [
        ("The tests are run with: `python test_x.py`", "python test_x.py"),
        ("Run `python -m agent --selfcheck` after each change.", "python -m agent --selfcheck"),
        ("To run the tests:\n\n    make test\n", "make test"),
        ("Tests: PYTHONPATH=src pytest -q tests/unit", "PYTHONPATH=src pytest -q tests/unit"),
        ("Install with `python setup.py install`. Test it with `python -m pytest`.", "python -m pytest"),
        ("The check is: /usr/bin/python3 check.py.", "/usr/bin/python3 check.py"),
        ("Say `hello` to the test.", None),
    ],
)
def test_the_command_that_checks_is_found_in_the_words(text: str, command: str | None) -> None:
    assert check_command(text, []) == command


def test_without_words_a_test_file_is_run() -> None:
    assert check_command("Mend it.", ["a.py", "test_a.py"]) == "python -m pytest -q test_a.py"


def test_a_check_has_an_end_and_shows_its_status() -> None:
    assert bounded("python t.py") == 'timeout 4 python t.py; echo "[exit $?]"'
    assert bounded("cd x && make") == "timeout 4 sh -c 'cd x && make'; echo \"[exit $?]\""
    assert passed("ok\n[exit 0]\n[exit status 0]")
    assert not passed("[exit 1]\n[exit status 0]")


@pytest.mark.parametrize(
    ("output", "kinds"),
    [
        ("FAIL  f(3)  expected True, got False", {"compare", "negate"}),
        ("Expected:\n    4\nGot:\n    5\n", {"constant", "compare"}),
        ("E       assert [3, 1] == [1, 3]", {"swap", "order"}),
        ("AssertionError: 'ab' != 'abc'", {"subscript", "offset"}),
        ("expected 5, got None", {"insert", "move"}),
        ("IndexError: list index out of range", {"subscript", "constant"}),
    ],
)
def test_a_failure_suggests_kinds_of_changes(output: str, kinds: set[str]) -> None:
    assert kinds <= hints_in(output).kinds.keys()


def test_a_traceback_points_at_its_lines() -> None:
    output = 'File "/box/work/solution.py", line 3, in f\nFile "/box/work/solution.py", line 7, in g\nKeyError: 1'
    assert set(hints_in(output).lines) == {("solution.py", 3), ("solution.py", 7)}


def test_suspicion_orders_the_changes() -> None:
    texts = {"a.py": "def f(a, b):\n    c = a + 1\n    return c\n"}
    hinted = Hints({("a.py", 2): 9.0}, {"arithmetic": 9.0})
    first = next_repair(texts, set(), set(), hinted, 0, 0.0)
    assert first is not None
    assert first.old == "    c = a + 1"
    second = next_repair(texts, {first}, set(), hinted, 0, 0.0)
    assert second not in (None, first)


def test_places_where_a_check_hung_are_left_for_later() -> None:
    texts = {"a.py": "def f(a):\n    while a > 1:\n        a = a - 2\n    return a - 3\n"}
    hung = {
        Edit("a.py", "    while a > 1:", "    while a != 1:"),
        Edit("a.py", "        a = a - 2", "        a = a + 2"),
    }
    edit = next_repair(texts, hung, hung, Hints(), 0, 0.0)
    assert edit is not None
    assert "return a - 3" in edit.old


def tool(name: str, **types: str) -> dict[str, object]:
    properties = {field: {"type": kind} for field, kind in types.items()}
    return {"type": "function", "function": {"name": name, "parameters": {"properties": properties}}}


def test_tools_are_known_by_their_fields() -> None:
    shell, editor = tool("run", command="string"), tool("change", path="string", old="string", new="string")
    hands = hands_of([tool("think", thought="string"), editor, shell])
    assert hands.shell == ("run", "command")
    assert hands.editor == ("change", "path", "old", "new")
    assert hands_of("nonsense").shell is None
    assert hands_of([{"function": {"name": "x"}}]).editor is None


@pytest.mark.parametrize("with_editor", [True, False])
def test_an_edit_is_read_back_from_its_call(with_editor: bool) -> None:
    tools = [tool("run", command="string")]
    tools += [tool("change", path="string", old="string", new="string")] if with_editor else []
    hands = hands_of(tools)
    edit = Edit("a.py", 'it\'s "x"\n\\n é 😀', "CHANGE\n'''\"\"\"")
    assert hands.edits_of(hands.change(edit)) == [edit]
    assert hands.edits_of(hands.change_and_check([edit, edit.undone], "make test")) == [edit, edit.undone]
    assert hands.edits_of(hands.run("ls")) == []
    assert hands.edits_of(Call("change", {"path": 3})) == []


def test_a_view_knows_what_it_has_not_seen() -> None:
    view = View()
    view.see("wrapper\n     1\tone\n     2\ttw\n[cut]\n5\n     6\tsix\n     7\tseven\n[end of a.py]\n[exit 0]", "a.py")
    assert view.lines == {1: "one", 7: "seven"}
    assert view.gap == (2, 6)
    view.see("     2\ttwo\n     3\tthree\n     4\t\n     5\tfive\n     6\tsix\n[end of a.py]", "a.py")
    assert view.gap is None
    assert view.text == "one\ntwo\nthree\n\nfive\nsix\nseven\n"


def test_observations_told_in_another_way_are_understood() -> None:
    hands = hands_of([tool("run", command="string")])
    call = {"id": "1", "type": "function", "function": {"name": "run", "arguments": ""}}
    call["function"] = {"name": "run", "arguments": '{"command": "' + read_command("a.py").replace('"', '\\"') + '"}'}
    messages = [
        {"role": "user", "content": [{"type": "text", "text": "Mend it."}]},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "user", "content": "The command printed:\n     1\tx = 1\n[end of a.py]"},
    ]
    notes = take_notes(messages, hands)
    assert notes.texts == {"a.py": "x = 1\n"}
    assert notes.issue == "Mend it.\n"
