"""Buckets: never more than the limit in any minute, and never a wait longer than needed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolve.llm.buckets import RETURN_SECONDS, Bucket

STEPS = st.lists(st.tuples(st.floats(0, 30), st.integers(1, 40), st.floats(0, 1)), max_size=40)
"""(seconds since the last one, what it takes, share of it that it needed in truth)"""


@given(limit=st.integers(40, 120), steps=STEPS)
def test_no_minute_holds_more_than_the_limit(limit: int, steps: list[tuple[float, int, float]]) -> None:
    bucket, now, sent = Bucket(limit), 0.0, []
    for pause, amount, share in steps:
        now += pause
        while (wait := bucket.wait(amount, now)) > 0:
            now += wait
        taken = bucket.take(amount, now)
        bucket.correct(taken, amount * share, now)
        sent.append((now, amount * share))
    for end, _ in sent:
        assert sum(amount for at, amount in sent if end - 60 <= at <= end) <= limit + 1e-6


@given(limit=st.integers(40, 120), steps=STEPS)
def test_who_waits_waits_no_longer_than_until_something_comes_back(
    limit: int, steps: list[tuple[float, int, float]]
) -> None:
    bucket, now = Bucket(limit), 0.0
    for pause, amount, _ in steps:
        now += pause
        wait = bucket.wait(amount, now)
        assert 0.0 <= wait <= RETURN_SECONDS + 1e-9
        if wait > 0.01:
            assert bucket.wait(amount, now + wait - 0.005) > 0.0, "it could not have gone sooner"
        assert bucket.wait(amount, now + wait) == 0.0
        now += wait
        bucket.take(amount, now)


def test_without_a_limit_nothing_is_counted() -> None:
    bucket = Bucket(None)
    for _ in range(1000):
        bucket.correct(bucket.take(10**9, 0.0), 5, 0.0)
    assert bucket.wait(10**12, 0.0) == 0.0


def test_what_is_larger_than_the_bucket_waits_for_a_full_one_and_is_paid_for() -> None:
    bucket = Bucket(100)
    bucket.take(1, 0.0)
    assert bucket.wait(250, 0.0) == RETURN_SECONDS
    bucket.take(250, RETURN_SECONDS)
    assert bucket.wait(1, RETURN_SECONDS) == RETURN_SECONDS


def test_what_was_not_needed_is_there_at_once_and_what_was_needed_more_is_missing() -> None:
    bucket = Bucket(100)
    taken = bucket.take(100, 0.0)
    bucket.correct(taken, 30, 1.0)
    assert bucket.wait(70, 1.0) == 0.0
    bucket.correct(taken, 130, 1.0)
    assert bucket.wait(1, 1.0) == RETURN_SECONDS - 1
    bucket.correct(taken, 500, RETURN_SECONDS + 1)
    assert bucket.wait(100, RETURN_SECONDS + 1) == 0.0, "a minute later it is forgotten"


def test_no_rounding_error_builds_up() -> None:
    bucket, now = Bucket(1.0), 0.0
    for _ in range(10_000):
        bucket.correct(bucket.take(0.1, now), 0.1 / 3, now)
        now += 7.0
    now += 2 * RETURN_SECONDS
    assert bucket.wait(1.0, now) == pytest.approx(0.0)
