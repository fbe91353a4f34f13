"""Two trees of files as one unified diff, for people to read. Nothing ever applies it."""

from __future__ import annotations

import difflib
from collections.abc import Mapping

from archive.text import visible

_PRODUCT = 4_000_000
"""Lines before times lines after up to which difflib looks for what they share; beyond, it could take minutes."""


def unified(before: Mapping[str, bytes], after: Mapping[str, bytes]) -> str:
    """The unified diff, `/dev/null` standing for a missing side. Bytes that are not UTF-8 show as `\\xNN`; files with a
    NUL byte, and empty files that come or go, are named without content.
    """
    changed = [path for path in sorted(before.keys() | after.keys()) if before.get(path) != after.get(path)]
    return "".join(_file(path, before.get(path), after.get(path)) for path in changed)


def _file(path: str, before: bytes | None, after: bytes | None) -> str:
    old = "/dev/null" if before is None else _name("a/" + path)
    new = "/dev/null" if after is None else _name("b/" + path)
    if b"\0" in (before or b"") + (after or b""):
        return f"Binary files {old} and {new} differ\n"
    if not before and not after:
        return f"Empty file {_name(path)} {'added' if before is None else 'removed'}\n"
    return f"--- {old}\n+++ {new}\n" + "".join(_hunks(_lines(before or b""), _lines(after or b"")))


def _name(path: str) -> str:
    """The path on one line, quoted as git does where it holds anything but plain text."""
    name = path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    if visible(name, keep="") == name and '"' not in name:
        return name
    return '"' + name.encode("unicode_escape").decode("ascii").replace('"', '\\"') + '"'


def _lines(content: bytes) -> list[str]:
    text = content.decode("utf-8", "backslashreplace")
    lines = [line + "\n" for line in text.split("\n")]
    last = lines.pop()[:-1]
    return [*lines, last + "\n\\ No newline at end of file\n"] if last else lines


def _hunks(before: list[str], after: list[str]) -> list[str]:
    same = 0
    while same < min(len(before), len(after)) and before[same] == after[same]:
        same += 1
    tail = 0
    while tail < min(len(before), len(after)) - same and before[-1 - tail] == after[-1 - tail]:
        tail += 1
    if (len(before) - same - tail) * (len(after) - same - tail) <= _PRODUCT:
        return list(difflib.unified_diff(before, after))[2:]
    # Too large to align: everything between the common start and end goes, and comes, as a whole. Long, but true.
    old, new = before[same : len(before) - tail], after[same : len(after) - tail]
    return [f"@@ -{same + 1},{len(old)} +{same + 1},{len(new)} @@\n", *("-" + x for x in old), *("+" + x for x in new)]
