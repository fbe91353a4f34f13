"""The run folder's lock: one writer at a time, and its name for whoever is refused.

The lock is `flock` on a file, so it ends with the process that holds it, however that process ends.
"""

from __future__ import annotations

import fcntl
import os
import socket
import time
from pathlib import Path

from archive.errors import ArchiveError

NAME = "writer.lock"
_PATIENCE = 0.5
"""Seconds a writer tries: `holder` takes the lock for a moment to look, and must not be mistaken for a writer."""


class WriterLock:
    """Held from construction to `release`. Raises: `ArchiveError` naming the process that holds it."""

    def __init__(self, folder: Path) -> None:
        self._file = os.open(folder / NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        deadline = time.monotonic() + _PATIENCE
        while not _try(self._file, fcntl.LOCK_EX):
            if time.monotonic() > deadline:
                name = _read(self._file)
                os.close(self._file)
                raise ArchiveError(f"{folder} is being written by {name}; stop that process first")
            time.sleep(0.02)
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, f"process {os.getpid()} on {socket.gethostname()}\n".encode(), 0)

    def release(self) -> None:
        os.ftruncate(self._file, 0)
        os.close(self._file)


def holder(folder: Path) -> str | None:
    """`process <pid> on <host>` of the living process that writes this run folder; None if there is none."""
    try:
        file = os.open(folder / NAME, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        return None if _try(file, fcntl.LOCK_SH) else _read(file)
    finally:
        os.close(file)


def _try(file: int, kind: int) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _read(file: int) -> str:
    return os.pread(file, 200, 0).decode("utf-8", "replace").strip() or "a process that has just started"
