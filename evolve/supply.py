"""What the loop knows of the models' side of the house: what was spent, what is left, and what can be served now."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from archive import Bill
from evolve.llm import Outage


def _nothing() -> None:
    return None


@dataclass(frozen=True, slots=True)
class Supply:
    """Questions that the loop asks again and again; each answer comes at once, from memory."""

    spent: Callable[[], Bill]
    """What the models cost by the ledger, which also knows of calls that died with their process."""
    no_room: Callable[[], str | None] = _nothing
    """Why what is left of the budget is too little for a call."""
    outages: Callable[[], tuple[Outage, ...]] = tuple
    """Services that do not answer now: no move starts until they do."""
    crowded: Callable[[], bool] = bool
    """Whether the moves under way are kept waiting by a service's limits: no further one starts beside them."""
    refusal: Callable[[], str | None] = _nothing
    """Why no further call can succeed until a person mends something (a wrong key, a missing recording)."""
    capacity: Callable[[], int | None] = _nothing
    """Moves that the models can serve at once; None: as many as there are workers."""
