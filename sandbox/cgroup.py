"""Memory and process limits for a whole box, by control groups, where this process may make them.

Version 2 needs a group whose children have the memory and pids controllers and that we may write (root, or a delegated
user session); version 1 needs root. Where neither can be had, boxes have per-process limits only, and say so.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from sandbox.owner import Owner

ROOT = Path("/sys/fs/cgroup")
_PREFIX = "clade-"


@dataclass(frozen=True, slots=True)
class Parents:
    """Where groups can be made: one folder for version 2, one per controller for version 1."""

    version: int
    memory: Path
    pids: Path

    @property
    def folders(self) -> tuple[Path, ...]:
        return tuple(dict.fromkeys((self.memory, self.pids)))


def find(root: Path = ROOT, own: str | None = None) -> Parents | None:
    """Where this process may make groups with both controllers, found by making one; None if nowhere."""
    text = Path("/proc/self/cgroup").read_text() if own is None else own
    groups = {fields[1]: fields[2] for line in text.splitlines() if len(fields := line.split(":", 2)) == 3}
    candidates = [*_version_2(root, groups.get("")), *_version_1(root, groups)]
    return next((parents for parents in candidates if _usable(parents)), None)


def _version_2(root: Path, own: str | None) -> list[Parents]:
    """Our own group, and the one above it: a group that holds processes cannot have limited children."""
    if own is None or not (root / "cgroup.controllers").exists():
        return []
    here = _existing(root, own)
    places = dict.fromkeys((here, here.parent if here != root else here))
    return [Parents(2, place, place) for place in places if {"memory", "pids"} <= _controllers(place)]


def _version_1(root: Path, groups: dict[str, str]) -> list[Parents]:
    if not {"memory", "pids"} <= groups.keys():
        return []
    return [Parents(1, _existing(root / "memory", groups["memory"]), _existing(root / "pids", groups["pids"]))]


def _existing(root: Path, group: str) -> Path:
    """A group's folder; in a container the name may be the host's, and our group is the root that we see."""
    place = root / group.lstrip("/")
    return place if place.is_dir() else root


def _controllers(place: Path) -> set[str]:
    try:
        return set((place / "cgroup.subtree_control").read_text().split())
    except OSError:
        return set()


def _usable(parents: Parents) -> bool:
    try:
        Group.make(parents, memory_bytes=1 << 26, processes=8).remove()
    except OSError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class Group:
    """The groups of one box."""

    folders: tuple[Path, ...]
    version: int

    @property
    def _door(self) -> str:
        # Where a thread may move alone (version 1), the kernel need not wait for all processors: 0.1 ms, not 10 ms.
        return "tasks" if self.version == 1 else "cgroup.procs"

    @classmethod
    def make(cls, parents: Parents, memory_bytes: int, processes: int) -> Group:
        """Raises: `OSError`."""
        name = f"{_PREFIX}{Owner.me()}:{secrets.token_hex(4)}"
        group = cls(tuple(parent / name for parent in parents.folders), parents.version)
        try:
            for folder in group.folders:
                folder.mkdir()
            (parents.pids / name / "pids.max").write_text(str(processes))
            if parents.version == 2:
                (parents.memory / name / "memory.max").write_text(str(memory_bytes))
                _optional(parents.memory / name / "memory.swap.max", "0")
            else:
                (parents.memory / name / "memory.limit_in_bytes").write_text(str(memory_bytes))
                _optional(parents.memory / name / "memory.memsw.limit_in_bytes", str(memory_bytes))
        except OSError:
            group.remove()
            raise
        return group

    @property
    def doors(self) -> tuple[str, ...]:
        """Files into which a process of one thread writes 0 to join."""
        return tuple(str(folder / self._door) for folder in self.folders)

    def kill(self) -> None:
        for folder in self.folders:
            with contextlib.suppress(OSError):
                for line in (folder / "cgroup.procs").read_text().split():
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(int(line), signal.SIGKILL)

    def remove(self) -> None:
        """Kill what is in it and remove it. A group that will not go is left to the next reaping."""
        for folder in self.folders:
            for _ in range(100):
                try:
                    folder.rmdir()
                except FileNotFoundError:
                    break
                except OSError:  # busy: processes are still on their way out
                    self.kill()
                    time.sleep(0.01)
                else:
                    break


def _optional(file: Path, value: str) -> None:
    """Kernels without swap accounting have no such file."""
    with contextlib.suppress(OSError):
        file.write_text(value)


def reap(parents: Parents) -> int:
    """Kill and remove the groups of owners that are dead; how many boxes that were."""
    dead: dict[str, list[Path]] = {}
    for parent in parents.folders:
        for folder in parent.glob(_PREFIX + "*"):
            owner = Owner.parse(folder.name.removeprefix(_PREFIX).rpartition(":")[0])
            if owner is not None and owner.dead():
                dead.setdefault(folder.name, []).append(folder)
    for folders in dead.values():
        Group(tuple(folders), parents.version).remove()
    return len(dead)
