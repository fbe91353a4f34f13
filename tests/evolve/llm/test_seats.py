"""The memory of where rollouts sit: counted, forgotten in time, and who is at work."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from evolve.llm.balance import Member
from evolve.llm.seats import ACTIVE_SECONDS, FORGET_SECONDS, Seats

FLEET = [Member("a"), Member("b"), Member("c")]


def test_a_rollout_is_forgotten_when_it_has_ended() -> None:
    seats = Seats()
    for number in range(100):
        assert seats.take(f"evaluation-{number}", FLEET, float(number)) is not None
        seats.leave(f"evaluation-{number}", float(number))
    assert len(seats) == 100
    seats.take("evaluation-100", FLEET, 50 + FORGET_SECONDS)
    assert len(seats) == 50


def test_a_call_under_way_is_not_forgotten() -> None:
    seats = Seats()
    seats.take("evaluation-1", FLEET, 0.0)
    seats.take("evaluation-2", FLEET, 2 * FORGET_SECONDS)
    assert len(seats) == 2
    seats.leave("evaluation-1", 2 * FORGET_SECONDS)


def test_who_is_at_work() -> None:
    seats = Seats()
    seats.take("evaluation-1", FLEET, 0.0)
    assert seats.active(1000.0) == 1
    seats.leave("evaluation-1", 1000.0)
    assert seats.active(1000.0 + ACTIVE_SECONDS / 2) == 1
    assert seats.active(1000.0 + ACTIVE_SECONDS) == 0


def test_with_short_pauses_between_calls_a_rollout_has_ended_sooner() -> None:
    seats = Seats()
    for number in range(10):
        seats.take("evaluation-1", FLEET, float(number))
        seats.leave("evaluation-1", number + 0.5)
    assert seats.active(9.5 + 1.9) == 1  # the pauses took half a second
    assert seats.active(9.5 + 2.1) == 0


def test_no_replica_no_seat() -> None:
    seats = Seats()
    assert seats.take("evaluation-1", [Member("a", ready=False)], 0.0) is None
    seats.take("evaluation-1", FLEET, 1.0)
    assert seats.take("evaluation-1", FLEET, 2.0, avoid=["a", "b", "c"]) is None
    assert len(seats) == 1


@given(st.lists(st.tuples(st.integers(0, 12), st.sets(st.sampled_from("abc"), max_size=2)), max_size=80))
def test_the_counts_are_those_of_the_seats(calls: list[tuple[int, set[str]]]) -> None:
    """Each rollout is counted where it called last, whatever happened to the replicas on the way."""
    seats, places = Seats(), {}
    for now, (number, dead) in enumerate(calls):
        fleet = [Member(name, name not in dead, rollouts=seats.living[name]) for name in "abc"]
        choice = seats.take(f"evaluation-{number}", fleet, float(now))
        assert choice is not None
        places[number] = choice.seat.place
        seats.leave(f"evaluation-{number}", float(now))
    assert +seats.living == Counter(places.values())
    assert sum(seats.moves.values()) == len(calls)
