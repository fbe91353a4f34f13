"""Altered literals are never equal to what they were made from."""

from __future__ import annotations

import ast
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.literals import altered, is_literal, literal

constants = (
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=6)
    | st.binary(max_size=4)
)
values = st.recursive(
    constants,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.text(max_size=3) | st.integers(), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(values, st.integers())
def test_an_altered_literal_is_another_value(value: object, seed: int) -> None:
    node = ast.parse(repr(value), mode="eval").body
    changed = ast.parse(ast.unparse(altered(node, Random(seed))), mode="eval").body
    assert literal(changed) != value
    assert literal(node) == value  # the original is left alone


@given(st.sets(st.integers(), min_size=1, max_size=4), st.integers())
def test_sets_too(value: set[int], seed: int) -> None:
    assert literal(altered(ast.parse(repr(value), mode="eval").body, Random(seed))) != value


@given(st.booleans() | st.integers() | st.text() | st.lists(st.integers()), st.integers())
def test_the_type_stays(value: object, seed: int) -> None:
    assert type(literal(altered(ast.parse(repr(value), mode="eval").body, Random(seed)))) is type(value)


@pytest.mark.parametrize("source", ["set()", "1e999", "()", "{}", "None"])
def test_literals_with_little_to_change(source: str) -> None:
    node = ast.parse(source, mode="eval").body
    assert literal(altered(node, Random(0))) != literal(node)


@pytest.mark.parametrize("source", ["f(1)", "x", "[x]", "1 + x", "lambda: 1"])
def test_expressions_are_no_literals(source: str) -> None:
    node = ast.parse(source, mode="eval").body
    assert not is_literal(node)
    with pytest.raises(ValueError):
        altered(node, Random(0))
