"""Fenced blocks in an answer: where those that name a tool begin, and where each truly ends. Pure functions.

A command may write a file with fences in it. Inside a here-document no fence ends the block; and where a here-document
is never closed, what is missing could be the command's better half, so the block is not read at all.
"""

from __future__ import annotations

import re
from collections.abc import Container
from dataclasses import dataclass

from evolve.llm.dialect.quoting import FENCE, closes

SHELL_TAGS = ("bash", "sh", "shell")

_HERE = re.compile(
    r"(?<![<\d)])(?<!\d )<<(?P<dash>-?)[ \t]*"
    r"(?:'(?P<single>[^'\n]+)'|\"(?P<double>[^\"\n]+)\"|\\?(?P<bare>[A-Za-z_]\w*))"
    r"|'[^'\n]*'|\"(?:[^\"\\\n]|\\.)*\"|\(\([^\n]*?\)\)"
)
"""A here-document's beginning; or what is quoted or arithmetic, where the same signs mean nothing."""


@dataclass(frozen=True, slots=True)
class Block:
    """A block that names a tool."""

    tag: str
    mark: str
    place: int
    """Where its opening fence stands."""
    start: int
    """Where its text begins."""


def first_block(text: str, tags: Container[str], start: int = 0) -> Block | None:
    """The first block with one of these tags, from a position on and outside other blocks."""
    inside: str | None = None
    for fence in FENCE.finditer(text, start):
        if inside is not None:
            inside = None if closes(inside, fence) else inside
            continue
        info = fence["info"].split()
        if info and info[0] in tags:
            return Block(info[0], fence["mark"], fence.start(), min(fence.end() + 1, len(text)))
        inside = fence["mark"]
    return None


def body_end(text: str, block: Block, *, here_documents: bool) -> int:
    """Where a block's text ends and its closing fence begins. Raises: `ValueError` if that cannot be told.

    `here_documents`: whether the text is a command, which may hold such.
    """
    at = block.start
    while at < len(text):
        line_end = _line_end(text, at)
        fence = FENCE.match(text, at, line_end)
        if fence and closes(block.mark, fence):
            return at
        line, at = text[at:line_end], line_end + 1
        for here in _HERE.finditer(line) if here_documents else ():
            if word := here["single"] or here["double"] or here["bare"]:
                at = _behind(text, at, word, tabs=bool(here["dash"]))
    raise ValueError("it is never closed")


def _behind(text: str, at: int, word: str, *, tabs: bool) -> int:
    """Where the line behind a here-document's last one begins. Raises: `ValueError` if it has no last line."""
    while at < len(text):
        line_end = _line_end(text, at)
        line = text[at:line_end].rstrip("\r")
        if (line.lstrip("\t") if tabs else line) == word:
            return line_end + 1
        at = line_end + 1
    raise ValueError(f"the here-document {word} is never closed")


def _line_end(text: str, at: int) -> int:
    end = text.find("\n", at)
    return len(text) if end < 0 else end
