"""The breaker: what looks like an outage, and when it opens and closes."""

from __future__ import annotations

import pytest

from evolve.llm import ModelError
from evolve.llm.breaker import LONGEST_PAUSE, SUSPICIOUS, Breaker, looks_out, pause_after


def failure(kind: str = "unavailable", status: int | None = None) -> ModelError:
    return ModelError("no", kind=kind, status=status)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("error", "out"),
    [
        (failure(), True),
        (failure(status=500), True),
        (failure(status=503), True),
        (failure(status=529), True),
        (failure(status=408), True),
        (failure(status=429), False),
        (failure(status=409), False),
        (failure("refused", 400), False),
        (failure("refused", 401), False),
        (failure("context_length", 400), False),
        (failure("context_length", 500), False),
    ],
)
def test_a_service_that_limits_or_refuses_is_alive(error: ModelError, out: bool) -> None:
    assert looks_out(error) is out


def test_it_opens_after_failures_of_one_model_in_a_row_and_tells_so_once() -> None:
    breaker = Breaker()
    assert [breaker.failed("a") for _ in range(SUSPICIOUS + 2)] == [False] * (SUSPICIOUS - 1) + [True, False, False]
    assert breaker.open_for == "a"


def test_a_flake_among_answers_does_not_open_it() -> None:
    breaker = Breaker()
    for _ in range(100):
        breaker.failed("a")
        breaker.failed("a")
        breaker.answered("a")
    assert breaker.open_for is None


def test_another_models_answers_prove_nothing() -> None:
    """Behind one address may be many models, and one of them out."""
    breaker = Breaker()
    for _ in range(SUSPICIOUS):
        breaker.answered("b")
        breaker.failed("a")
    assert breaker.open_for == "a"
    assert not breaker.answered("b") and breaker.open_for == "a"
    assert breaker.answered("a") and breaker.open_for is None
    assert not breaker.answered("a"), "told once"


def test_pauses_grow_to_a_minute() -> None:
    pauses = [pause_after(asked) for asked in range(1, 100)]
    assert pauses[:7] == [1, 2, 4, 8, 16, 32, 60]
    assert set(pauses[7:]) == {LONGEST_PAUSE}
