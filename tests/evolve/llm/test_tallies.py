"""Caps by arithmetic alone: what fits a call, and what an hour holds."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolve.llm import Caps, Price
from evolve.llm.tallies import HOUR, SOON, Hour, Tally, Worst, fitting

PRICES = st.builds(
    Price,
    input=st.floats(0, 100),
    output=st.floats(0, 100),
    cached=st.none() | st.floats(0, 100),
    cache_write=st.none() | st.floats(0, 100),
)


@given(PRICES, st.integers(0, 200_000), st.integers(1, 64_000), st.floats(0, 5))
def test_what_fits_is_the_most_that_fits(price: Price, prompt: int, wanted: int, usd: float) -> None:
    found = fitting(price, prompt, wanted, usd)
    assert 0 <= found <= wanted
    assert found == 0 or Worst.of(price, prompt, found).usd <= usd
    assert found == wanted or Worst.of(price, prompt, found + 1).usd > usd


def test_known_fits() -> None:
    price = Price(3.0, 15.0)
    assert fitting(price, 1000, 8192, 0.018) == 1000, "0.003 for the prompt, 0.015 for a thousand tokens"
    assert fitting(price, 1000, 8192, 0.0029) == 0, "not even the prompt"
    assert fitting(price, 1000, 8192, 1.0) == 8192
    assert fitting(Price(0.0, 0.0), 10**6, 8192, 0.0) == 8192, "what is free always fits"


def test_a_call_dearer_than_a_whole_hour_never_fits() -> None:
    tally = Tally(Caps(usd_per_hour=0.5), "run")
    assert tally.refusal(Worst(1, 1, 0.5)) is None
    assert "more than the $0.5000 of a whole hour" in str(tally.refusal_for_good(Worst(1, 1, 0.51)))


def test_an_hour_says_when_there_is_room() -> None:
    hour = Hour(1.0)
    hour.settle(1000.0, 0.4)
    hour.settle(2000.0, 0.4)
    assert hour.wait(Worst(1, 1, 0.2), 0.0, 2000.0) is None
    assert hour.wait(Worst(1, 1, 0.3), 0.0, 2000.0) == 1000.0 + HOUR - 2000.0, "when the first one is an hour old"
    assert hour.wait(Worst(1, 1, 0.7), 0.0, 2000.0) == HOUR, "when the second one is"
    assert hour.wait(Worst(1, 1, 0.2), 0.1, 2000.0) == SOON, "a call under way may turn out cheap at any moment"
    assert hour.wait(Worst(1, 1, 0.3), 0.0, 1000.0 + HOUR) is None
    assert hour.spent(2000.0 + HOUR) == 0.0


def test_no_cap_no_hour() -> None:
    hour = Hour(None)
    hour.settle(0.0, 1e9)
    assert hour.wait(Worst(1, 1, 1e9), 1e9, 0.0) is None and hour.spent(0.0) == 0.0


CALLS = st.lists(st.tuples(st.floats(0, 2000), st.floats(0, 1), st.floats(0, 500)), max_size=60)


@given(CALLS)
def test_no_sixty_minutes_hold_more_than_the_cap(calls: list[tuple[float, float, float]]) -> None:
    """Each call waits, is reserved, charged somewhere in the middle, and settled: no window of the charges is over."""
    hour, now = Hour(2.0), 0.0
    charged: list[tuple[float, float]] = []
    for pause, usd, seconds in calls:
        now += pause
        while (wait := hour.wait(Worst(1, 1, usd), 0.0, now)) is not None:
            now += wait
        charged.append((now + seconds / 2, usd))
        now += seconds
        hour.settle(now, usd)
    for start, _ in charged:
        within = [usd for at, usd in charged if start <= at < start + HOUR]
        assert math.fsum(within) <= 2.0 + 1e-9


def test_many_settlements_of_an_hour_are_a_pair_a_second() -> None:
    hour = Hour(1e6)
    for number in range(100_000):
        hour.settle(number / 1000, 0.1)
    assert hour.spent(100.0) == pytest.approx(10_000.0, abs=1e-9)
    assert len(hour._spent) <= 101
