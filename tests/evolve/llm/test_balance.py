"""The laws of balancing: rollouts stay, nobody calls the dead, homes are spread, and few move when a fleet changes."""

from __future__ import annotations

import math
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from evolve.llm.balance import SPREAD, Member, Seat, choose, crowded, ranked

NAMES = ["a", "b", "c", "d", "e", "f"]

keys = st.text(min_size=1, max_size=12)
numbers = st.integers(0, 60)
fleets = st.lists(
    st.builds(Member, st.sampled_from(NAMES), st.booleans(), numbers, numbers, numbers),
    min_size=1,
    max_size=6,
    unique_by=lambda member: member.name,
)
seats = st.none() | st.builds(Seat, st.sampled_from(NAMES), st.sampled_from(NAMES))
avoided = st.sets(st.sampled_from(NAMES), max_size=2)


def load_of(fleet: list[Member], name: str) -> int:
    return next(member.load for member in fleet if member.name == name)


@given(keys, seats, fleets, avoided)
def test_a_call_goes_to_a_replica_that_takes_calls_and_to_none_only_if_none_does(
    key: str, seat: Seat | None, fleet: list[Member], avoid: set[str]
) -> None:
    choice = choose(key, seat, fleet, avoid)
    takes = {member.name for member in fleet if member.ready} - avoid
    assert (choice is None) == (not takes)
    assert choice is None or choice.seat.place in takes


@given(keys, seats, fleets, avoided)
def test_a_rollout_never_moves_without_the_reason_it_gives(
    key: str, seat: Seat | None, fleet: list[Member], avoid: set[str]
) -> None:
    choice = choose(key, seat, fleet, avoid)
    if choice is None:
        return
    takes = {member.name for member in fleet if member.ready} - avoid
    least = min(load_of(fleet, name) for name in takes)
    if choice.why == "new":
        assert seat is None and choice.seat.home == choice.seat.place
    elif choice.why == "stays":
        assert seat is not None and choice.seat.place == seat.place
    elif choice.why == "moved":
        assert seat is not None and seat.place not in takes
    elif choice.why == "spilled":
        left = choice.seat.home if seat is None else seat.place
        assert crowded(load_of(fleet, left), least) and load_of(fleet, choice.seat.place) == least
    else:
        assert seat is not None and seat.place != seat.home == choice.seat.place
        assert load_of(fleet, seat.home) <= load_of(fleet, seat.place)


@given(keys, seats, fleets)
def test_nothing_changes_for_a_rollout_while_nothing_changes_in_the_fleet(
    key: str, seat: Seat | None, fleet: list[Member]
) -> None:
    """No going to and fro: what was chosen a moment ago is chosen again, but for one step home."""
    first = choose(key, seat, fleet)
    if first is None:
        return
    second = choose(key, first.seat, fleet)
    assert second is not None
    third = choose(key, second.seat, fleet)
    assert third is not None and third.seat == second.seat


@given(keys, fleets, st.data())
def test_a_home_is_remembered_while_it_is_of_the_fleet(key: str, fleet: list[Member], data: st.DataObject) -> None:
    members = [member.name for member in fleet]
    seat = Seat(data.draw(st.sampled_from(members)), data.draw(st.sampled_from(members)))
    choice = choose(key, seat, fleet)
    assert choice is None or choice.seat.home == seat.home


def settled(names: list[str], rollouts: int) -> dict[str, str]:
    """Where each of so many rollouts finds its home, one after the other."""
    living: Counter[str] = Counter()
    homes: dict[str, str] = {}
    for number in range(rollouts):
        choice = choose(f"evaluation-{number}", None, [Member(name, rollouts=living[name]) for name in names])
        assert choice is not None
        homes[f"evaluation-{number}"] = choice.seat.home
        living[choice.seat.home] += 1
    return homes


@given(st.lists(st.text(min_size=1, max_size=9), min_size=1, max_size=9, unique=True), st.integers(0, 120))
def test_homes_are_spread_within_the_bound(names: list[str], rollouts: int) -> None:
    count = Counter(settled(names, rollouts).values())
    assert max(count.values(), default=0) <= math.ceil(SPREAD * rollouts / len(names))


@given(keys, st.lists(st.text(min_size=1, max_size=9), min_size=2, max_size=9, unique=True))
def test_of_an_added_replica_only_its_own_rollouts_know(key: str, names: list[str]) -> None:
    """Rendezvous hashing: the order of the others is the same without it, so losing it moves only its own too."""
    added, before = names[0], names[1:]
    assert [name for name in ranked(key, names) if name != added] == ranked(key, before)


def test_adding_one_replica_of_four_moves_about_a_quarter() -> None:
    preferred = {f"evaluation-{number}": ranked(f"evaluation-{number}", "abc")[0] for number in range(2000)}
    moved = sum(ranked(key, "abcd")[0] != home for key, home in preferred.items())
    assert 400 < moved < 600


def test_a_rollout_spills_and_comes_home_with_a_gap_between() -> None:
    home = settled(["a", "b"], 1)["evaluation-0"]
    other = "b" if home == "a" else "a"

    def at(seat: Seat | None, load_home: int, load_other: int) -> tuple[str, str]:
        fleet = [Member(home, calls=load_home), Member(other, calls=load_other)]
        choice = choose("evaluation-0", seat, fleet)
        assert choice is not None
        return choice.seat.place, choice.why

    assert at(None, 0, 0) == (home, "new")
    assert at(Seat(home, home), 8, 2) == (home, "stays")
    assert at(Seat(home, home), 9, 2) == (other, "spilled")
    assert at(Seat(home, other), 9, 2) == (other, "stays")
    assert at(Seat(home, other), 4, 3) == (other, "stays")
    assert at(Seat(home, other), 3, 3) == (home, "returned")


def test_the_rollouts_of_a_lost_replica_are_spread_over_the_others() -> None:
    homes = settled(list("abcd"), 200)
    living = Counter(home for home in homes.values() if home != "a")
    before = max(living.values())
    for key in [key for key, home in homes.items() if home == "a"]:
        fleet = [Member(name, ready=name != "a", rollouts=living[name]) for name in "abcd"]
        choice = choose(key, Seat("a", "a"), fleet)
        assert choice is not None and choice.why == "moved" and choice.seat.home == "a"
        living[choice.seat.place] += 1
    assert max(living.values()) <= max(before, math.ceil(SPREAD * 200 / 3))
