"""How a move's row is opened and closed: the rules that need no database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TypeVar

from archive.errors import ArchiveError
from archive.history import total
from archive.records import EVALUATION_OUTCOMES, EXPANSION_OUTCOMES, Bill, Call, Evaluation, Expansion, Outcome
from archive.schema import storable

Move = TypeVar("Move", Expansion, Evaluation)


def still_open(rows: Mapping[int, Move], id: int, kind: str) -> Move:
    """The open row of that id. Raises: `ArchiveError` if there is none, or it was closed."""
    row = rows.get(id)
    if row is None:
        raise ArchiveError(f"there is no {kind} {id} open for writing here")
    if row.outcome is not None:
        raise ArchiveError(f"{kind} {id} was closed as {row.outcome} and stays so")
    return row


def closed(row: Move, outcome: Outcome, reason: str, seconds: float, calls: Sequence[Call], now: datetime) -> Move:
    """The row as it will be. Raises: `ArchiveError` if a move of its kind cannot end so."""
    if outcome not in (EXPANSION_OUTCOMES if isinstance(row, Expansion) else EVALUATION_OUTCOMES):
        raise ArchiveError(f"{type(row).__name__.lower()} {row.id} cannot end as {outcome}")
    bill = total(Bill(1, call.input_tokens, call.cached_tokens, call.output_tokens, call.usd) for call in calls)
    return replace(row, outcome=outcome, reason=storable(reason), closed=now, seconds=seconds, bill=bill)


def check_child(id: int, outcome: Outcome, *, child: bool, twin: bool) -> None:
    """Raise `ArchiveError` unless a child comes with BORN, a twin with DUPLICATE, and neither with anything else."""
    if (outcome is Outcome.BORN) != child:
        raise ArchiveError(f"expansion {id}: files and shape come with {Outcome.BORN}, and only with it")
    if (outcome is Outcome.DUPLICATE) != twin:
        raise ArchiveError(f"expansion {id}: a twin comes with {Outcome.DUPLICATE}, and only with it")


def checked_seed(seed: int) -> int:
    """The seed, if a database can hold it."""
    if not -(2**63) <= seed < 2**63:
        raise ArchiveError(f"the seed {seed} does not fit in 64 signed bits")
    return seed
