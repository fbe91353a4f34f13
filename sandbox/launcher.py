"""The one thread that starts a back end's processes and makes its mounts.

One, because the kernel sends a child's "parent died" signal when the *thread* that started it ends, not the process
(PR_SET_PDEATHSIG, prctl(2)): boxes started from a pool's worker would die with that worker. And of its own, because a
thread may leave the process's mount namespace alone: what is mounted here is seen by no other process of the machine,
and is gone with this one, even after `kill -9`.
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from queue import SimpleQueue
from typing import Any, TypeVar

from sandbox.base import SandboxError

T = TypeVar("T")

# linux/sched.h, linux/mount.h
_CLONE_NEWNS = 0x00020000
_MS_RDONLY, _MS_NOSUID, _MS_NODEV, _MS_REMOUNT, _MS_BIND, _MS_REC, _MS_SLAVE = 1, 2, 4, 32, 4096, 16384, 1 << 19
_MNT_DETACH = 2

_libc = ctypes.CDLL(None, use_errno=True)


class Launcher:
    """A thread that does what it is told, in order."""

    def __init__(self) -> None:
        self._jobs: SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="sandbox-launcher", daemon=True)
        self._thread.start()

    def call(self, job: Callable[[], T]) -> T:
        """Run a short job on the thread and give back what it returns or raises."""
        future: Future[T] = Future()
        with self._lock:
            if self._closed:
                raise SandboxError("the sandbox was closed; open a new one")
            self._jobs.put((future, job))
        return future.result()

    def _work(self) -> None:
        while (item := self._jobs.get()) is not None:
            future, job = item
            try:
                future.set_result(job())
            except BaseException as error:  # noqa: BLE001 - whatever it is belongs to the caller of `call`
                future.set_exception(error)

    def close(self) -> None:
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._jobs.put(None)
        self._thread.join()


def leave_mount_namespace() -> None:
    """Give the calling thread a mount namespace of its own; what the machine mounts later still shows in it.

    Raises: `OSError` (EPERM without CAP_SYS_ADMIN).
    """
    _check(_libc.unshare(_CLONE_NEWNS), "unshare")
    _mount("none", Path("/"), "", _MS_REC | _MS_SLAVE)


def mount_tmpfs(at: Path, options: str) -> None:
    """Mount a memory file system with options such as `size=64m,mode=755`. Raises: `OSError`."""
    _mount("tmpfs", at, "tmpfs", _MS_NOSUID | _MS_NODEV, options)


def mount_folder(folder: Path, at: Path) -> None:
    """Show a folder at another place too, read-only. Raises: `OSError`."""
    _mount(str(folder), at, "", _MS_BIND)
    _mount("none", at, "", _MS_BIND | _MS_REMOUNT | _MS_RDONLY | _MS_NOSUID | _MS_NODEV)


def unmount(at: Path) -> None:
    """Raises: `OSError`."""
    _check(_libc.umount2(os.fsencode(at), _MNT_DETACH), f"umount {at}")


def _mount(source: str, at: Path, kind: str, flags: int, options: str = "") -> None:
    encoded = (os.fsencode(source), os.fsencode(at), kind.encode(), ctypes.c_ulong(flags), options.encode())
    _check(_libc.mount(*encoded), f"mount {at}")


def _check(answer: int, what: str) -> None:
    if answer != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")
