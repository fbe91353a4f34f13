"""The offline model's changes to code: each is one edit that leaves Python behind and can be taken back."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolve.llm.offline import provider
from evolve.llm.offline.candidates import as_edit, mutations
from evolve.llm.offline.chance import gumbel, uniform
from evolve.llm.offline.statements import LONG

SOURCES = sorted(Path(provider.__file__).parent.glob("*.py"))


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_every_change_is_one_edit_that_leaves_python_and_can_be_taken_back(path: Path) -> None:
    text = path.read_text()
    changes = mutations(text)
    edits = [edit for each in changes[:: 1 + len(changes) // 40] if (edit := as_edit("a.py", text, each))]
    for edit in edits:
        assert text.count(edit.old) == 1
        changed = text.replace(edit.old, edit.new)
        assert changed != text
        ast.parse(changed)
        assert changed.count(edit.new) == 1
        assert changed.replace(edit.undone.old, edit.undone.new) == text


@pytest.mark.parametrize(
    ("buggy", "fixed"),
    [
        ("if a <= b:\n    pass", "if a < b:\n    pass"),
        ("x = a - b", "x = a + b"),
        ("x = b - a", "x = a - b"),
        ("x = n + 1", "x = n"),
        ("x = a and b", "x = a or b"),
        ("x = not a", "x = a"),
        ("x = 2", "x = 3"),
        ("x = True", "x = False"),
        ("x = max(a, b)", "x = min(a, b)"),
        ("x = s.upper()", "x = s.lower()"),
        ("x = f(a, b)", "x = f(b, a)"),
        ("x = a[i]", "x = a[i + 1]"),
        ("x = a[1:n]", "x = a[:n]"),
        ("x = a in b", "x = a not in b"),
        ("x += 1", "x -= 1"),
        ("x = sorted(a)", "x = sorted(a, reverse=True)"),
        ("x = sorted(a, reverse=True)", "x = sorted(a)"),
        ("for i in range(n):\n    pass", "for i in range(n + 1):\n    pass"),
        ("while a:\n    break", "while a:\n    continue"),
        ("a = 1\nb = a\n", "b = a\na = 1\n"),
        ("for i in a:\n    b = i\n    return b\n", "for i in a:\n    b = i\nreturn b\n"),
        ("é = 'ü' + n", "é = 'ü' - n"),
    ],
)
def test_a_common_slip_is_mended_by_one_change(buggy: str, fixed: str) -> None:
    def function(body: str) -> str:
        return "def f(a, b, i, n, s, x):\n" + "".join(f"    {line}\n" for line in body.splitlines())

    text = function(buggy)
    results = {ast.dump(ast.parse(m.apply(text))) for m in mutations(text) if as_edit("a.py", text, m)}
    assert ast.dump(ast.parse(function(fixed))) in results


def test_names_are_taken_from_the_same_function() -> None:
    text = "def f(a, b):\n    return a\n\ndef g(c):\n    return c\n"
    assert {m.text for m in mutations(text) if m.kind == "name"} == {"b"}


def test_prose_may_lose_a_sentence_or_gain_one() -> None:
    text = 'PROMPT = """\\\n' + "First do this thing. Then do that one. " * (LONG // 30) + '"""\n'
    changed = [m.apply(text) for m in mutations(text, "Be brief.") if m.kind == "text"]
    assert any(new.endswith('Be brief."""\n') for new in changed)
    assert any(new.count("First") == text.count("First") - 1 for new in changed)
    assert [m for m in mutations(text) if m.kind == "text"] == []


@pytest.mark.parametrize("text", ["def broken(:", "\0", "", "x = = 1"])
def test_what_is_no_python_has_no_changes(text: str) -> None:
    assert mutations(text) == ()


@given(st.integers(), st.text())
def test_dice_are_pure_and_within_their_range(seed: int, what: str) -> None:
    assert 0 < uniform(seed, what) < 1
    assert gumbel(seed, what) == gumbel(seed, what)
