"""Replicas as `vllm serve` processes: each in a session of its own, on a Unix socket, known by pid and start time."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from contextlib import suppress
from pathlib import Path

from evolve.vllm import logs
from evolve.vllm.engine import Started
from evolve.vllm.plan import Plan, arguments, environment
from evolve.vllm.registry import FleetError, Handle

HELP_SECONDS = 180.0
"""For `vllm serve --help=all`, which imports most of vLLM."""
SOCKET_PATH = 107
"""Bytes that a Unix socket's path may have (unix(7))."""


class Processes:
    """An `Engine` of processes. They outlive it: whoever comes next finds them by their handles."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._folder = plan.folder
        self._children: dict[int, subprocess.Popen[bytes]] = {}

    def check(self) -> str:
        """See `Engine.check`."""
        try:
            asked = subprocess.run(
                [self._plan.program, "serve", "--help=all"],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=HELP_SECONDS,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise FleetError(f"{self._plan.program} cannot be run: {error}") from error
        if asked.returncode != 0:
            words = logs.last_words(asked.stderr.decode("utf-8", "replace").splitlines())
            raise FleetError(f"`{self._plan.program} serve --help=all` failed, so it serves nothing either: {words}")
        return asked.stdout.decode("utf-8", "replace")

    def start(self, index: int, key: str) -> Started:
        """See `Engine.start`. Its output goes to its log file, which it goes on writing if we are gone."""
        plan = self._plan
        url, path, address = self._address(index)
        own = environment(plan, key)
        if plan.gpus:
            own["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"  # as nvidia-smi counts them
            own["CUDA_VISIBLE_DEVICES"] = ",".join(map(str, plan.group(index)))
        log = os.open(self._log(index), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            os.write(log, f"{logs.MARK}replica {index} starts\n".encode())
            child = subprocess.Popen(
                [plan.program, "serve", *arguments(plan, index, address)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._folder,
                env={**os.environ, **own},
                start_new_session=True,
                umask=0o077,
            )
        except OSError as error:
            raise FleetError(f"{plan.program} cannot be run: {error}") from error
        finally:
            os.close(log)
        self._children[child.pid] = child
        return Started(Handle(child.pid, start_time(child.pid) or 0, boot_id()), url, path)

    def ended(self, handle: Handle) -> str | None:
        """See `Engine.ended`."""
        child = self._children.get(handle.pid)
        if child is None:  # another supervisor's child, whose exit status is not ours to know
            return None if alive(handle) else "ended"
        # It is left unburied: as long as it is, nobody else can get its number, and its group can be killed by it.
        state = os.waitid(os.P_PID, handle.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if state is None:
            return None
        if state.si_code == os.CLD_EXITED:
            return f"exited with {state.si_status}"
        return f"was ended by {signal.Signals(state.si_status).name}"

    def terminate(self, handle: Handle) -> None:
        """See `Engine.terminate`. To the leader alone: it knows how to end its workers."""
        if alive(handle):
            with suppress(ProcessLookupError):
                os.kill(handle.pid, signal.SIGTERM)

    def kill(self, handle: Handle) -> None:
        """See `Engine.kill`."""
        child = self._children.get(handle.pid)
        if child is not None or alive(handle) or _orphaned(handle):
            with suppress(ProcessLookupError):
                os.killpg(handle.pid, signal.SIGKILL)
        if child is not None:
            child.wait()
            del self._children[handle.pid]

    def tail(self, index: int, handle: Handle | None, lines: int) -> list[str]:
        """See `Engine.tail`."""
        return logs.tail(self._log(index), lines)

    def strays(self) -> list[Handle]:
        """Leaders of sessions that carry this fleet's mark in their environment."""
        mark = f"CLADE_VLLM_FLEET={self._folder}".encode()
        found = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            pid = int(entry.name)
            with suppress(OSError):
                if os.getsid(pid) != pid or mark not in (entry / "environ").read_bytes().split(b"\0"):
                    continue
                start = start_time(pid)
                if start is not None:
                    found.append(Handle(pid, start, boot_id()))
        return found

    def close(self) -> None:
        """Nothing to release: the processes live on."""

    def _log(self, index: int) -> Path:
        return self._folder / f"replica-{index}.log"

    def _address(self, index: int) -> tuple[str, str | None, tuple[str, ...]]:
        """Where a replica listens: its URL, its socket, its arguments.

        A socket in our folder is out of other users' reach, as much of what vLLM serves without a key should be. A
        port of the loopback stands in where the version has no `--uds` or the path is too long.
        """
        path = self._folder / f"replica-{index}.sock"
        if "--uds" in self._plan.known and len(os.fsencode(path)) <= SOCKET_PATH:
            path.unlink(missing_ok=True)
            return "http://localhost", str(path), ("--uds", str(path))
        port = _free_port()
        return f"http://127.0.0.1:{port}", None, ("--host", "127.0.0.1", "--port", str(port))


def alive(handle: Handle) -> bool:
    """Is it the very process that was started, and does it still run?"""
    return handle.boot == boot_id() and start_time(handle.pid) == handle.start


def start_time(pid: int) -> int | None:
    """When a process started, in clock ticks after boot; None if it has ended. proc(5), field 22 of `stat`."""
    stat = _stat(pid)
    return None if stat is None or stat[0] in "ZX" else int(stat[19])


def boot_id() -> str:
    """The kernel's name for the time since the machine was started."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def _stat(pid: int) -> list[str] | None:
    """The fields of /proc/PID/stat from the third on; None if there is no such process."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    return text.rpartition(")")[2].split()  # the name before it may hold blanks and parentheses


def _orphaned(handle: Handle) -> bool:
    """Has the leader ended and left workers behind in its session?

    Its number is not given to another process while they live. Another process of that number is therefore a stranger,
    and then there are none. The leader itself may still be there as a zombie that nobody has buried yet.
    """
    leader = _stat(handle.pid)
    if handle.boot != boot_id() or (leader is not None and int(leader[19]) != handle.start):
        return False
    for entry in Path("/proc").iterdir():
        stat = _stat(int(entry.name)) if entry.name.isdigit() else None
        if stat is not None and int(stat[3]) == handle.pid and int(stat[19]) >= handle.start:
            return True
    return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
