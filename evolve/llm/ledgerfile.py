"""The ledger's file: its lines, and how they reach the disk.

Lines are JSON, one event each, appended with one write, so that lines of several threads never mix:

    {"event":"reserve","id":7,"scope":"evaluation-17","role":"solve","model":"openai:…",…}   before a call is sent
    {"event":"settle","id":7,…}                                                              when it has ended
    {"event":"note","model":"openai:…","events":{"…":1}}                                     something worth counting

Files of earlier versions are read as well: their settlements have no time (the reservation's is taken) and no line
names a move (a rollout's scope is its move's, but for what follows the number).
"""

from __future__ import annotations

import fcntl
import json
import os
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from archive import Bill
from evolve.llm.base import Json, ModelError
from evolve.llm.jsontext import dumps
from evolve.llm.tallies import Worst


@dataclass(frozen=True, slots=True)
class Reserved:
    """A call's worst case, written before it was sent."""

    id: int
    scope: str
    move: str
    role: str
    model: str
    worst: Worst
    at: float
    """Seconds since the epoch."""


@dataclass(frozen=True, slots=True)
class Settled:
    """What a call really cost."""

    id: int
    cost: Bill
    status: str
    measured: bool
    """False: nobody told, and it was charged at its worst case."""
    at: float | None
    """Seconds since the epoch; None in files of earlier versions."""
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Noted:
    """Events of a model, counted."""

    model: str
    events: Mapping[str, int]


Line = Reserved | Settled | Noted


class Journal:
    """Appends lines to the file, and says when they are safe from a power cut. Thread-safe.

    Who waits for the disk waits together with all who wrote before the disk was asked: one `fdatasync` for many.
    """

    def __init__(self, path: Path) -> None:
        """Raises: `ModelError` if another process has the file open."""
        path.parent.mkdir(parents=True, exist_ok=True)
        made = not path.exists()
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._file)
            text = f"another process is using {path}: a run has one ledger and one process"
            raise ModelError(text, kind="refused") from None
        if made:
            _sync_folder(path.parent)
        self._size = os.fstat(self._file).st_size
        self._lock = threading.Lock()
        self._disk = ThreadPoolExecutor(1, thread_name_prefix="clade-ledger")
        self._next: Future[None] | None = None

    def content(self) -> bytes:
        """All of the file but a torn last line, which is cut off.

        A torn line says nothing that counts: a torn reservation was never sent, a torn settlement leaves its call open.
        """
        content = b""
        while piece := os.pread(self._file, 1 << 20, len(content)):
            content += piece
        whole = content.rfind(b"\n") + 1
        os.ftruncate(self._file, whole)
        self._size = whole
        return content[:whole]

    def append(self, line: Json) -> None:
        """Add a line, whole or not at all. Raises: `OSError` if the disk does not take it."""
        raw = dumps(line) + b"\n"
        with self._lock:
            try:
                written = os.write(self._file, raw)
            except OSError:
                os.ftruncate(self._file, self._size)
                raise
            if written < len(raw):  # a full disk
                os.ftruncate(self._file, self._size)
                raise OSError(f"the disk took {written} of a ledger line's {len(raw)} bytes: is it full?")
            self._size += written

    def synced(self) -> Future[None]:
        """Done when all lines appended so far are on the disk; shared by all who ask before the disk is asked."""
        with self._lock:
            if self._next is None:
                self._next = self._disk.submit(self._sync)
            return self._next

    def close(self) -> None:
        self._disk.shutdown()
        os.close(self._file)

    def _sync(self) -> None:
        with self._lock:
            self._next = None  # who appends from here on waits for the next one
        os.fdatasync(self._file)


def parse(content: bytes, path: Path) -> Iterator[Line]:
    """The events of whole lines. Raises: `ModelError` naming the first line that is not a ledger's."""
    for number, raw in enumerate(content.splitlines(), start=1):
        try:
            yield _parse(json.loads(raw))
        except (ValueError, KeyError, TypeError) as error:
            raise foreign(path, number, error) from None


def foreign(path: Path, number: int, error: Exception) -> ModelError:
    """For a line that does not belong there."""
    return ModelError(
        f"line {number} of {path} is not a line of a ledger ({error!r}): restore the file or move it away",
        kind="refused",
    )


def reserve_line(line: Reserved) -> Json:
    """The move stands there only where it is not the rollout itself."""
    return {
        "event": "reserve",
        "id": line.id,
        "scope": line.scope,
        **({"move": line.move} if line.move != line.scope else {}),
        "role": line.role,
        "model": line.model,
        "input_tokens": line.worst.input_tokens,
        "output_tokens": line.worst.output_tokens,
        "usd": line.worst.usd,
        "at": _text(line.at),
    }


def settle_line(line: Settled) -> Json:
    assert line.at is not None
    return {
        "event": "settle",
        "id": line.id,
        "input_tokens": line.cost.input_tokens,
        "cached_tokens": line.cost.cached_tokens,
        **({"cache_write_tokens": line.cache_write_tokens} if line.cache_write_tokens else {}),
        "output_tokens": line.cost.output_tokens,
        **({"reasoning_tokens": line.reasoning_tokens} if line.reasoning_tokens else {}),
        "usd": line.cost.usd,
        "status": line.status,
        "measured": line.measured,
        "at": _text(line.at),
    }


def note_line(line: Noted) -> Json:
    return {"event": "note", "model": line.model, "events": dict(line.events)}


def move_of(scope: str) -> str:
    """The move that a scope of an earlier version is a part of: `expansion-3` of `expansion-3-life`."""
    kind, _, rest = scope.partition("-")
    number = rest.partition("-")[0]
    return f"{kind}-{number}" if kind in ("evaluation", "expansion") and number.isdigit() else scope


def _parse(line: Json) -> Line:
    match line["event"]:
        case "reserve":
            worst = Worst(int(line["input_tokens"]), int(line["output_tokens"]), float(line["usd"]))
            scope = str(line["scope"])
            move = str(line.get("move") or move_of(scope))
            at = _seconds(line["at"])
            return Reserved(int(line["id"]), scope, move, str(line["role"]), str(line["model"]), worst, at)
        case "settle":
            read, cached, written = (int(line[f"{kind}_tokens"]) for kind in ("input", "cached", "output"))
            return Settled(
                int(line["id"]),
                Bill(1, read, cached, written, float(line["usd"])),
                str(line["status"]),
                bool(line["measured"]),
                _seconds(line["at"]) if "at" in line else None,
                int(line.get("cache_write_tokens", 0)),
                int(line.get("reasoning_tokens", 0)),
            )
        case "note":
            return Noted(str(line["model"]), {str(name): int(n) for name, n in line["events"].items()})
        case event:
            raise ValueError(f"unknown event {event!r}")


def _text(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def _sync_folder(folder: Path) -> None:
    """So that a power cut cannot take the file's name with it."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
