"""One service's entrance, in virtual time: limits held, turns kept, places given back, nobody forgotten."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evolve.llm import Limits, ModelError
from evolve.llm.lane import GAP_SECONDS, Lane

Virtual = Callable[..., Any]


def lane(loop: Any, *, seed: int = 0, **limits: float) -> Lane:
    return Lane("mine", Limits(**limits), loop.time, random.Random(seed))  # type: ignore[arg-type]


@dataclass(frozen=True)
class Visit:
    """What one caller does."""

    arrives: float
    whose: str
    tokens: int
    needs: float
    """Share of the tokens."""
    stays: float
    patience: float
    """Seconds after which it is cancelled, wherever it is by then."""


VISITS = st.lists(
    st.builds(
        Visit,
        st.floats(0, 100),
        st.sampled_from("abc"),
        st.integers(1, 100),
        st.floats(0, 1),
        st.floats(0, 30),
        st.floats(1, 200) | st.just(1e6),
    ),
    max_size=25,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(visits=VISITS, requests=st.integers(1, 8), tokens=st.integers(100, 300), concurrent=st.integers(1, 4))
def test_limits_hold_and_nobody_is_forgotten(
    virtual: Virtual, visits: list[Visit], requests: int, tokens: int, concurrent: int
) -> None:
    """The loop itself fails if everybody waits for ever."""
    sent: list[tuple[float, float]] = []
    inside = most = 0

    async def visit(loop: Any, entrance: Lane, about: Visit) -> None:
        nonlocal inside, most
        await asyncio.sleep(about.arrives)
        passed = await entrance.enter(about.tokens, about.whose)
        sent.append((loop.time(), about.tokens * about.needs))
        inside += 1
        most = max(most, inside)
        try:
            await asyncio.sleep(about.stays)
        finally:
            inside -= 1
            entrance.leave(passed, int(about.tokens * about.needs))

    async def main(loop: Any) -> Lane:
        entrance = lane(loop, requests_per_minute=requests, tokens_per_minute=tokens, concurrent=concurrent)
        tasks = []
        for about in visits:
            task = asyncio.create_task(visit(loop, entrance, about))
            loop.call_later(about.arrives + about.patience, task.cancel)
            tasks.append(task)
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        for about, end in zip(visits, ended, strict=True):
            assert end is None or (isinstance(end, asyncio.CancelledError) and about.patience < 1e6)
        return entrance

    entrance = virtual(main)
    assert entrance.inside == 0 and most <= concurrent
    for end, _ in sent:
        within = [amount for at, amount in sent if end - 60 <= at <= end]
        assert len(within) <= requests
        assert sum(within) <= tokens + 1e-6


def test_who_may_go_at_once_does_not_wait_at_all(virtual: Virtual) -> None:
    async def main(loop: Any) -> float:
        return (await lane(loop).enter(10, "a")).waited

    assert virtual(main) == 0.0


def test_turns_go_round_among_rollouts(virtual: Virtual) -> None:
    """One rollout with many calls does not keep another with one waiting for all of them."""
    order: list[str] = []

    async def visit(entrance: Lane, name: str) -> None:
        passed = await entrance.enter(1, name[0])
        order.append(name)
        await asyncio.sleep(1)
        entrance.leave(passed, 1)

    async def main(loop: Any) -> None:
        entrance = lane(loop, concurrent=1)
        names = ["a0", "a1", "a2", "a3", "a4", "b0", "b1", "c0"]
        await asyncio.gather(*(visit(entrance, name) for name in names))

    virtual(main)
    assert order == ["a0", "a1", "b0", "c0", "a2", "b1", "a3", "a4"]


def test_a_large_call_is_not_overtaken_for_ever(virtual: Virtual) -> None:
    order: list[str] = []

    async def main(loop: Any) -> None:
        entrance = lane(loop, tokens_per_minute=100)

        async def visit(name: str, tokens: int) -> None:
            entrance.leave(await entrance.enter(tokens, name), None)
            order.append(name)

        small = [asyncio.create_task(visit(f"small {number}", 20)) for number in range(5)]
        await asyncio.sleep(1)
        large = asyncio.create_task(visit("large", 100))
        await asyncio.sleep(1)
        later = [asyncio.create_task(visit(f"later {number}", 20)) for number in range(5)]
        await asyncio.gather(*small, large, *later)

    virtual(main)
    assert order.index("large") == 5


def test_a_place_is_given_back_when_its_owner_is_cancelled_at_the_very_moment(virtual: Virtual) -> None:
    async def main(loop: Any) -> Lane:
        entrance = lane(loop, concurrent=1, requests_per_minute=3)
        first = await entrance.enter(1, "a")
        second = asyncio.create_task(entrance.enter(1, "b"))
        third = asyncio.create_task(entrance.enter(1, "c"))
        await asyncio.sleep(0)
        entrance.leave(first, 1)  # the second has its place now, but has not run yet
        second.cancel()
        passed = await third
        assert second.cancelled()
        entrance.leave(passed, 1)
        entrance.leave(await entrance.enter(1, "d"), 1)
        assert loop.time() == 0.0, "what the second took of the minute is back as well"
        return entrance

    assert virtual(main).inside == 0


def test_after_a_pause_nobody_comes_at_the_same_time(virtual: Virtual) -> None:
    async def main(loop: Any) -> list[float]:
        entrance, times = lane(loop), []
        entrance.hold(20)

        async def visit(number: int) -> None:
            entrance.leave(await entrance.enter(1, str(number)), 1)
            times.append(loop.time())

        await asyncio.gather(*(visit(number) for number in range(30)))
        return times

    times = virtual(main)
    assert min(times) >= 20
    assert len(set(times)) == 30
    assert times == sorted(times)
    assert 20 + 29 * GAP_SECONDS / 4 < times[-1] <= 20 + 30 * GAP_SECONDS


def test_a_closed_lane_lets_nobody_through_until_it_opens(virtual: Virtual) -> None:
    async def main(loop: Any) -> None:
        entrance = lane(loop)
        entrance.close("it broke")
        assert entrance.outage is None and entrance.hopeless == "it broke", "suspected, not known"
        waiting = asyncio.create_task(entrance.enter(1, "a"))
        entrance.still_away("it is broken", 8)
        outage = entrance.outage
        assert outage is not None and (outage.reason, outage.next_try) == ("it is broken", 8)
        await asyncio.sleep(100)
        assert not waiting.done()
        entrance.open()
        passed = await waiting
        assert passed.waited == 100 and entrance.outage is None and entrance.hopeless is None
        assert entrance.window.allowed == 1

    virtual(main)


def test_a_long_rest_counts_as_an_outage_until_it_is_over(virtual: Virtual) -> None:
    async def main(loop: Any) -> None:
        entrance = lane(loop)
        entrance.rest(100, "come back later")
        outage = entrance.outage
        assert outage is not None and outage.next_try == 100
        await asyncio.sleep(60)
        entrance.rest(100, "later still")
        again = entrance.outage
        assert again is not None and (again.since, again.next_try) == (outage.since, 100)
        await asyncio.sleep(100)
        assert entrance.outage is None
        assert (await entrance.enter(1, "a")).waited == 0.0

    virtual(main)


def test_who_is_turned_away_is_told_and_leaves_nothing_behind(virtual: Virtual) -> None:
    async def main(loop: Any) -> None:
        entrance = lane(loop)
        entrance.close("it broke")
        waiting = [asyncio.create_task(entrance.enter(1, name)) for name in "ab"]
        await asyncio.sleep(1)
        entrance.turn_away(ModelError("not waited for", kind="unavailable"))
        for each in waiting:
            with pytest.raises(ModelError, match="not waited for"):
                await each
        entrance.open()
        assert (await entrance.enter(1, "c")).waited == 0.0
        assert entrance.inside == 1

    virtual(main)
