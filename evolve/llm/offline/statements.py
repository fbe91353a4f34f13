"""Mutations of statements (deleted, doubled, exchanged, moved into or out of a block) and of long texts."""

from __future__ import annotations

import ast
import re
import textwrap
from collections.abc import Iterator

from evolve.llm.offline.expressions import names_in
from evolve.llm.offline.mutation import Kind, Mutation
from evolve.llm.offline.spans import Source

LONG = 150
"""Characters of a string that is prose for a reader, not a message or a key."""
SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z`])")


def statement_mutations(source: Source) -> Iterator[Mutation]:
    """Every mutation of a statement, with the lines it stands on."""
    for node in ast.walk(source.tree):
        for name in ("body", "orelse", "finalbody"):
            block = getattr(node, name, None)
            if isinstance(block, list) and block and isinstance(block[0], ast.stmt):
                yield from _block(source, node, [statement for statement in block if not _is_string(statement)])
        if isinstance(node, ast.FunctionDef):
            yield from _inserts(source, node)
        if isinstance(node, ast.Break | ast.Continue):
            start, end = source.span(node)
            other = "continue" if isinstance(node, ast.Break) else "break"
            yield Mutation("swap", node.lineno, start, end, other)


def _inserts(source: Source, function: ast.FunctionDef) -> Iterator[Mutation]:
    """A statement in place of a `pass`: one that stands elsewhere in the function, or a plain return.

    That the missing code often stands somewhere near is the plastic surgery hypothesis (Barr et al., FSE 2014).
    """
    simple = [s for s in ast.walk(function) if isinstance(s, ast.Assign | ast.AugAssign | ast.Return) or _is_call(s)]
    texts = [source.of(s) for s in simple if isinstance(s, ast.stmt)]
    texts += ["return True", "return False", "return 0", 'return ""', "return []", "return None", "break", "continue"]
    texts += [f"return {name}" for name in names_in(function)]
    for node in ast.walk(function):
        if isinstance(node, ast.Pass):
            start, end = source.span(node)
            for text in dict.fromkeys(texts):
                yield Mutation("insert", node.lineno, start, end, text)


def _is_call(statement: ast.AST) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call)


def text_mutations(source: Source, addition: str = "") -> Iterator[Mutation]:
    """Long strings with a sentence dropped, doubled or exchanged with the next, or with `addition` at the end."""
    for node in ast.walk(source.tree):
        if not (isinstance(node, ast.Constant) and isinstance(node.value, str) and len(node.value) >= LONG):
            continue
        start, end = source.span(node)
        segment = source.text[start:end]
        opened = re.match(r"[a-zA-Z]*(\"\"\"|'''|\"|')(\\\n)?", segment)
        if opened is None or segment in (source.of(d) for d in _docstrings(source.tree)):
            continue
        quote = opened.group(1)
        first, last = start + opened.end(), end - len(quote)
        yield from _sentences(source, first, last)
        if addition:
            joint = "\n" if len(quote) == 3 else " "
            yield Mutation("text", source.line_of(last), last, last, joint + addition)


def _docstrings(tree: ast.AST) -> list[ast.expr]:
    return [
        node.value for node in ast.walk(tree) if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    ]


def _sentences(source: Source, first: int, last: int) -> Iterator[Mutation]:
    gaps = [(first + gap.start(), first + gap.end()) for gap in SENTENCE_END.finditer(source.text[first:last])]
    edges = [(first, first), *gaps, (last, last)]
    spans = [(edges[i][1], edges[i + 1][0]) for i in range(len(edges) - 1)]
    if len(spans) < 2:
        return
    for i, (start, end) in enumerate(spans):
        line = source.line_of(start)
        yield Mutation("text", line, start, edges[i + 1][1], "")
        if i + 1 < len(spans):
            following, following_end = spans[i + 1]
            text = source.text[following:following_end] + source.text[end:following] + source.text[start:end]
            yield Mutation("text", line, start, following_end, text)


def _is_string(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def _lines(source: Source, statement: ast.stmt) -> tuple[int, int] | None:
    """Offsets of a statement's lines, line end included; None if it shares a line with something else."""
    start, end = source.span(statement)
    if isinstance(statement, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef) and statement.decorator_list:
        start = source.offset(statement.decorator_list[0].lineno, 0)
    line_start = source.text.rfind("\n", 0, start) + 1
    line_end = source.text.find("\n", end)
    line_end = len(source.text) if line_end < 0 else line_end + 1
    rest = source.text[end:line_end].strip()
    if source.text[line_start:start].strip() not in ("", "@") or (rest and not rest.startswith("#")):
        return None
    return line_start, line_end


def _block(source: Source, parent: ast.AST, block: list[ast.stmt]) -> Iterator[Mutation]:
    spans = [_lines(source, statement) for statement in block]
    for i, (statement, span) in enumerate(zip(block, spans, strict=True)):
        if span is None or isinstance(statement, ast.FunctionDef | ast.ClassDef | ast.Import | ast.ImportFrom):
            continue
        start, end = span
        text = source.text[start:end]

        def change(kind: Kind, new: str, end: int = end, start: int = start) -> Mutation:
            return Mutation(kind, source.line_of(start), start, end, new)

        indent = text[: len(text) - len(text.lstrip())]
        yield change("delete", "" if len(block) > 1 else f"{indent}pass\n")
        if not isinstance(statement, ast.Return | ast.Break | ast.Continue | ast.Raise):
            yield change("duplicate", _ended(text) + text)
        following = spans[i + 1] if i + 1 < len(block) else None
        if following is not None:
            between = source.text[end : following[0]]
            next_text = source.text[following[0] : following[1]]
            yield change("swap", _ended(next_text) + between + text, following[1])
            if isinstance(statement, ast.For | ast.While | ast.If):
                inner = " " * statement.body[0].col_offset
                moved = _ended(text) + between + textwrap.indent(textwrap.dedent(next_text), inner)
                yield change("move", moved, following[1])
        if i + 1 == len(block) and len(block) > 1 and isinstance(parent, ast.For | ast.While | ast.If):
            outer = " " * parent.col_offset
            yield change("move", textwrap.indent(textwrap.dedent(text), outer))


def _ended(text: str) -> str:
    return text if text.endswith("\n") else text + "\n"
