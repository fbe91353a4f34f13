"""Diffs for people, checked by applying them with the plainest possible reading."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archive import textdiff

LINES = st.lists(st.sampled_from(["a", "b", "c", "", "def f():", "\x0c", "x\u2028y"]), max_size=12)


def applied(before: str, diff: str) -> str:
    """The text after, rebuilt from the text before and the diff's hunks alone."""
    old = before.split("\n")
    new: list[str] = []
    at = 0
    for line in diff.split("\n")[2:-1]:
        if match := re.fullmatch(r"@@ -(\d+)(?:,(\d+))? \+.* @@", line):
            start = int(match[1]) - (match[2] != "0")
            new += old[at:start]
            at = start
        elif line.startswith("\\"):
            continue
        elif line[0] in " -":
            assert old[at] == line[1:]
            at += 1
        if line[0] in " +":
            new.append(line[1:])
    return "\n".join([*new, *old[at:]])


@pytest.mark.parametrize("product", [4_000_000, 0], ids=["aligned", "as a whole"])
@given(before=LINES, after=LINES)
def test_the_diff_leads_from_before_to_after(product: int, before: list[str], after: list[str]) -> None:
    old, new = "".join(line + "\n" for line in before), "".join(line + "\n" for line in after)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(textdiff, "_PRODUCT", product)
        diff = textdiff.unified({"f.py": old.encode()}, {"f.py": new.encode()})
    assert (diff == "") == (old == new)
    if diff:
        assert applied(old, diff) == new


def test_new_removed_empty_and_binary_files_are_named() -> None:
    before = {"gone.py": b"x\n", "empty": b"", "bin": b"\0"}
    after = {"new.py": b"y\n", "also empty": b"", "bin": b"\0\1"}
    assert textdiff.unified(before, after) == (
        "Empty file also empty added\n"
        "Binary files a/bin and b/bin differ\n"
        "Empty file empty removed\n"
        "--- a/gone.py\n+++ /dev/null\n@@ -1 +0,0 @@\n-x\n"
        "--- /dev/null\n+++ b/new.py\n@@ -0,0 +1 @@\n+y\n"
    )


def test_bytes_that_are_not_utf_8_and_missing_last_newlines_show() -> None:
    diff = textdiff.unified({"f": b"caf\xe9"}, {"f": b"caf\xc3\xa9\n"})
    assert diff == "--- a/f\n+++ b/f\n@@ -1 +1 @@\n-caf\\xe9\n\\ No newline at end of file\n+café\n"


def test_a_name_cannot_forge_a_line_of_the_diff() -> None:
    diff = textdiff.unified({}, {'a\n+++ b/"x': b"1\n", "\udcff": b"2\n"})
    assert diff.splitlines()[1] == '+++ "b/a\\n+++ b/\\"x"'
    assert "+++ b/\\xff\n" in diff


def test_a_huge_rewrite_is_shown_whole_and_at_once() -> None:
    before = b"".join(b"old %d\n" % n for n in range(50_000))
    after = b"same\n" + b"".join(b"new %d\n" % n for n in range(50_000))
    diff = textdiff.unified({"f": before}, {"f": after})
    assert diff.count("\n-") == 50_000
    assert diff.count("\n+") == 50_002
