"""What a move is called, by its row: as a folder, in the ledger, on a cassette and in words."""

from __future__ import annotations

from archive import INTERRUPTED, Evaluation, Expansion

Row = Evaluation | Expansion


def key_of(row: Row) -> str:
    """The name of a move's folder, of its lines in the ledger and of its events on a cassette."""
    return f"{'expansion' if isinstance(row, Expansion) else 'evaluation'}-{row.id}"


def what_of(row: Row) -> str:
    """A move in words that are the same in every replay of its run."""
    return f"expand agent {row.parent}" if isinstance(row, Expansion) else f"evaluate agent {row.agent} on {row.task}"


def has_ended(row: Row) -> bool:
    """Whether a move is over, and was not cut off."""
    return row.outcome is not None and row.reason != INTERRUPTED
