"""Which parts of a text are quotations: code fences, code spans, diffs. Pure functions."""

from __future__ import annotations

import re

FENCE = re.compile(r"^ {0,3}(?P<mark>`{3,}|~{3,})(?P<info>[^\n`]*)$", re.MULTILINE)
"""A line that opens or closes a code block, as CommonMark has it."""
_SPAN = re.compile(r"(?<!`)(?P<mark>`{1,2})(?!`)[^`\n]+(?P=mark)(?!`)")
_DIFF = re.compile(r"^(?:diff --git .*|@@ -\d.*|--- .*\n\+\+\+ .*)$", re.MULTILINE)


class Quotations:
    """The quoted parts of one text."""

    def __init__(self, text: str) -> None:
        self._parts = [*_blocks(text), *((span.start(), span.end()) for span in _SPAN.finditer(text))]
        diff = _DIFF.search(text)
        self._diff = diff.start() if diff else len(text)
        """Where a diff begins; nothing tells where it ends."""

    def covers(self, position: int) -> bool:
        return position >= self._diff or any(start <= position < end for start, end in self._parts)


def _blocks(text: str) -> list[tuple[int, int]]:
    """Code blocks; one that is never closed goes on to the end."""
    found: list[tuple[int, int]] = []
    opened: re.Match[str] | None = None
    for fence in FENCE.finditer(text):
        if opened is None:
            opened = fence
        elif closes(opened["mark"], fence):
            found.append((opened.start(), fence.end()))
            opened = None
    if opened is not None:
        found.append((opened.start(), len(text)))
    return found


def closes(mark: str, fence: re.Match[str]) -> bool:
    """Whether a fence line closes the block that a mark opened: the same sign, as often or more, and nothing else."""
    own = fence["mark"]
    return own[0] == mark[0] and len(own) >= len(mark) and not fence["info"].strip()
