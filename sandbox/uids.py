"""User ids for boxes: one each, so that no box's process limit or files touch another's.

A claimed id is a locked file: the kernel lets go of the lock when its process dies, so nothing is ever left claimed.
"""

from __future__ import annotations

import fcntl
import os
import random
from pathlib import Path

from sandbox.base import SandboxError

POOL = range(60001, 61000)
"""Ids that Debian's and systemd's tables leave free (Debian policy 9.2.2, systemd UIDS-GIDS)."""


class Uid:
    """A claimed user id (and group id of the same number)."""

    def __init__(self, number: int, descriptor: int) -> None:
        self.number = number
        self._descriptor = descriptor

    @classmethod
    def claim(cls, folder: Path) -> Uid:
        """Claim any free id; `folder` holds the lock files of the whole machine.

        Raises: `SandboxError` if all are taken.
        """
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        first = random.randrange(len(POOL))  # start anywhere, so that processes rarely try the same ones
        for number in (*POOL[first:], *POOL[:first]):
            descriptor = os.open(folder / str(number), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
                continue
            return cls(number, descriptor)
        raise SandboxError(f"all {len(POOL)} user ids for boxes are in use; close some boxes")

    def release(self) -> None:
        """Once only."""
        os.close(self._descriptor)
