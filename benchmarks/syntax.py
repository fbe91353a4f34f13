"""Python source to syntax tree, safely from many threads.

CPython 3.11 counts the recursion depth of `ast.parse` per interpreter and not per thread: two threads that parse at
once may get `SystemError: AST constructor recursion depth mismatch` (python/cpython#106905). So one parses at a time.
"""

from __future__ import annotations

import ast
import threading

_PARSING = threading.Lock()


def parse(source: str | bytes) -> ast.Module:
    """The syntax tree of a module. Raises what `ast.parse` raises: `SyntaxError`, `ValueError`, `RecursionError`…"""
    with _PARSING:
        return ast.parse(source)


def parse_expression(source: str) -> ast.expr:
    """The syntax tree of one expression. Raises as `parse` does."""
    with _PARSING:
        return ast.parse(source, mode="eval").body


def literal(source: str) -> object:
    """The value of a literal, as `ast.literal_eval` of a text, which parses too."""
    return ast.literal_eval(parse_expression(source.lstrip(" \t")))
