"""Who owns a box: the process that opened it, named so that a later process can tell whether it is still alive.

The name is part of what is left behind (a folder, a cgroup, a container's label), so a leftover is never without an
owner, not even for a moment. A process id alone would be reused; with its start time and the machine's boot it is not.
"""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Self


@dataclass(frozen=True, slots=True)
class Owner:
    """A process, named for ever."""

    host: str
    boot: str
    """The kernel's boot id."""
    namespace: str
    """Inode of its process-id namespace: ids of another one mean nothing here."""
    pid: int
    start: int
    """Clock ticks after boot."""

    def __str__(self) -> str:
        return f"{self.host}:{self.boot}:{self.namespace}:{self.pid}:{self.start}"

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """The owner that `str` wrote, or None if the text is not one."""
        parts = text.split(":")
        if len(parts) != 5 or not (parts[3].isdigit() and parts[4].isdigit()):
            return None
        return cls(parts[0], parts[1], parts[2], int(parts[3]), int(parts[4]))

    @classmethod
    def me(cls) -> Self:
        """This process."""
        pid = os.getpid()
        start = _start_time(pid)
        if start is None:
            raise ProcessLookupError("/proc does not show this process; mount /proc")
        return cls(*_machine(), pid, start)

    def dead(self) -> bool:
        """True only if that process certainly exists no more. Another host's or namespace's process counts as alive."""
        host, boot, namespace = _machine()
        if self.host != host:
            return False
        if self.boot != boot:
            return True
        return self.namespace == namespace and _start_time(self.pid) != self.start


@cache
def _machine() -> tuple[str, str, str]:
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return socket.gethostname().replace(":", "-"), boot, str(Path("/proc/self/ns/pid").stat().st_ino)


def _start_time(pid: int) -> int | None:
    """When a process started, in clock ticks after boot; None if it is gone. proc(5), field 22 of `stat`."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = stat.rpartition(")")[2].split()  # the name before it may hold blanks and parentheses
    return None if fields[0] in "ZX" else int(fields[19])
