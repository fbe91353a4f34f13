"""Tests cut out of a test module by the syntax tree, so that the rest stays byte for byte what it was."""

from __future__ import annotations

import ast
from collections.abc import Collection

from benchmarks.syntax import parse
from sandbox import File, Tree

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def without_tests(tree: Tree, tests: Collection[str]) -> dict[str, File]:
    """The files without these tests (with all their parameters); a file that cannot be cut safely is gone whole."""
    by_file: dict[str, set[str]] = {}
    for test in tests:
        file, _, name = test.partition("[")[0].partition("::")
        by_file.setdefault(file, set()).add(name)
    kept = dict(tree)
    for file, names in by_file.items():
        source = cut(tree[file].content.decode("utf-8"), names)
        if source is None:
            del kept[file]
        else:
            kept[file] = File(source.encode(), tree[file].executable)
    return kept


def cut(source: str, names: Collection[str]) -> str | None:
    """A module without some of its tests (`test_sum`, `SumTest::test_zero`); None if that cannot be done safely.

    It is not safe where a test is not defined just once and plainly in its module or class, shares a line with
    something else, or is used by another name in the module.
    """
    module = parse(source)
    lines = [line.decode("utf-8") for line in source.encode().splitlines(keepends=True)]  # as the parser counts them
    gone: dict[int, str] = {}  # line, from 0, to what stands in its place
    for name in sorted(names):  # where `pass` stands must not depend on the order of a set
        found = _find(module, name)
        if found is None:
            return None
        owner, node = found
        first, last = _first_line(node, lines), node.end_lineno or node.lineno
        if not _alone(node, lines) or _used(module, node):
            return None
        gone |= dict.fromkeys(range(first - 1, last), "")
        siblings = [part for part in owner.body if _first_line_of(part) - 1 not in gone]
        if not siblings:
            gone[first - 1] = " " * node.col_offset + "pass\n"
    result = "".join(gone.get(number, line) for number, line in enumerate(lines))
    try:
        parse(result)
    except (SyntaxError, ValueError):
        return None
    return result


def definition(module: ast.Module, name: str) -> ast.FunctionDef | ast.AsyncFunctionDef | None:
    """A test's definition by its name in the module, if it is plainly and just once there."""
    found = _find(module, name)
    return None if found is None or isinstance(found[1], ast.ClassDef) else found[1]


def _find(module: ast.Module, name: str) -> tuple[ast.Module | ast.ClassDef, Definition] | None:
    """A definition and what it stands in; None if it is not there, or there twice."""
    owner: ast.Module | ast.ClassDef = module
    *classes, test = name.replace("::", ".").split(".")
    for part in classes:
        inner = _only(owner, part)
        if not isinstance(inner, ast.ClassDef):
            return None
        owner = inner
    found = _only(owner, test)
    return None if found is None else (owner, found)


def _only(owner: ast.Module | ast.ClassDef, name: str) -> Definition | None:
    found = [
        node
        for node in owner.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and node.name == name
    ]
    return found[0] if len(found) == 1 else None


def _first_line_of(node: ast.stmt) -> int:
    decorators = node.decorator_list if isinstance(node, Definition) else []
    return min([node.lineno, *(part.lineno for part in decorators)])


def _first_line(node: Definition, lines: list[str]) -> int:
    """With decorators, and with the comments that stand directly above."""
    first = _first_line_of(node)
    while first > 1 and lines[first - 2].strip().startswith("#") and _indent(lines[first - 2]) == node.col_offset:
        first -= 1
    return first


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _alone(node: Definition, lines: list[str]) -> bool:
    """Whether nothing else stands on its first and last line."""
    before = lines[node.lineno - 1].encode()[: node.col_offset].strip()
    after = lines[(node.end_lineno or node.lineno) - 1].encode()[node.end_col_offset or 0 :].strip()
    return not before and (not after or after.startswith(b"#"))


def _used(module: ast.Module, node: Definition) -> bool:
    return any(
        (isinstance(part, ast.Name) and part.id == node.name)
        or (isinstance(part, ast.Attribute) and part.attr == node.name)
        for part in ast.walk(module)
    )
