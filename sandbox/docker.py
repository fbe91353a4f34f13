"""Boxes by Docker: a container each, with nothing of the host but what is bound in.

A container's first process belongs to a user of its own, the keeper, so that the box's user can neither end it nor look
into it; it sleeps for a bounded time and so ends the container even if this house dies. After every command the engine,
not the container, is asked what still runs there; what does is killed, and where that fails the container is.
"""

from __future__ import annotations

import contextlib
import secrets
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import docker.errors
import docker.types

from sandbox import seccomp, tarball, walk
from sandbox.base import GATEWAY, WORK, Box, Limits, Probe, Result, Sandbox, SandboxError, Snapshot, Tree
from sandbox.command import ENVIRONMENT
from sandbox.engine import STDERR, STDOUT, Engine, Exec, GoneError, NotStartedError
from sandbox.output import Kept
from sandbox.owner import Owner
from sandbox.probes import probe
from sandbox.stage import INODES_PER_MB
from sandbox.walk import check_mounts

IMAGE = "python:3.11-slim-bookworm"
"""The image of boxes that are opened without one."""

_USER, _KEEPER = "10001:10001", "10002:10002"
_LIFE = 12 * 3600  # seconds after which a container ends by itself
_OVERHEAD = 16  # processes of a box that are not its user's: the keeper, and the engine's own while it starts a command
_FILES_SECONDS = 300.0  # for moving files; the engine's fault if it takes longer
_PATIENCE = 3.0  # seconds for killed processes to go
_IN_FLIGHT = 8 << 20
_REST = 1000  # chunks after the end of an archive; tar pads it to its record size
_LABEL = "clade.owner"
_ENVIRONMENT = {name: value for name, value in ENVIRONMENT.items() if name != "PATH"}  # the image knows its PATH


class Docker(Sandbox):
    """Opens boxes in the local Docker engine. `image` serves boxes that are opened without one.

    Raises: `SandboxError` if the engine does not answer; the text says what to do.
    """

    name = "docker"

    def __init__(self, image: str = IMAGE) -> None:
        self._image = image
        self._engine = Engine()
        with self._engine.asking("describe itself") as client:
            self._info = client.info()
        runtime = str(self._info.get("DefaultRuntime", "runc"))
        self.isolation = "docker-runsc-3" if "runsc" in runtime else f"docker-{runtime}-2"
        self.reap()

    def has_image(self, image: str | None = None) -> bool:
        """Is the image on this machine? Raises: `SandboxError`."""
        try:
            with self._engine.asking("look for an image") as client:
                client.inspect_image(image or self._image)
        except GoneError:
            return False
        return True

    def open(
        self,
        *,
        limits: Limits | None = None,
        mounts: Mapping[str, Path] | None = None,
        gateway: Path | None = None,
        image: str | None = None,
    ) -> Box:
        limits = limits or Limits()
        folders = check_mounts({**(mounts or {}), **({GATEWAY: gateway} if gateway else {})}, others=True)
        image = image or self._image
        container = ""
        try:
            with self._engine.asking("make a box") as client:
                container = client.create_container(
                    image,
                    ["sleep", str(_LIFE)],
                    name=f"clade-{secrets.token_hex(6)}",
                    user=_KEEPER,
                    hostname="sandbox",
                    labels={_LABEL: str(Owner.me()), "clade.expires": str(int(time.time()) + _LIFE)},
                    entrypoint=[],
                    host_config=_host_config(client, limits, folders),
                )["Id"]
                client.start(container)
                return DockerBox(self._engine, container, limits)
        except GoneError as error:
            self._remove(container)
            if self.has_image(image):
                raise SandboxError(f"a container ended while it was made: {error}") from error
            raise SandboxError(f"the image {image} is not on this machine; run: docker pull {image}") from error
        except BaseException:
            self._remove(container)
            raise

    def _remove(self, container: str) -> None:
        if container:
            with contextlib.suppress(GoneError), self._engine.asking("remove a box") as client:
                client.remove_container(container, force=True, v=True)

    def probe(self) -> tuple[Probe, ...]:
        present = self.has_image()
        facts = (
            Probe("engine", True, f"version {self._info.get('ServerVersion')}, {self._info.get('DefaultRuntime')}"),
            Probe(
                "image",
                present,
                self._image if present else f"missing; run: docker pull {self._image}",
            ),
            Probe("memory limit", bool(self._info.get("MemoryLimit")), "the whole box's, by control groups"),
            Probe("processes limit", bool(self._info.get("PidsLimit")), "the whole box's, by control groups"),
        )
        return facts + (probe(self) if present else ())

    def reap(self) -> int:
        with self._engine.asking("list boxes") as client:
            found = client.containers(all=True, filters={"label": _LABEL})
        dead = [
            container["Id"]
            for container in found
            if (owner := Owner.parse(container["Labels"][_LABEL])) is not None and owner.dead()
        ]
        for container in dead:
            self._remove(container)
        return len(dead)

    def close(self) -> None:
        self._engine.close()


def _host_config(client: docker.APIClient, limits: Limits, folders: Mapping[str, Path]) -> dict[str, object]:
    # Both file systems are in memory, so what is in the workspace is part of what the box uses.
    memory = (limits.memory_mb + limits.disk_mb) << 20
    inodes = limits.disk_mb * INODES_PER_MB
    size = f"rw,exec,nosuid,nodev,size={limits.disk_mb}m,nr_inodes={inodes}"
    config: dict[str, object] = client.create_host_config(
        auto_remove=True,
        mounts=[docker.types.Mount(inside, str(host), "bind", read_only=True) for inside, host in folders.items()],
        cap_drop=["ALL"],
        init=True,
        ipc_mode="private",
        log_config=docker.types.LogConfig(type="none"),
        mem_limit=memory,
        memswap_limit=memory,
        network_mode="none",
        pids_limit=limits.processes + _OVERHEAD,
        read_only=True,
        security_opt=["no-new-privileges", f"seccomp={seccomp.profile()}"],
        shm_size="64m",
        tmpfs={"/box": f"{size},uid=10001,gid=10001,mode=755", "/tmp": f"{size},mode=1777"},
        ulimits=[
            docker.types.Ulimit(name="nofile", soft=4096, hard=4096),
            docker.types.Ulimit(name="core", soft=0, hard=0),
            docker.types.Ulimit(name="fsize", soft=limits.disk_mb << 20, hard=limits.disk_mb << 20),
        ],
    )
    return config


class DockerBox(Box):
    """A running container."""

    def __init__(self, engine: Engine, container: str, limits: Limits) -> None:
        self._engine = engine
        self._container = container
        self._limits = limits
        self._keeper = next(iter(self._users()))
        self._has_work = False
        # One command at a time, because after each of them everything of the box's user is killed.
        self._lock = threading.RLock()
        self._closed = False
        self._lost = ""
        """Why the container is gone, if what ran in it brought that about."""

    def put(self, files: Tree, into: str = WORK) -> None:
        walk.check_names(files)
        if walk.parts_below(into, "/box") is None:
            raise ValueError(f"{into!r} is not a folder of the box; files go under /box")
        content = tarball.pack(files, into)
        with self._lock:
            self._extract(content, [f"{into}/{path}" for path in files])
            self._has_work = self._has_work or into == WORK or into.startswith(WORK + "/")

    def _extract(self, content: bytes, paths: Sequence[str]) -> None:
        if self._tool(_EXTRACT, content)[0] != 0:
            # Something that is not a file is where a file should be, or the disk is full: make room, then insist.
            self._tool(["/usr/bin/xargs", "-0", "/bin/rm", "-rf", "--"], "\0".join(paths).encode())
            code, message = self._tool(_EXTRACT, content)
            if code != 0:
                text = message.decode(errors="replace").strip()
                size = self._limits.disk_mb
                raise SandboxError(f"cannot write files into the box (its disk has {size} MB): {text or self._lost}")

    def run(
        self,
        argv: Sequence[str],
        *,
        seconds: float,
        cwd: str = WORK,
        env: Mapping[str, str] | None = None,
        stdin: bytes = b"",
    ) -> Result:
        if any("\0" in text for text in (*argv, cwd, *(env or {}), *(env or {}).values())):
            raise ValueError("a command's arguments, folder and environment cannot hold NUL")
        with self._lock:
            self._make_work()
            return self._run(argv, seconds, cwd, {**_ENVIRONMENT, **(env or {})}, stdin)

    def _run(self, argv: Sequence[str], seconds: float, cwd: str, env: Mapping[str, str], stdin: bytes) -> Result:
        began = time.monotonic()
        kept = {STDOUT: Kept(self._limits.output_bytes), STDERR: Kept(self._limits.output_bytes)}
        try:
            command = self._start(argv, cwd, env, stdin)
            try:
                code = self._await(command, kept, began + seconds)
            finally:
                command.close()
                self._clean()
        except NotStartedError as error:
            return Result(127, b"", f"{error}\n".encode(), time.monotonic() - began)
        except GoneError as error:
            self._check_open()
            self._lost = self._lost or f"its container ended, perhaps for want of memory ({error})"
            return self._gone(time.monotonic() - began)
        self._check_open()
        dropped = sum(keep.dropped for keep in kept.values())
        return Result(code, kept[STDOUT].content, kept[STDERR].content, time.monotonic() - began, code is None, dropped)

    def _start(self, argv: Sequence[str], cwd: str, env: Mapping[str, str], stdin: bytes) -> Exec:
        self._check_open()
        if self._lost:
            raise GoneError(self._lost)
        return self._engine.start(self._container, argv, user=_USER, cwd=cwd, env=env, stdin=stdin)

    def _await(self, command: Exec, kept: Mapping[int, Kept], deadline: float) -> int | None:
        """The command's exit status; None if it did not end in time. What is left running is not our business here."""
        looked = time.monotonic()
        ended = False
        after = 0  # bytes since then
        try:
            for stream, chunk in command.output(deadline):
                if stream in kept:
                    kept[stream].add(chunk)
                # A background child may hold the streams, or flood them, after the command itself has ended: then what
                # it wrote is still on its way, but no more than the engine's buffers hold.
                if ended:
                    after += len(chunk)
                    if not chunk or after > _IN_FLIGHT:
                        break
                elif time.monotonic() - looked > 0.2:
                    looked = time.monotonic()
                    ended = command.exit_code() is not None
            while (code := command.exit_code()) is None and time.monotonic() < deadline:
                time.sleep(0.01)
        except TimeoutError:
            return command.exit_code()
        return code

    def _clean(self) -> None:
        """Make sure that nothing of the box's user runs; at the worst the container goes. Raises: `GoneError`."""
        deadline = time.monotonic() + _PATIENCE
        killed = 0.0
        while self._users() != {self._keeper}:
            now = time.monotonic()
            try:
                if now > deadline:
                    raise SandboxError("processes do not end")
                if now - killed > 0.5:
                    killed = now
                    # To every process that this user may signal: all but the keeper's and its own.
                    kill = ["/bin/sh", "-c", "kill -9 -1"]
                    command = self._engine.start(self._container, kill, user=_USER, cwd="/", env={}, stdin=b"")
                    with contextlib.suppress(TimeoutError):
                        for _ in command.output(now + 0.5):
                            pass
                    command.close()
            except SandboxError as error:
                # A box full of processes cannot take one more to end them.
                self._lost = f"its container was killed, because what ran in it would not end ({error})"
                self._kill()
                return

    def _users(self) -> set[str]:
        """The host's ids of the users whose processes run in the container, as the engine sees them.

        Raises: `GoneError`, `SandboxError`.
        """
        with self._engine.asking("list a box's processes") as client:
            listed = client.top(self._container, ps_args="-eo pid,uid")
        if not listed["Processes"]:
            raise GoneError("its container has ended")
        return {row[1] for row in listed["Processes"]}

    def _kill(self) -> None:
        with contextlib.suppress(GoneError), self._engine.asking("kill a box") as client:
            client.remove_container(self._container, force=True, v=True)

    def _gone(self, seconds: float) -> Result:
        return Result(137, b"", f"the box is gone: {self._lost}\n".encode(), seconds)

    def _make_work(self) -> None:
        if not self._has_work and not self._lost:
            self._tool(["/bin/mkdir", "-p", WORK], b"")
            self._has_work = True

    def _tool(self, argv: Sequence[str], stdin: bytes) -> tuple[int, bytes]:
        """Run a program of the image's for ourselves: exit status and what it complained about.

        Raises: `SandboxError` if it takes too long.
        """
        complaint = Kept(10_000)
        try:
            command = self._start(argv, "/", {}, stdin)
            try:
                code = self._await(command, {STDERR: complaint}, time.monotonic() + _FILES_SECONDS)
            finally:
                command.close()
        except GoneError as error:
            self._check_open()
            return 137, str(error).encode()
        if code is None:
            raise SandboxError(f"{argv[0]} took longer than {_FILES_SECONDS:g} s in a box; the machine is overloaded")
        return code, complaint.content

    def snapshot(self, path: str = WORK) -> Snapshot:
        parts = walk.parts_below(path, "/")
        if walk.parts_below(path, "/box") is None or not parts:
            raise ValueError(f"{path!r} is not a folder of the box; its files are under /box")
        self._make_work()
        try:
            command = self._start(tarball.arguments(parts, recurse=True), "/", {}, b"")
            try:
                stream = _stdout(command)
                snapshot = tarball.unpack(stream, "/".join(parts))
                code = self._finish(command, stream)
            finally:
                command.close()
        except GoneError as error:
            self._check_open()
            return Snapshot({}, {".": f"the box is gone: {self._lost or error}"})
        if code == 0 or "." in snapshot.refused:
            return snapshot
        return Snapshot(snapshot.files, {**snapshot.refused, ".": "cannot be read: some files or folders of it"})

    def read(self, path: str, limit: int = 10_000_000) -> bytes | None:
        self._check_open()
        if not walk.parts_below(path, "/box"):
            return None
        parts = walk.parts_below(path, "/") or ()
        try:
            command = self._start(tarball.arguments(parts, recurse=False), "/", {}, b"")
            try:
                stream = _stdout(command)
                content = tarball.single(stream, "/".join(parts), limit)
                self._finish(command, stream)
            finally:
                command.close()
            return content
        except GoneError:
            return None

    def _finish(self, command: Exec, rest: Iterator[bytes]) -> int | None:
        """End a `tar` whose archive has been read: its exit status, or None if it had more to say than it may."""
        for number, _ in enumerate(rest):
            if number > _REST:
                command.close()
                self._clean()
                return None
        while (code := command.exit_code()) is None:
            time.sleep(0.005)
        return code

    def _check_open(self) -> None:
        if self._closed:
            raise SandboxError("the box was closed")

    def close(self) -> None:
        """Ends running commands too: their callers get a `SandboxError`."""
        if not self._closed:
            self._closed = True
            self._kill()


_EXTRACT = ["/bin/tar", "--extract", "--file=-", "--directory=/", "--no-same-owner"]


def _stdout(command: Exec) -> Iterator[bytes]:
    """Raises: `SandboxError` if the engine takes too long."""
    try:
        for stream, chunk in command.output(time.monotonic() + _FILES_SECONDS):
            if stream == STDOUT:
                yield chunk
    except TimeoutError:
        raise SandboxError(f"reading a box took longer than {_FILES_SECONDS:g} s; the machine is overloaded") from None
