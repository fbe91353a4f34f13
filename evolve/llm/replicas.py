"""One model served by several replicas, as one provider: a rollout stays at its replica, and no dead one is waited for.

A call that its replica loses is sent to one other at once: that is no retry, for nothing says that the service is in
trouble. What two replicas lose goes back to the gateway, which waits before it tries again.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from itertools import count

from evolve.llm.balance import Member
from evolve.llm.base import Completion, Json, ModelError, Provider, Scope
from evolve.llm.capacity import Capacity, Pressure, first, step
from evolve.llm.replica import Replica
from evolve.llm.roster import Endpoint, Roster
from evolve.llm.seats import Seats

LOOK_SECONDS = 5.0
"""Between two looks at the replicas' own figures."""
LOOK_AGAIN = 12
"""A replica that tells no figures is asked for them at every so manieth look only."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How one replica does, for people."""

    name: str
    why: str
    """Why it takes no calls; empty if it does."""
    calls: int
    """Ours, under way there."""
    running: int | None
    waiting: int | None
    kv_use: float | None


class Replicas:
    """A `Provider`. Belongs to the gateway's event loop; `moves`, `reason` and `standings` are for any thread."""

    def __init__(self, name: str, roster: Roster, connect: Callable[[Endpoint], Provider]) -> None:
        """
        Args:
            roster: where the replicas are.
            connect: makes the provider for one of them, which is closed when that has left.
        """
        self.name = name
        self.look_seconds = LOOK_SECONDS
        self.failovers = 0
        """Calls that one replica lost and another was asked at once."""
        self.seats = Seats()
        self._roster = roster
        self._connect = connect
        self._most: int | None = None
        self._capacity: Capacity | None = None
        self._tells: bool | None = None
        """Whether the replicas tell figures; None: not known yet."""
        self._read: object = None
        self._replicas: dict[str, Replica] = {}
        self._left: set[Replica] = set()
        self._watch: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()

    async def complete(self, request: Json, scope: Scope) -> Completion:
        """See `Provider.complete`. Raises: `ModelError`."""
        self._refresh()
        self._keep_watch()
        request = {**request, "model": self._roster.model(request["model"])}
        replica = self._choose(scope.key)
        try:
            return await self._ask(replica, request, scope)
        except ModelError as error:
            if not self._lost(replica, error) or not self._others(replica):
                raise
        self.failovers += 1
        other = self._choose(scope.key, avoid=(replica.name,))
        try:
            return await self._ask(other, request, scope)
        except ModelError as error:
            self._lost(other, error)
            raise

    async def close(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)
            self._watch = None
        for replica in (*self._replicas.values(), *self._left):
            await replica.close()
        self._replicas, self._left, self._read = {}, set(), None

    def pace(self, most: int) -> None:
        """From now on find out how many moves at once the replicas can serve, `most` at most."""
        self._most = most

    def moves(self) -> int | None:
        """How many moves may be under way; None: no figures to tell it by, or nobody asked to find out (`pace`)."""
        if self._most is None or self._tells is False:
            return None
        return (self._capacity or first(len(self._replicas) or 1, self._most)).moves

    def reason(self) -> str | None:
        """Why so many moves, in a few words; None: no figures to tell it by."""
        return self._capacity.reason if self._capacity is not None else None

    def standings(self) -> tuple[Standing, ...]:
        """How each replica does now; none before the first call."""
        return tuple(_standing(replica) for replica in tuple(self._replicas.values()))

    def _choose(self, key: str, avoid: Collection[str] = ()) -> Replica:
        """The replica for a rollout's next call, which `_ask` must follow. Raises: `ModelError` if there is none.

        Where none takes calls, those are tried that only seem out of order: whether they are, a call tells best.
        """
        now, living = time.monotonic(), self.seats.living
        members = [
            Member(name, replica.ready(now), replica.calls, replica.waiting, living[name])
            for name, replica in self._replicas.items()
        ]
        if not any(member.ready and member.name not in avoid for member in members):
            members = [Member(name, replica.endpoint.ready) for name, replica in self._replicas.items()]
        choice = self.seats.take(key, members, now, avoid)
        if choice is None:
            states = "; ".join(f"{replica.name}: {replica.why(now)}" for replica in self._replicas.values())
            raise ModelError(f"{self.name}: no replica is ready ({states})", kind="unavailable", status=503)
        return self._replicas[choice.seat.place]

    async def _ask(self, replica: Replica, request: Json, scope: Scope) -> Completion:
        try:
            completion = await replica.complete(request, scope)
        finally:
            self.seats.leave(scope.key, time.monotonic())
        if len(self._replicas) == 1:
            return completion
        return Completion(completion.body, completion.usage, replica.name)

    def _lost(self, replica: Replica, error: ModelError) -> bool:
        """Whether an error means that the replica is not in service; it is looked at anew then."""
        if not replica.lost(error, time.monotonic()):
            return False
        self._wake.set()
        with suppress(ModelError):
            self._refresh()
        return True

    def _others(self, replica: Replica) -> bool:
        """Whether another replica takes calls."""
        now = time.monotonic()
        return any(each.name != replica.name and each.ready(now) for each in self._replicas.values())

    def _refresh(self) -> None:
        """Follow the roster. Raises: `ModelError` if it cannot be read."""
        endpoints = self._roster.read()
        if endpoints is self._read:
            return
        known, self._replicas = self._replicas, {}
        for endpoint in endpoints:
            replica = known.get(endpoint.name)
            if replica is None or replica.endpoint.address != endpoint.address:
                replica = Replica(endpoint, self._connect(endpoint))
            else:
                replica.endpoint = endpoint
                del known[endpoint.name]
            self._replicas[endpoint.name] = replica
            if endpoint.gone:
                replica.abandon()
        for replica in known.values():
            replica.abandon()
            self._left.add(replica)
        self._read = endpoints

    def _keep_watch(self) -> None:
        """Look at the replicas from the first call on."""
        if self._watch is None:
            self._watch = asyncio.create_task(self._look_on(), name=f"clade-replicas-{self.name}")
        elif self._watch.done():
            self._watch.result()  # a fault of ours, which must not go by in silence

    async def _look_on(self) -> None:
        clock, stepped = time.monotonic, -math.inf
        for number in count():
            self._wake.clear()
            with suppress(ModelError):
                self._refresh()
            await asyncio.gather(*(replica.look() for replica in self._replicas.values() if _due(replica, number)))
            for replica in self._replicas.values():
                if replica.hung and self._others(replica):
                    replica.abandon()
            for replica in [replica for replica in self._left if not replica.calls]:
                self._left.discard(replica)
                await replica.close()
            if clock() - stepped >= self.look_seconds * 0.9:
                stepped = clock()
                self._adapt(stepped)
            with suppress(TimeoutError):
                async with asyncio.timeout(self.look_seconds):
                    await self._wake.wait()

    def _adapt(self, now: float) -> None:
        """One step of the capacity, after a look at all replicas."""
        told = [(replica, replica.reading) for replica in self._replicas.values() if replica.reading is not None]
        if told:
            self._tells = True
        elif self._tells is None and any(replica.connected for replica in self._replicas.values()):
            self._tells = False
        if self._most is None or not self._tells:
            return
        ready = [(replica, reading) for replica, reading in told if replica.ready(now)]
        pressure = Pressure(
            replicas=len(ready),
            running=sum(reading.running or 0 for _, reading in ready),
            waiting=sum(reading.waiting or 0 for _, reading in ready),
            memory=max((reading.kv_use or 0.0 for _, reading in ready), default=0.0),
            preempted=sum(replica.preempted() for replica, _ in ready),
            rollouts=self.seats.active(now),
        )
        self._capacity = step(self._capacity or first(len(self._replicas), self._most), pressure, self._most)


def _due(replica: Replica, number: int) -> bool:
    """Whether a replica is to be looked at in this round."""
    return replica.endpoint.ready and (replica.reading is not None or not replica.connected or number % LOOK_AGAIN == 0)


def _standing(replica: Replica) -> Standing:
    seen = replica.reading
    return Standing(
        replica.name,
        replica.why(time.monotonic()),
        replica.calls,
        None if seen is None else seen.running,
        None if seen is None else seen.waiting,
        None if seen is None else seen.kv_use,
    )
