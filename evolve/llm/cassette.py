"""Cassettes: what the models said in a run, kept so that the run can be played again without them."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from evolve.llm.base import Completion, Json, ModelError, Scope

Mode = Literal["record", "replay", "replay-or-call"]


class Cassette:
    """Calls and their answers, and the order of the moves. Thread-safe; one process at a time."""

    def __init__(self, path: Path, mode: Mode, *, share_splits: bool = False) -> None:
        """Raises: `ModelError` if there is no cassette to replay, or another process has it open."""
        self.path = path
        self.mode = mode
        self.share_splits = share_splits

    @property
    def missed(self) -> str | None:
        """The first call of a replay that is not on the cassette, in one sentence."""
        return None

    def play(self, scope: Scope, label: str, request: Json) -> Completion | ModelError | None:
        """How the call ended when it was recorded; None if it shall be made.

        Raises: `ModelError` naming the call if it is not on the cassette and must not be made.
        """
        return None

    def keep(self, scope: Scope, label: str, request: Json, ending: Completion | ModelError) -> None:
        """Record how a call ended, retries included."""

    def launched(self, move: str) -> None:
        """Record that a move began."""

    def landed(self, move: str) -> None:
        """Record that a move's row was closed."""

    def next_event(self) -> tuple[Literal["launched", "landed"], str] | None:
        """In a replay, what the recorded run did next; None once it is told to the end, or if nothing is replayed."""
        return None

    def close(self) -> None:
        """Safe to call twice."""
