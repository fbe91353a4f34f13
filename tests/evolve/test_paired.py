"""Two agents on the same tasks."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolve.paired import compare


def test_only_common_tasks_count():
    assert compare({"a": 1.0}, {"b": 1.0}) is None
    paired = compare({"a": 1.0, "b": 1.0}, {"a": 0.0, "c": 1.0})
    assert (paired.a.passed, paired.b.passed, paired.only_a, paired.only_b, paired.difference) == (1, 0, 1, 0, 1.0)


def test_mcnemar_is_exact():
    """Seven discordant pairs, all one way: p = 2 · 2⁻⁷."""
    a = {f"t{n}": 1.0 for n in range(20)}
    b = {f"t{n}": float(n >= 7) for n in range(20)}
    assert compare(a, b).p == pytest.approx(2 / 2**7)


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=30))
def test_it_is_antisymmetric(pairs):
    a = {str(number): float(first) for number, (first, _) in enumerate(pairs)}
    b = {str(number): float(second) for number, (_, second) in enumerate(pairs)}
    forth, back = compare(a, b), compare(b, a)
    assert forth.difference == pytest.approx(-back.difference)
    assert forth.p == pytest.approx(back.p)
    assert forth.low - 1e-9 <= forth.difference <= forth.high + 1e-9
