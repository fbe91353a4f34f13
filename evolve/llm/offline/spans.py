"""Where the nodes of a syntax tree stand in the text of their source."""

from __future__ import annotations

import ast

from evolve.syntax import parse


class Source:
    """A Python source with its tree; converts positions of nodes to offsets into the text.

    Raises: `SyntaxError` (or `ValueError`, for NUL characters) if the text is no Python.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.tree = parse(text)
        self.lines = text.split("\n")
        self.starts = [0]
        for line in self.lines:
            self.starts.append(self.starts[-1] + len(line) + 1)
        self.plain = text.isascii()

    def offset(self, line: int, column: int) -> int:
        """Offset of a node's position; `ast` counts columns in UTF-8 bytes."""
        if not self.plain:
            column = len(self.lines[line - 1].encode()[:column].decode(errors="ignore"))
        return self.starts[line - 1] + column

    def span(self, node: ast.expr | ast.stmt) -> tuple[int, int]:
        return (
            self.offset(node.lineno, node.col_offset),
            self.offset(node.end_lineno or node.lineno, node.end_col_offset or node.col_offset),
        )

    def of(self, node: ast.expr | ast.stmt) -> str:
        start, end = self.span(node)
        return self.text[start:end]

    def line_of(self, offset: int) -> int:
        """Number of the line, from 1, that holds an offset."""
        return self.text.count("\n", 0, offset) + 1
