"""How many moves at once the models can serve: raised slowly while nothing waits, lowered at once when something does.

Additive increase, multiplicative decrease (Chiu and Jain, 1989), as TCP finds out what a network carries: a fleet does
not say how much it can serve, and that changes with the length of the histories. Pure functions.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

FIRST = 2
"""Moves for each replica at the beginning; doubled with every step until something waits ("slow start")."""
HIGH_MEMORY = 0.95
"""Share of the KV cache in use beyond which a server soon has to throw running calls out and do them again."""
LOW_MEMORY = 0.8
"""Below this there is room for more."""
QUEUE = 0.1
"""Calls that wait for each that runs, above which they are too many: a server with a short queue is never idle."""
LARGEST_CUT = 0.5
MEMORY_CUT = 0.75


@dataclass(frozen=True, slots=True)
class Pressure:
    """What a service's own figures say, all its replicas together, over one step."""

    replicas: int
    """Replicas that take calls."""
    running: int
    """Calls that are being worked on."""
    waiting: int
    memory: float
    """Share of the KV cache in use, at the replica where it is largest."""
    preempted: int
    """Calls thrown out of a full KV cache since the last step."""
    rollouts: int
    """Rollouts of ours that use the service now."""


@dataclass(frozen=True, slots=True)
class Capacity:
    """How many moves may be under way, and why so many."""

    moves: int
    reason: str
    probing: bool = True
    """Nothing was ever too much yet."""


def first(replicas: int, most: int) -> Capacity:
    """Before anything is known."""
    return Capacity(max(1, min(most, FIRST * replicas)), "to begin with")


def step(now: Capacity, seen: Pressure, most: int) -> Capacity:
    """The capacity after a look at the service; never below 1 nor above `most`.

    Too many calls wait: cut to the share that runs, by half at most. Preemptions, or a KV cache above `HIGH_MEMORY`:
    cut by a quarter. A cut starts from the rollouts there are, if these are fewer. And it takes effect only as moves
    end; until then nothing is cut again. One more for each replica if nothing waits and memory is low.
    """
    if seen.replicas == 0:
        return replace(now, reason="no replica is ready")
    found = _too_much(seen)
    if found is not None:
        kept, why = found
        if seen.rollouts > now.moves:
            return replace(now, reason=f"{why}; moves under way have to end first", probing=False)
        moves = max(1, int(kept * min(now.moves, max(1, seen.rollouts))))
        return Capacity(min(moves, most), why, probing=False)
    if now.moves >= most:
        return replace(now, moves=most, reason="all workers can be served")
    if seen.waiting or seen.memory > LOW_MEMORY:
        why = _waits(seen) if seen.waiting else f"{seen.memory:.0%} of the KV cache is in use"
        return replace(now, reason=f"{why}: no room for more")
    more = now.moves if now.probing and 2 * seen.rollouts >= now.moves else seen.replicas
    return replace(now, moves=min(most, now.moves + more), reason="nothing waits")


def _too_much(seen: Pressure) -> tuple[float, str] | None:
    """The share to keep and the reason, if the service has more to do than is good."""
    kept, why = 1.0, ""
    if seen.waiting > max(1, QUEUE * seen.running):
        kept = max(LARGEST_CUT, seen.running / (seen.running + seen.waiting))
        why = f"{_waits(seen)} while {seen.running} run"
    if seen.preempted or seen.memory > HIGH_MEMORY:
        full = f"calls were thrown out of the full KV cache ({seen.preempted})"
        why = full if seen.preempted else f"{seen.memory:.0%} of the KV cache is in use"
        kept = min(kept, MEMORY_CUT)
    return (kept, why) if why else None


def _waits(seen: Pressure) -> str:
    return "1 call waits" if seen.waiting == 1 else f"{seen.waiting} calls wait"
