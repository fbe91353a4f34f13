"""Which of several replicas answers a rollout's next call. Pure: what is known goes in, a choice comes out.

Agents send their whole history with every call, and a replica that has read it before need not read it again (prefix
cache). So a rollout has a home and stays there; it moves only for a reason, and each move has a name.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Literal

CROWDED_FACTOR = 2.0
CROWDED_SLACK = 4
"""A rollout leaves a replica whose load exceeds `CROWDED_FACTOR * least + CROWDED_SLACK`, `least` being the load of the
least loaded one. The slack: a move costs the reading of a whole history anew, and a few calls ahead cost less in a
server that works on many at once. The factor: with some ten rollouts a replica, loads differ by half through chance
alone (their spread is about the square root of their mean), and chance is no reason to move."""
SPREAD = 1.25
"""No replica becomes the home of more than `SPREAD` times its share of the rollouts: consistent hashing with bounded
loads (Mirrokni, Thorup and Zadimoghaddam, 2018), whose authors recommend about this factor."""

Why = Literal["new", "stays", "spilled", "returned", "moved"]
"""`spilled`: its replica is crowded; `returned`: its home is not crowded any more, or is ready again; `moved`: its
replica takes no calls now, or has left the fleet."""


@dataclass(frozen=True, slots=True)
class Member:
    """What is known of one replica at this moment."""

    name: str
    """Stays the same when the replica is restarted at another address."""
    ready: bool = True
    """Whether it takes calls: it runs, is not draining, and has not just failed."""
    calls: int = 0
    """Our own calls under way there."""
    waiting: int = 0
    """Calls in its queue by its own word, whoever sent them."""
    rollouts: int = 0
    """Rollouts that live there now."""

    @property
    def load(self) -> int:
        """Calls under way, with those of ours that wait in the queue counted twice: a queue is what costs time."""
        return self.calls + self.waiting


@dataclass(frozen=True, slots=True)
class Seat:
    """Where a rollout belongs and where it is: different while it is spilled or its home takes no calls."""

    home: str
    place: str


@dataclass(frozen=True, slots=True)
class Choice:
    """Where a rollout's next call goes, and why there."""

    seat: Seat
    why: Why


def choose(key: str, seat: Seat | None, members: Sequence[Member], avoid: Collection[str] = ()) -> Choice | None:
    """The replica for the next call of the rollout `key`; None if no replica takes calls.

    It leaves its place if that takes no calls or is crowded, and comes back as soon as its home takes calls and is no
    busier than the place where it is. Between both lies a wide gap (see `CROWDED_FACTOR`), so nobody goes to and fro.

    Args:
        seat: where its last call went; None for its first.
        avoid: names of replicas that this very call has tried already.
    """
    ready = {member.name: member for member in members if member.ready and member.name not in avoid}
    if not ready:
        return None
    if seat is None:
        home = _settle(key, list(ready.values()))
        return _unless_crowded(key, Seat(home, home), ready, "new")
    if seat.place not in ready:
        return Choice(_rehoused(key, seat, members, ready), "moved")
    if all(member.name != seat.home for member in members):
        seat = Seat(seat.place, seat.place)
    home_now = ready.get(seat.home)
    if home_now is not None and seat.place != seat.home and home_now.load <= ready[seat.place].load:
        return Choice(Seat(seat.home, seat.home), "returned")
    return _unless_crowded(key, seat, ready, "stays")


def crowded(load: int, least: int) -> bool:
    """Whether a replica with so much load is to be left for one with `least`."""
    return load > CROWDED_FACTOR * least + CROWDED_SLACK


def ranked(key: str, names: Collection[str]) -> list[str]:
    """The replicas in the order in which a rollout prefers them (rendezvous hashing).

    A replica that is added takes over only the rollouts that prefer it, and of one that is lost only its own move.
    """
    return sorted(names, key=lambda name: blake2b(f"{key}\0{name}".encode(), digest_size=8).digest())


def _settle(key: str, ready: Sequence[Member]) -> str:
    """A home: the first in the rollout's order that has not its share of rollouts already."""
    share = math.ceil(SPREAD * (sum(member.rollouts for member in ready) + 1) / len(ready))
    full = {member.name for member in ready if member.rollouts >= share}
    return next(name for name in ranked(key, [member.name for member in ready]) if name not in full)


def _rehoused(key: str, seat: Seat, members: Sequence[Member], ready: dict[str, Member]) -> Seat:
    """Where a rollout goes whose place takes no calls. It keeps a home that is still of the fleet, to come back to."""
    if seat.home in ready:
        return Seat(seat.home, seat.home)
    place = _settle(key, list(ready.values()))
    kept = any(member.name == seat.home for member in members)
    return Seat(seat.home if kept else place, place)


def _unless_crowded(key: str, seat: Seat, ready: dict[str, Member], why: Why) -> Choice:
    least = min(member.load for member in ready.values())
    if not crowded(ready[seat.place].load, least):
        return Choice(seat, why)
    idlest = ranked(key, [name for name, member in ready.items() if member.load == least])[0]
    return Choice(Seat(seat.home, idlest), "spilled")
