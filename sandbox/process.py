"""One bubblewrap process: started, listened to in bounded memory, and ended with everything that it started.

bwrap runs the command in a process-id namespace of its own. It ends when the command ends, and the namespace's first
process dies with it, and with that every process in the namespace: the kernel does that, whatever they ignore.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from sandbox.base import SandboxError
from sandbox.output import Kept

_CHUNK = 1 << 16
_FREE = 16 << 20  # bytes of output read at full speed; a flood is then held to about 50 MB/s
_PAUSE = 0.001
_PATIENCE = 5.0  # seconds within which a killed namespace must be gone


@dataclass(frozen=True, slots=True)
class Ended:
    """How bwrap ended."""

    code: int | None
    """The command's exit status as bwrap saw it; None if bwrap never started the command, or was killed."""
    signal: int
    """The signal that ended bwrap itself; 0 if none did."""
    stdout: Kept
    stderr: Kept
    timed_out: bool


class Running:
    """A started bwrap, and the read ends of its pipes, which it closes in the end."""

    def __init__(self, process: subprocess.Popen[bytes], stdout: int, stderr: int, status: int) -> None:
        self._process = process
        self._descriptors = (stdout, stderr, status)
        self._exit = os.pidfd_open(process.pid)
        self._init: int | None = None  # a descriptor of the namespace's first process, once bwrap has said which it is
        self._status = bytearray()
        self._lock = threading.Lock()  # between `kill` and closing the descriptors that it uses
        self._buried = False
        self._kill_wanted: float | None = None  # since when

    def kill(self) -> None:
        """End it. May be called from any thread; before bwrap has set its children up it only makes a note.

        bwrap is not killed earlier because its child would then wait for it for ever.
        """
        with self._lock:
            if self._buried:
                return
            now = time.monotonic()
            self._kill_wanted = self._kill_wanted or now
            if self._init is None and now - self._kill_wanted < _PATIENCE:
                return
            for descriptor in (self._init, self._exit):
                if descriptor is not None:
                    with contextlib.suppress(ProcessLookupError):
                        signal.pidfd_send_signal(descriptor, signal.SIGKILL)

    def wait(self, deadline: float, limit: int, alarm: Callable[[], bool]) -> Ended:
        """Listen until the command ends, `deadline` (monotonic seconds) passes or `alarm` answers True; then kill all.

        Raises: `SandboxError` if the processes cannot be killed.
        """
        kept = {self._descriptors[0]: Kept(limit), self._descriptors[1]: Kept(limit)}
        try:
            timed_out = self._listen(kept, deadline, alarm)
            code = self._process.wait()
        finally:
            self._bury()
        stdout, stderr = kept.values()
        return Ended(self._exit_code(), max(0, -code), stdout, stderr, timed_out)

    def _listen(self, kept: dict[int, Kept], deadline: float, alarm: Callable[[], bool]) -> bool:
        """Read everything until bwrap has ended and the pipes are empty. Was it killed at the deadline?"""
        timed_out = False
        total = 0
        with selectors.DefaultSelector() as selector:
            for descriptor in (*self._descriptors, self._exit):
                selector.register(descriptor, selectors.EVENT_READ)
            while True:
                left = deadline - time.monotonic()
                ready = selector.select(max(0.0, min(left, 0.5)))
                for key, _ in ready:
                    if key.fd == self._exit:
                        continue
                    chunk = os.read(key.fd, _CHUNK)
                    total += len(chunk)
                    if not chunk:
                        selector.unregister(key.fd)
                    elif key.fd in kept:
                        kept[key.fd].add(chunk)
                    else:
                        self._told(chunk)
                if any(key.fd == self._exit for key, _ in ready):
                    self._end_namespace()
                    self._drain(kept)
                    return timed_out
                if left <= 0 or self._kill_wanted or alarm():
                    timed_out = timed_out or (left <= 0 and not self._kill_wanted)
                    self.kill()
                    deadline = time.monotonic() + 0.05  # then look again, without spinning
                elif total > _FREE:
                    time.sleep(_PAUSE)

    def _told(self, chunk: bytes) -> None:
        """bwrap's own report; its first document names the namespace's first process."""
        self._status += chunk
        if self._init is None and (found := self._documents().get("child-pid")) is not None:
            with contextlib.suppress(ProcessLookupError):
                self._init = os.pidfd_open(found)

    def _documents(self) -> dict[str, int]:
        merged: dict[str, int] = {}
        for line in self._status.split(b"\n"):
            with contextlib.suppress(ValueError):
                merged.update(json.loads(line))
        return merged

    def _exit_code(self) -> int | None:
        return self._documents().get("exit-code")

    def _end_namespace(self) -> None:
        """bwrap has ended: make sure that the namespace has too."""
        status = self._descriptors[2]
        os.set_blocking(status, False)
        with contextlib.suppress(BlockingIOError):
            while chunk := os.read(status, _CHUNK):
                self._told(chunk)
        if self._init is None:
            return
        self.kill()
        with selectors.DefaultSelector() as selector:
            selector.register(self._init, selectors.EVENT_READ)
            if not selector.select(_PATIENCE):
                raise SandboxError(f"a box's processes survived SIGKILL for {_PATIENCE:g} s; the kernel holds them")

    def _drain(self, kept: dict[int, Kept]) -> None:
        """What is still in the pipes; nobody writes to them any more."""
        for descriptor, keep in kept.items():
            os.set_blocking(descriptor, False)
            with contextlib.suppress(BlockingIOError):
                while chunk := os.read(descriptor, _CHUNK):
                    keep.add(chunk)

    def _bury(self) -> None:
        """Leave nothing behind, also when listening was interrupted (Ctrl-C)."""
        if self._process.returncode is None:
            self.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_PATIENCE)
            if self._process.returncode is None:
                self._process.kill()
                self._process.wait()
        with self._lock:
            self._buried = True
            for descriptor in (*self._descriptors, self._exit, self._init):
                if descriptor is not None:
                    os.close(descriptor)
