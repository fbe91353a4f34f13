"""The command line of one bubblewrap sandbox, as plain data: what a box sees, and the limits of each process in it.

Everything is left out that is not named here. bwrap's own options travel in a file descriptor, so that neither `ps` on
the host nor /proc/1/cmdline in the box shows them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sandbox.base import Limits
from sandbox.interpreter import BIN, Interpreter

_SHM_BYTES = 64 << 20
_OPEN_FILES = 4096
_SYSTEM = ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
_ETC = ("/etc/alternatives", "/etc/ld.so.cache")  # without the first, awk, java, cc… are dangling links

ENVIRONMENT = {
    "PATH": f"{BIN}:/usr/local/bin:/usr/bin:/bin",
    "HOME": "/box",
    "LANG": "C.UTF-8",
    "TMPDIR": "/tmp",
    "TERM": "dumb",
    "USER": "box",
    "PYTHONHASHSEED": "0",
    "PYTHONDONTWRITEBYTECODE": "1",
}
"""What every command finds in its environment. The same in every back end, but for PATH."""


@dataclass(frozen=True, slots=True)
class Scene:
    """What stays the same for all commands of a box."""

    interpreter: Interpreter
    python: Path
    """Where bwrap finds the interpreter's prefix."""
    etc: Path
    """Folder with the files of /etc that are ours."""
    box: Path
    """Folder that becomes /box."""
    mounts: Mapping[str, Path]
    limits: Limits
    limit_memory: bool
    """Limit each process's memory, because nothing limits the box's."""


def options(scene: Scene, cwd: str, env: Mapping[str, str], seccomp: int, status: int) -> bytes:
    """bwrap's options for `--args`, each ended by a NUL; the numbers are file descriptors."""
    given = _options(scene, cwd, env, seccomp, status)
    return b"".join(option.encode("utf-8", "surrogateescape") + b"\0" for option in given)


def _options(scene: Scene, cwd: str, env: Mapping[str, str], seccomp: int, status: int) -> Iterator[str]:
    # Spelled out, because --unshare-all forgives a machine without user namespaces.
    yield from ("--unshare-user", "--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts")
    yield from ("--unshare-cgroup-try", "--disable-userns", "--die-with-parent", "--new-session", "--cap-drop", "ALL")
    yield from ("--uid", "1000", "--gid", "1000", "--hostname", "sandbox")
    yield "--clearenv"
    for name, value in {**ENVIRONMENT, **scene.interpreter.environment, **env}.items():
        yield from ("--setenv", name, value)
    yield from _system(scene)
    yield from ("--proc", "/proc", "--dev", "/dev", "--remount-ro", "/dev")
    yield from ("--size", str(_SHM_BYTES), "--perms", "1777", "--tmpfs", "/dev/shm")
    yield from ("--size", str(scene.limits.disk_mb << 20), "--perms", "1777", "--tmpfs", "/tmp")
    yield from ("--bind", str(scene.box), "/box")
    for inside, host in scene.mounts.items():
        yield from ("--ro-bind", str(host), inside)
    yield from ("--remount-ro", "/", "--seccomp", str(seccomp), "--json-status-fd", str(status), "--chdir", cwd)


def _system(scene: Scene) -> Iterator[str]:
    yield from ("--ro-bind", "/usr", "/usr")
    for name in _SYSTEM:
        path = Path(name)
        if path.is_symlink():
            yield from ("--symlink", str(path.readlink()), name)
        elif path.exists():
            yield from ("--ro-bind", name, name)
    for name in _ETC:
        if Path(name).exists():
            yield from ("--ro-bind", name, name)
    for name in ("passwd", "group", "hosts", "nsswitch.conf"):
        yield from ("--ro-bind", str(scene.etc / name), f"/etc/{name}")
    yield from scene.interpreter.arguments(scene.python)


def command_line(
    bwrap: Path, scene: Scene, argv: Sequence[str], arguments: int, uid: int | None, doors: Sequence[str]
) -> list[str]:
    """The host's command: join the control groups, drop root, become bwrap, limit the process, run `argv`.

    Args:
        arguments: file descriptor of `options`.
        uid: user and group id to take first; None to stay who we are.
        doors: files to write 0 to, which control groups read as "me".
    """
    line = []
    if doors:
        writes = " && ".join(f'echo 0 > "${number}"' for number in range(1, len(doors) + 1))
        line += ["/bin/sh", "-c", f'{writes} && shift {len(doors)} && exec "$@"', "sh", *doors]
    if uid is not None:
        line += ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", "--"]
    return [*line, str(bwrap), "--args", str(arguments), "--", *_limits(scene), *argv]


def _limits(scene: Scene) -> list[str]:
    """Limits of each process, set inside: there the kernel (5.14) counts the namespace's processes, not the user's."""
    limits = {
        "nproc": scene.limits.processes + 2,  # two are bwrap's
        "nofile": _OPEN_FILES,
        "fsize": scene.limits.disk_mb << 20,
        "core": 0,
    }
    if scene.limit_memory:
        limits["data"] = scene.limits.memory_mb << 20
    return ["/usr/bin/prlimit", *(f"--{name}={value}:{value}" for name, value in limits.items()), "--"]
