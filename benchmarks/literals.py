"""Literals in source, and literals that look like them but are not equal."""

from __future__ import annotations

import ast
import copy
from random import Random


def literal(node: ast.expr) -> object:
    """The value of an expression of constants and containers alone. Raises `ValueError` for any other."""
    try:
        value: object = ast.literal_eval(node)
    except (TypeError, SyntaxError, MemoryError, RecursionError) as error:
        raise ValueError(f"not a literal: {error}") from error
    return value


def is_literal(node: ast.expr) -> bool:
    try:
        literal(node)
    except ValueError:
        return False
    return True


def altered(node: ast.expr, rng: Random) -> ast.expr:
    """A literal of the same shape and type with one constant changed, never equal to `node`.

    Raises: `ValueError` if `node` is no literal.
    """
    value = literal(node)
    for _ in range(20):
        changed = _changed(copy.deepcopy(node), rng)
        if literal(changed) != value:
            return changed
    # A set or dict in which every change collided: lengths differ surely.
    return ast.Tuple([copy.deepcopy(node), ast.Constant(rng.randint(1, 9))], ast.Load())


def _changed(node: ast.expr, rng: Random) -> ast.expr:
    """Change one random constant of a literal in place, or give an empty container one element."""
    spots = [part for part in ast.walk(node) if isinstance(part, ast.Constant) or _is_empty(part)]
    if not spots:  # `set()`
        return node
    spot = rng.choice(spots)
    if isinstance(spot, ast.Constant):
        spot.value = _other(spot.value, rng)
        spot.kind = None
    elif isinstance(spot, ast.Dict):
        spot.keys, spot.values = [ast.Constant(rng.randint(1, 9))], [ast.Constant(rng.randint(1, 9))]
    elif isinstance(spot, ast.List | ast.Tuple):
        spot.elts = [ast.Constant(rng.randint(1, 9))]
    return node


def _is_empty(node: ast.AST) -> bool:
    return (isinstance(node, ast.List | ast.Tuple) and not node.elts) or (isinstance(node, ast.Dict) and not node.keys)


def _other(value: object, rng: Random) -> str | bytes | bool | int | float | complex | None:
    """Another constant of the same type; never a negative number, whose sign would be a node of its own."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + rng.choice((-3, -2, -1, 1, 2, 3)) if value > 3 else value + rng.choice((1, 2, 3))
    if isinstance(value, float):
        return value + rng.choice((1.0, 2.0)) + abs(value) / 4
    if isinstance(value, complex):
        return value + 1
    if isinstance(value, str):
        return _other_text(value, rng)
    if isinstance(value, bytes):
        return _other_text(value.decode("latin-1"), rng).encode("latin-1", "replace")
    return rng.choice((0, False))


def _other_text(text: str, rng: Random) -> str:
    """The text with one character replaced by another of its kind."""
    if not text:
        return rng.choice("abcdefgh")
    at = rng.randrange(len(text))
    old = text[at]
    kinds = ("0123456789", "abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ", ".,;:-_ ")
    kind = next((kind for kind in kinds if old in kind), "abcdefghijklmnopqrstuvwxyz")
    return text[:at] + rng.choice([other for other in kind if other != old]) + text[at + 1 :]
