"""Mutations of expressions: operators, constants, names, conditions, calls, subscripts."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence

from evolve.llm.offline.mutation import Kind, Mutation
from evolve.llm.offline.spans import Source
from evolve.syntax import literal

COMPARE: dict[type[ast.cmpop], tuple[str, tuple[str, ...]]] = {
    ast.Lt: ("<", ("<=", ">", ">=")), ast.LtE: ("<=", ("<", ">=", "==")), ast.Gt: (">", (">=", "<", "<=")),
    ast.GtE: (">=", (">", "<=", "==")), ast.Eq: ("==", ("!=", "<=", ">=")), ast.NotEq: ("!=", ("==", "<", ">")),
    ast.In: ("in", ("not in",)), ast.NotIn: ("not in", ("in",)), ast.Is: ("is", ("is not",)),
    ast.IsNot: ("is not", ("is",)),
}  # fmt: skip
ARITHMETIC: dict[type[ast.operator], tuple[str, tuple[str, ...]]] = {
    ast.Add: ("+", ("-", "*")), ast.Sub: ("-", ("+",)), ast.Mult: ("*", ("+", "**", "/", "//")),
    ast.Div: ("/", ("//", "*")), ast.FloorDiv: ("//", ("/", "%", "*")), ast.Mod: ("%", ("//", "*", "/")),
    ast.Pow: ("**", ("*",)), ast.BitAnd: ("&", ("|", "^")), ast.BitOr: ("|", ("&", "^")),
    ast.BitXor: ("^", ("&", "|")), ast.LShift: ("<<", (">>",)), ast.RShift: (">>", ("<<",)),
}  # fmt: skip
CONFUSED = (
    "min max", "any all", "upper lower swapcase", "startswith endswith", "floor ceil round int", "isupper islower",
    "isdigit isalpha isalnum", "strip lstrip rstrip", "find rfind index count", "append extend add remove discard",
    "sum len max", "sorted list set range reversed", "int float abs round ord str", "union intersection difference",
    "keys values items", "join split",
)  # fmt: skip
"""Functions and methods that are easily taken for one another."""
CALLS: dict[str, tuple[str, ...]] = {
    name: tuple(dict.fromkeys(o for row in CONFUSED if name in row.split() for o in row.split() if o != name))
    for name in " ".join(CONFUSED).split()
}
MAX_NAMES = 12
"""Other names tried for one use of a name."""


def expression_mutations(source: Source) -> Iterator[Mutation]:
    """Every mutation of every expression, documentation strings left alone."""
    yield from _visit(source, source.tree, ())


def _visit(source: Source, node: ast.AST, names: tuple[str, ...]) -> Iterator[Mutation]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        names = names_in(node)
    yield from _mutate(source, node, names)
    for child in ast.iter_child_nodes(node):
        is_string = isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant)
        if not is_string and not isinstance(node, ast.arg) and child is not getattr(node, "returns", None):
            yield from _visit(source, child, names)


def names_in(function: ast.FunctionDef | ast.AsyncFunctionDef) -> tuple[str, ...]:
    """Parameters and local names of a function, in the order of their first use."""
    found: dict[str, None] = {}
    for node in ast.walk(function):
        if isinstance(node, ast.arg):
            found.setdefault(node.arg)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.setdefault(node.id)
    return tuple(found)


def _mutate(source: Source, node: ast.AST, names: Sequence[str]) -> Iterator[Mutation]:
    match node:
        case ast.Compare():
            yield from _compare(source, node)
        case ast.BinOp():
            symbol, others = ARITHMETIC.get(type(node.op), ("", ()))
            yield from _between(source, "arithmetic", node.left, node.right, symbol, others)
            yield _operand(source, "arithmetic", node, node.left)
            yield _operand(source, "arithmetic", node, node.right)
            if isinstance(node.op, ast.Sub | ast.Div | ast.FloorDiv | ast.Mod):
                yield _exchange(source, node.left, node.right)
        case ast.AugAssign():
            symbol, others = ARITHMETIC.get(type(node.op), ("", ()))
            yield from _between(source, "arithmetic", node.target, node.value, symbol + "=", [o + "=" for o in others])
            yield from _between(source, "arithmetic", node.target, node.value, symbol + "=", ["="])
        case ast.BoolOp():
            symbol, other = ("and", "or") if isinstance(node.op, ast.And) else ("or", "and")
            for left, right in zip(node.values, node.values[1:], strict=False):
                yield from _between(source, "boolean", left, right, symbol, [other])
            for value in node.values:
                yield _operand(source, "boolean", node, value)
        case ast.UnaryOp():
            kind: Kind = "negate" if isinstance(node.op, ast.Not) else "arithmetic"
            yield _operand(source, kind, node, node.operand)
        case ast.Constant():
            yield from _constant(source, node)
        case ast.Name(ctx=ast.Load()):
            others = tuple(name for name in names if name != node.id)[:MAX_NAMES] if node.id in names else ()
            for text in (*CALLS.get(node.id, ()), *others):
                yield _swap(source, "call" if node.id in CALLS else "name", node, text)
        case ast.Attribute(ctx=ast.Load()):
            start, end = source.span(node)
            for text in CALLS.get(node.attr, ()):
                yield Mutation("call", source.line_of(start), end - len(node.attr), end, text)
        case ast.Call():
            yield from _call(source, node)
        case ast.Subscript():
            yield from _subscript(source, node)
        case ast.If() | ast.While() | ast.IfExp():
            yield from _condition(source, node.test)
            if isinstance(node, ast.IfExp):
                yield _exchange(source, node.body, node.orelse)
        case ast.comprehension():
            for test in node.ifs:
                yield from _condition(source, test)
        case ast.Return(value=ast.expr() as value):
            if isinstance(value, ast.Compare | ast.BoolOp | ast.Call):
                yield from _condition(source, value)
            yield from _nudged(source, value)
        case ast.Assign(value=ast.Name() | ast.Call() | ast.BinOp() as value):
            yield from _nudged(source, value)


def _swap(source: Source, kind: Kind, node: ast.expr, text: str, grows: bool | None = None) -> Mutation:
    start, end = source.span(node)
    return Mutation(kind, source.line_of(start), start, end, text, grows)


def _operand(source: Source, kind: Kind, node: ast.expr, operand: ast.expr) -> Mutation:
    """The operand alone in place of the operation."""
    return _swap(source, kind, node, f"({source.of(operand)})" if " " in source.of(operand) else source.of(operand))


def _exchange(source: Source, one: ast.expr, other: ast.expr) -> Mutation:
    """Two parts of an expression in each other's place."""
    (start, middle), (resume, end) = sorted((source.span(one), source.span(other)))
    text = source.text[resume:end] + source.text[middle:resume] + source.text[start:middle]
    return Mutation("order", source.line_of(start), start, end, text)


def _between(
    source: Source, kind: Kind, left: ast.expr, right: ast.expr, symbol: str, others: Sequence[str]
) -> Iterator[Mutation]:
    """Another operator between two operands."""
    gap_start, gap_end = source.span(left)[1], source.span(right)[0]
    edge = r"\b" if symbol[:1].isalpha() else ""
    pattern = edge + re.escape(symbol).replace(r"\ ", r"\s+") + edge
    found = re.search(pattern, source.text[gap_start:gap_end]) if symbol else None
    if found is None:
        return
    start, end = gap_start + found.start(), gap_start + found.end()
    for other in others:
        yield Mutation(kind, source.line_of(start), start, end, other)


def _compare(source: Source, node: ast.Compare) -> Iterator[Mutation]:
    operands = [node.left, *node.comparators]
    for left, operator, right in zip(operands, node.ops, operands[1:], strict=False):
        symbol, others = COMPARE[type(operator)]
        yield from _between(source, "compare", left, right, symbol, others)
    for operand in operands:
        yield from _nudged(source, operand)


def _constant(source: Source, node: ast.Constant) -> Iterator[Mutation]:
    value = node.value
    if isinstance(value, bool):
        yield _swap(source, "switch", node, str(not value))
    elif isinstance(value, int):
        for near in dict.fromkeys((value + 1, value - 1, 0, 1, -value, 2)):
            if near != value:
                yield _swap(source, "constant", node, str(near), near > value)
        for scaled in dict.fromkeys((value * 2, value * 3 // 2, value // 2, value * 4)):
            if abs(value) > 2 and abs(scaled - value) > 1:
                yield _swap(source, "scale", node, str(scaled), scaled > value)
    elif isinstance(value, float):
        for changed in dict.fromkeys((value * 2, value * 1.5, value / 2, value / 4, value + 1, value - 1, 0.0)):
            if changed != value:
                yield _swap(source, "scale", node, repr(changed), changed > value)
    elif isinstance(value, str) and len(value) <= 1:
        for text in ('""', '" "', '","', '"0"', '"1"'):
            if literal(text) != value:
                yield _swap(source, "constant", node, text)


def _condition(source: Source, test: ast.expr) -> Iterator[Mutation]:
    if not (isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not)):
        yield _swap(source, "negate", test, f"not ({source.of(test)})")


def _nudged(source: Source, node: ast.expr) -> Iterator[Mutation]:
    """One more and one less than a value that is no literal."""
    if isinstance(node, ast.Name | ast.Call | ast.BinOp | ast.Subscript):
        for change in (" + 1", " - 1"):
            yield _swap(source, "offset", node, source.of(node) + change)


def _call(source: Source, node: ast.Call) -> Iterator[Mutation]:
    if len(node.args) == 2 and not any(isinstance(argument, ast.Starred) for argument in node.args):
        yield _exchange(source, *node.args)
    if len(node.args) == 1 and not node.keywords:
        yield _operand(source, "call", node, node.args[0])
    if isinstance(node.func, ast.Name) and node.func.id == "range":
        for argument in node.args:
            yield from _nudged(source, argument)
        if len(node.args) == 1:
            yield _swap(source, "offset", node.args[0], f"1, {source.of(node.args[0])}")
    for keyword in node.keywords:
        if keyword.arg == "reverse" and len(node.keywords) == 1 and node.args:
            start, end = source.span(node.args[-1])[1], source.span(keyword.value)[1]
            yield Mutation("call", source.line_of(start), start, end, "")
    if isinstance(node.func, ast.Name) and node.func.id == "sorted" and len(node.args) == 1 and not node.keywords:
        yield _swap(source, "call", node.args[0], f"{source.of(node.args[0])}, reverse=True")


def _subscript(source: Source, node: ast.Subscript) -> Iterator[Mutation]:
    if not isinstance(node.slice, ast.Slice):
        for change in (" + 1", " - 1"):
            yield _swap(source, "subscript", node.slice, source.of(node.slice) + change)
        return
    start, end = source.span(node.slice)
    lower, upper, step = (
        source.of(part) if part else "" for part in (node.slice.lower, node.slice.upper, node.slice.step)
    )
    tail = f":{step}" if step else ""
    for text in (
        f"{lower}:{tail}", f":{upper}{tail}", f"{lower or 0} + 1:{upper}{tail}", f"{lower}:{upper} + 1{tail}",
        f"{lower}:{upper} - 1{tail}", f"{lower or 0} - 1:{upper}{tail}", f"{lower}:{upper}", f"{upper}:{lower}{tail}",
        f"{lower}:{upper}:-1", f"{lower}:{upper}:2",
    ):  # fmt: skip
        if text != source.text[start:end] and (upper or ": " not in text):
            yield Mutation("subscript", source.line_of(start), start, end, text)
