"""The memory of where each rollout sits, and how often one moved and why. Belongs to the gateway's event loop."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from evolve.llm.balance import Choice, Member, Seat, Why, choose

FORGET_SECONDS = 900.0
"""A rollout that has not called for so long has ended; should it call again, it finds its way by its hash."""
ACTIVE_SECONDS = 60.0
ACTIVE_GAPS = 4.0
"""A rollout that called so recently is at work, running a command between two calls: within so many times the mean gap
between two calls of a rollout (of exponential gaps 98 % are shorter), and `ACTIVE_SECONDS` at most."""


@dataclass(slots=True)
class _Sitter:
    seat: Seat
    calls: int = 0
    last: float = 0.0


class Seats:
    """Rollouts and their replicas. Times are seconds of any one clock."""

    def __init__(self) -> None:
        self.moves: Counter[Why] = Counter()
        """How the calls found their replica, by reason."""
        self._sitters: dict[str, _Sitter] = {}
        """The one that called longest ago comes first."""
        self.living: Counter[str] = Counter()
        """Rollouts by replica."""
        self._gap: float | None = None
        """Mean of the last twenty or so gaps between two calls of a rollout."""

    def take(self, key: str, members: Sequence[Member], now: float, avoid: Collection[str] = ()) -> Choice | None:
        """Choose where the next call of a rollout goes, and remember it; to be followed by `leave` after the call.

        Each of the `members` is told how many of the rollouts here live there (`living`).
        """
        self._forget(now)
        sitter = self._sitters.pop(key, None)
        choice = choose(key, sitter.seat if sitter else None, members, avoid)
        if choice is None:
            if sitter is not None:
                self._sitters[key] = sitter
            return None
        if sitter is not None:
            self.living[sitter.seat.place] -= 1
            self._learn(sitter, now)
        self.living[choice.seat.place] += 1
        self.moves[choice.why] += 1
        self._sitters[key] = _Sitter(choice.seat, (sitter.calls if sitter else 0) + 1, now)
        return choice

    def leave(self, key: str, now: float) -> None:
        """The call that followed `take` is over."""
        sitter = self._sitters.pop(key)
        sitter.calls -= 1
        sitter.last = now
        self._sitters[key] = sitter

    def __len__(self) -> int:
        """Rollouts that are remembered."""
        return len(self._sitters)

    def active(self, now: float) -> int:
        """Rollouts with a call under way, or with one a moment ago."""
        recent = ACTIVE_SECONDS if self._gap is None else min(ACTIVE_SECONDS, ACTIVE_GAPS * self._gap)
        return sum(1 for each in self._sitters.values() if each.calls or now - each.last < recent)

    def _learn(self, sitter: _Sitter, now: float) -> None:
        if not sitter.calls:
            gap = now - sitter.last
            self._gap = gap if self._gap is None else 0.95 * self._gap + 0.05 * gap

    def _forget(self, now: float) -> None:
        while self._sitters:
            key, sitter = next(iter(self._sitters.items()))
            if sitter.calls or now - sitter.last < FORGET_SECONDS:
                return
            del self._sitters[key]
            self.living[sitter.seat.place] -= 1
