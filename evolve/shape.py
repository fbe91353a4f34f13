"""When two codebases are the same agent: equality of their normalised syntax trees.

Comments and layout do not count, nor do docstrings unless the agent reads them (`__doc__`); everything else does. An
agent's source is only parsed, never imported; what cannot be parsed counts byte by byte.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Mapping

from evolve.syntax import parse

MAX_PARSED = 500_000
"""Bytes above which a file is compared as it is: a stranger's file must not keep the parser busy."""


def shape(files: Mapping[str, bytes]) -> str:
    """Hash of an agent's normalised files: equal for agents that differ only in comments, layout and docstrings."""
    digest = hashlib.sha256()
    reads_docstrings = any(b"__doc__" in content for content in files.values())
    for path in sorted(files):
        digest.update(f"{len(path)}:{path}".encode("utf-8", "surrogateescape"))
        digest.update(hashlib.sha256(normalised(path, files[path], keep_docstrings=reads_docstrings)).digest())
    return digest.hexdigest()


def normalised(path: str, content: bytes, *, keep_docstrings: bool = False) -> bytes:
    """What of a file counts: the dump of its syntax tree, or its bytes where there is none."""
    if not path.endswith(".py") or len(content) > MAX_PARSED:
        return content
    try:
        tree = parse(content)
        for node in () if keep_docstrings else ast.walk(tree):
            _drop_docstring(node)
        return ast.dump(tree).encode("utf-8", "surrogatepass")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return content


def _drop_docstring(node: ast.AST) -> None:
    if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) or not node.body:
        return
    first = node.body[0]
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
        node.body[0] = ast.Pass()
