"""Two agents on the same tasks."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archive import Evaluation, Outcome
from evolve.statistics.paired import Paired, compare, successes, verdicts

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def compared(a: dict[str, float], b: dict[str, float]) -> Paired:
    found = compare(a, b)
    assert found is not None
    return found


def test_only_common_tasks_count() -> None:
    assert compare({"a": 1.0}, {"b": 1.0}) is None
    paired = compared({"a": 1.0, "b": 1.0}, {"a": 0.0, "c": 1.0})
    assert (paired.a.passed, paired.b.passed, paired.only_a, paired.only_b, paired.difference) == (1, 0, 1, 0, 1.0)
    assert paired.n == 1


def test_mcnemar_is_exact() -> None:
    """Seven discordant pairs, all one way: p = 2 · 2⁻⁷."""
    a = {f"t{n}": 1.0 for n in range(20)}
    b = {f"t{n}": float(n >= 7) for n in range(20)}
    assert compared(a, b).p == pytest.approx(2 / 2**7)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=30))
def test_it_is_antisymmetric(pairs: list[tuple[bool, bool]]) -> None:
    a = {str(number): float(first) for number, (first, _) in enumerate(pairs)}
    b = {str(number): float(second) for number, (_, second) in enumerate(pairs)}
    forth, back = compared(a, b), compared(b, a)
    assert forth.difference == pytest.approx(-back.difference)
    assert forth.p == pytest.approx(back.p)
    assert (forth.low, forth.high) == pytest.approx((-back.high, -back.low), abs=0.015)
    assert forth.p_better == pytest.approx(1 - back.p_better, abs=0.015)
    # The posterior mean lies between what was seen and no difference, and inside its interval.
    assert forth.low <= forth.difference * len(pairs) / (len(pairs) + 2) <= forth.high


def test_repeats_are_no_tasks() -> None:
    """A task that was measured five times counts as one, by its mean."""
    rows = [
        Evaluation(n, None, agent, "repair", "search", task, attempt, 0, NOW, outcome, closed=NOW)
        for n, (agent, task, attempt, outcome) in enumerate(
            [
                *((0, "a", attempt, Outcome.UNRESOLVED) for attempt in range(5)),
                *((1, "a", attempt, Outcome.RESOLVED if attempt else Outcome.TIMED_OUT) for attempt in range(5)),
                (0, "b", 0, Outcome.RESOLVED),
                (1, "b", 0, Outcome.VOID),
            ]
        )
    ]
    assert verdicts(rows, 1, "search") == {"a": [False, True, True, True, True]}
    assert successes(rows, 0, "search") == {"a": 0.0, "b": 1.0}
    assert successes(rows, 1, "sealed") == {}
    paired = compared(successes(rows, 1, "search"), successes(rows, 0, "search"))
    assert (paired.n, paired.only_a, paired.only_b, paired.difference, paired.p) == (1, 1, 0, 0.8, 1.0)
