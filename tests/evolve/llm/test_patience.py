"""Patience: what a model is known to need, and what beyond that is the service's doing."""

from __future__ import annotations

import random

from evolve.llm.patience import LEAST_SECONDS, Patience


def after(*seconds: float) -> Patience:
    patience = Patience()
    for each in seconds:
        patience.heard(each)
    return patience


def test_of_a_model_that_never_answered_nothing_is_known() -> None:
    assert Patience().limit is None
    assert Patience().excess(10_000) == 0.0


def test_a_quick_model_may_still_take_half_a_minute() -> None:
    patience = after(*[0.5] * 50)
    assert patience.limit == LEAST_SECONDS
    assert patience.excess(29) == 0.0
    assert patience.excess(130) == 100


def test_a_slow_model_may_take_long() -> None:
    assert after(*[100.0] * 50).excess(290) == 0.0


def test_an_answer_that_was_stalled_does_not_excuse_itself() -> None:
    for before in range(1, 20):
        assert after(*[2.0] * before, 500.0).excess(500) == 470


def test_of_one_answer_alone_nobody_can_say_that_it_was_slow() -> None:
    assert after(500.0).excess(500) == 0.0


def test_sound_answers_of_any_length_are_hardly_ever_blamed_on_the_service() -> None:
    """Times of answers are about log-normal; the formula's own claim is one in 700 at this spread."""
    rng = random.Random(1)
    patience = after(*[rng.lognormvariate(3.0, 0.8) for _ in range(200)])
    blamed = sum(patience.excess(rng.lognormvariate(3.0, 0.8)) > 0 for _ in range(10_000))
    assert blamed < 50
