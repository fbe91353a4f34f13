"""All single changes to a source, and how one is written as an exact replacement that an editor tool can make."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from evolve.llm.offline.expressions import expression_mutations
from evolve.llm.offline.mutation import Mutation
from evolve.llm.offline.spans import Source
from evolve.llm.offline.statements import statement_mutations, text_mutations
from evolve.syntax import parse


class Edit(NamedTuple):
    """Replace text that occurs once in a file."""

    path: str
    old: str
    new: str

    @property
    def undone(self) -> Edit:
        return Edit(self.path, self.new, self.old)


@lru_cache(maxsize=256)
def mutations(text: str, addition: str | None = None) -> tuple[Mutation, ...]:
    """All single mutations of a source; none if it is no Python.

    `addition` is a sentence that may be added to long texts; None leaves such texts alone.
    """
    try:
        source = Source(text)
    except (SyntaxError, ValueError):
        return ()
    found: dict[tuple[int, int, str], Mutation] = {}
    every = [*expression_mutations(source), *statement_mutations(source)]
    if addition is not None:
        every += text_mutations(source, addition)
    for mutation in every:
        if mutation.text != text[mutation.start : mutation.end]:
            found.setdefault((mutation.start, mutation.end, mutation.text), mutation)
    return tuple(found.values())


def parses(text: str) -> bool:
    try:
        parse(text)
    except (SyntaxError, ValueError):
        return False
    return True


def as_edit(path: str, text: str, mutation: Mutation) -> Edit | None:
    """The lines that a mutation changes, with as many lines before them as make them unique there and back again.

    None if the mutation leaves no Python, or no unique place is found.
    """
    changed = mutation.apply(text)
    if not parses(changed):
        return None
    start = text.rfind("\n", 0, mutation.start) + 1
    end = text.find("\n", mutation.end)
    end = len(text) if end < 0 else end
    while True:
        old = text[start:end]
        new = changed[start : end + len(changed) - len(text)]
        if old and new and text.count(old) == 1 and changed.count(new) == 1:
            return Edit(path, old, new)
        if start > 0:
            start = text.rfind("\n", 0, start - 1) + 1
        elif end < len(text):
            following = text.find("\n", end + 1)
            end = len(text) if following < 0 else following
        else:
            return None
