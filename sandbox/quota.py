"""The size of a workspace that is a plain folder: measured while a command runs, since nothing else bounds it."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

_EVERY = 0.2  # seconds between two measurements, but at least ten times as long as one takes


def used(folder: Path) -> int:
    """Bytes on disk below a folder. Unreadable parts count as nothing.

    The program `du`, because a stranger can nest folders deeper than Python can recurse or keep open.
    """
    done = subprocess.run(["du", "-skx", "--", str(folder)], check=False, capture_output=True)
    size = done.stdout.split(b"\t", 1)[0]
    return int(size) * 1024 if size.isdigit() else 0


@contextmanager
def watched(folder: Path, limit: int) -> Iterator[Callable[[], bool]]:
    """While the context lasts, its value tells whether the folder has outgrown `limit` bytes.

    What was there before does not count as growth, so that a command can tidy up a full workspace.
    """
    start = used(folder)
    stop, exceeded = threading.Event(), threading.Event()

    def measure() -> None:
        pause = _EVERY
        while not stop.wait(pause):
            began = time.monotonic()
            if used(folder) > max(limit, start):
                exceeded.set()
                return
            pause = max(_EVERY, 10 * (time.monotonic() - began))

    thread = threading.Thread(target=measure, name="sandbox-quota", daemon=True)
    thread.start()
    try:
        yield exceeded.is_set
    finally:
        stop.set()
        thread.join()
        if used(folder) > max(limit, start):  # a quick one may have been done before anyone looked
            exceeded.set()
