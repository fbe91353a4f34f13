"""Parsing from many threads at once."""

import ast
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from benchmarks import literal, parse
from benchmarks.syntax import parse_expression

SOURCE = "def f(x):\n" + "".join(f"    if x == {n}:\n        return [{n}, (x + {n}) * 2]\n" for n in range(120))


def test_many_threads_parse_at_once():
    """Without the lock, Python 3.11 answers some of these with SystemError (python/cpython#106905)."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(8) as pool:
            trees = list(pool.map(parse, [SOURCE] * 80))
    finally:
        sys.setswitchinterval(interval)
    assert {ast.dump(tree) for tree in trees} == {ast.dump(ast.parse(SOURCE))}


def test_literals_are_read_as_ast_reads_them():
    assert literal("  [1, 'a', (None, -2.5)]") == [1, "a", (None, -2.5)]
    with pytest.raises(ValueError, match="malformed"):
        literal("f()")
    with pytest.raises(SyntaxError):
        literal("1 +")


def test_it_raises_as_the_parser_does():
    with pytest.raises(SyntaxError):
        parse("def (")
    assert isinstance(parse_expression("1 + 1"), ast.BinOp)
