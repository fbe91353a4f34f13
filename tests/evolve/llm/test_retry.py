"""Retries: full jitter, the provider's own wish, the deadline, and only for what may pass."""

from __future__ import annotations

import asyncio
import random
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolve.llm import ModelError, Retry


def busy(retry_after: float | None = None) -> ModelError:
    return ModelError("busy", kind="unavailable", status=429, retry_after=retry_after)


class Trial:
    """An attempt that fails with the given errors first, and remembers the pauses between."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.tries = 0
        self.slept: list[float] = []
        self.told: list[tuple[str, float]] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    async def attempt(self) -> str:
        self.tries += 1
        if self.errors:
            raise self.errors.pop(0)
        return "answer"

    def run(self, **policy: float) -> str:
        retry = Retry(sleep=self.sleep, rng=random.Random(0), **policy)  # type: ignore[arg-type]
        return asyncio.run(retry.call(self.attempt, lambda error, pause: self.told.append((str(error), pause))))


def test_what_may_pass_is_tried_again_and_every_retry_is_told() -> None:
    trial = Trial(busy(), busy(), busy())
    assert trial.run() == "answer"
    assert trial.tries == 4
    assert [pause for _, pause in trial.told] == trial.slept
    assert all(pause <= bound for pause, bound in zip(trial.slept, (1, 2, 4), strict=True))


def test_who_gives_up_gets_the_last_failure_at_once() -> None:
    async def attempt() -> str:
        raise busy(retry_after=100)

    async def main() -> tuple[list[str], float]:
        given_up, told = asyncio.Event(), []
        call = asyncio.create_task(Retry().call(attempt, lambda error, pause: told.append(str(error)), given_up))
        while not told:
            await asyncio.sleep(0)
        began = time.monotonic()
        given_up.set()
        for each in (call, Retry().call(attempt, lambda error, pause: told.append("again"), given_up)):
            with pytest.raises(ModelError, match="busy"):
                await each
        return told, time.monotonic() - began

    told, seconds = asyncio.run(main())
    assert told == ["busy"], "after giving up nothing is tried again"
    assert seconds < 10


@pytest.mark.parametrize("kind", ["refused", "context_length"])
def test_what_cannot_pass_is_tried_once(kind: str) -> None:
    trial = Trial(ModelError("no", kind=kind))  # type: ignore[arg-type]
    with pytest.raises(ModelError, match="no"):
        trial.run()
    assert (trial.tries, trial.slept) == (1, [])


def test_the_last_error_comes_out_when_no_try_is_left() -> None:
    trial = Trial(busy(), busy(), ModelError("still", kind="unavailable"))
    with pytest.raises(ModelError, match="still"):
        trial.run(attempts=3)
    assert trial.tries == 3


def test_never_sooner_than_the_provider_asked_for() -> None:
    trial = Trial(busy(retry_after=7.0))
    trial.run()
    assert 7.0 <= trial.slept[0] <= 8.0


def test_a_wait_beyond_the_deadline_is_not_begun() -> None:
    trial = Trial(busy(retry_after=3600.0))
    with pytest.raises(ModelError, match="busy"):
        trial.run(deadline=60.0)
    assert trial.slept == []


def test_the_deadline_ends_a_try_that_hangs() -> None:
    async def hang() -> str:
        await asyncio.sleep(60)
        return "late"

    began = time.monotonic()
    with pytest.raises(ModelError, match=r"within the 0\.05 s") as caught:
        asyncio.run(Retry(deadline=0.05).call(hang, lambda error, pause: None))
    assert caught.value.kind == "unavailable"
    assert time.monotonic() - began < 5


@given(number=st.integers(1, 60), seed=st.integers(), after=st.none() | st.floats(0, 1e6))
def test_a_pause_is_jitter_under_the_ceiling_on_top_of_the_wish(number: int, seed: int, after: float | None) -> None:
    pause = Retry(rng=random.Random(seed)).pause(number, after)
    assert (after or 0.0) <= pause <= (after or 0.0) + min(60.0, 2.0 ** (number - 1))
