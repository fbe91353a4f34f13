"""The window: what a service said is too much is not tried again at once, and what it can take is found out again."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from evolve.llm.window import Window


def test_as_long_as_nothing_was_too_much_only_the_settings_limit_it() -> None:
    assert Window(None).allowed == math.inf
    assert Window(7).allowed == 7
    window = Window(None)
    window.grow(1000)
    assert window.allowed == math.inf


def test_too_much_halves_what_was_there_and_answers_bring_it_back_one_by_one() -> None:
    window = Window(None)
    window.cut(16)
    assert window.allowed == 8
    for _ in range(8):
        window.grow(8)
    assert window.allowed == 8, "one more for a full window of answers, less a little"
    window.grow(8)
    assert window.allowed == 9


def test_a_window_that_is_not_full_proves_nothing() -> None:
    window = Window(None)
    window.cut(16)
    for _ in range(1000):
        window.grow(3)
    assert window.allowed == 8


def test_after_an_outage_it_begins_with_one_and_doubles() -> None:
    window = Window(None)
    window.cut(16)
    window.restart()
    assert window.allowed == 1
    window.grow(1)
    assert window.allowed == 2
    for _ in range(2):
        window.grow(4)
    assert window.allowed == 4
    for _ in range(4):
        window.grow(8)
    assert window.allowed == 8, "as much as was not too much"
    window.grow(8)
    assert window.allowed == 8, "and slowly from there"


@given(most=st.none() | st.integers(1, 64), events=st.lists(st.tuples(st.sampled_from("cgr"), st.integers(0, 64))))
def test_it_never_closes_and_never_exceeds_the_settings(most: int | None, events: list[tuple[str, int]]) -> None:
    window = Window(most)
    for event, inside in events:
        {"c": lambda n: window.cut(n), "g": lambda n: window.grow(n), "r": lambda n: window.restart()}[event](inside)
        assert 1 <= window.allowed <= (most or math.inf)
