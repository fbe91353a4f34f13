"""The steps of the capacity: bounded, raised only where nothing waits, lowered where something does, and settling."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolve.llm.capacity import Capacity, Pressure, first, step

pressures = st.builds(
    Pressure,
    replicas=st.integers(0, 8),
    running=st.integers(0, 500),
    waiting=st.integers(0, 500),
    memory=st.floats(0, 1),
    preempted=st.integers(0, 9),
    rollouts=st.integers(0, 500),
)
capacities = st.builds(Capacity, st.integers(1, 300), st.just(""), st.booleans())


def seen(**more: float) -> Pressure:
    return Pressure(**{"replicas": 1, "running": 4, "waiting": 0, "memory": 0.3, "preempted": 0, "rollouts": 4} | more)  # type: ignore[arg-type]


@given(capacities, pressures, st.integers(1, 300))
def test_never_below_one_nor_above_the_workers(now: Capacity, pressure: Pressure, most: int) -> None:
    now = Capacity(min(now.moves, most), now.reason, now.probing)
    assert 1 <= step(now, pressure, most).moves <= most


@given(capacities, pressures)
def test_it_is_raised_only_while_nothing_waits_and_memory_is_low(now: Capacity, pressure: Pressure) -> None:
    after = step(now, pressure, 10_000)
    if after.moves > now.moves:
        assert not pressure.waiting and not pressure.preempted and pressure.memory <= 0.8 and pressure.replicas
        assert now.probing or after.moves == now.moves + pressure.replicas


@given(capacities, pressures)
def test_a_cut_is_by_half_at_most_of_what_is_there_and_ends_the_slow_start(now: Capacity, pressure: Pressure) -> None:
    after = step(now, pressure, 10_000)
    if after.moves < now.moves:
        assert after.moves >= min(now.moves, max(1, pressure.rollouts)) // 2
        assert not after.probing
        assert pressure.preempted or pressure.memory > 0.95 or pressure.waiting > 1


@pytest.mark.parametrize(
    ("pressure", "moves", "said"),
    [
        (seen(), 9, "nothing waits"),
        (seen(waiting=1), 8, "1 call waits"),
        (seen(memory=0.9), 8, "90% of the KV cache"),
        (seen(waiting=4, rollouts=8), 4, "4 calls wait while 4 run"),
        (seen(waiting=2, running=6, rollouts=8), 6, "2 calls wait while 6"),
        (seen(waiting=90, rollouts=8), 4, "90 calls wait"),
        (seen(memory=0.96, rollouts=8), 6, "96% of the KV cache"),
        (seen(preempted=3, rollouts=8), 6, "thrown out of the full KV cache (3)"),
        (seen(waiting=4, rollouts=4), 2, "4 calls wait"),
        (seen(waiting=4, rollouts=12), 8, "moves under way have to end first"),
        (seen(replicas=0, waiting=4), 8, "no replica is ready"),
        (seen(replicas=3), 11, "nothing waits"),
    ],
)
def test_one_step_from_eight(pressure: Pressure, moves: int, said: str) -> None:
    after = step(Capacity(8, "", probing=False), pressure, 64)
    assert after.moves == moves and said in after.reason


def test_slow_start_doubles_until_something_waits() -> None:
    now, taken = first(2, 64), []
    for rollouts in (4, 8, 16, 32):
        now = step(now, seen(replicas=2, running=rollouts, rollouts=rollouts), 64)
        taken.append(now.moves)
    assert taken == [8, 16, 32, 64]
    assert step(now, seen(rollouts=64), 64) == Capacity(64, "all workers can be served")
    assert step(Capacity(8, ""), seen(rollouts=1), 64).moves == 9


@given(st.integers(1, 40), st.integers(1, 3), st.integers(1, 64))
def test_it_settles_at_what_is_served(served: int, replicas: int, most: int) -> None:
    """A service that works on so many at once, and moves that are always at the model."""
    now, later = first(replicas, most), []
    for number in range(200):
        rollouts = now.moves
        running = min(served, rollouts)
        now = step(now, seen(replicas=replicas, running=running, waiting=rollouts - running, rollouts=rollouts), most)
        if number >= 100:
            later.append(now.moves)
    target = min(served, most)
    room = max(1, served // 10) + replicas
    assert target / 2 <= min(later) and max(later) <= target + room
    assert sum(later) / len(later) >= 0.75 * target
