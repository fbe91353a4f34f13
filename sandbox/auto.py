"""Which back end: the one asked for, or the strongest that this machine really runs. Never a weaker one in silence."""

from __future__ import annotations

from typing import Literal

from sandbox.base import Sandbox, SandboxError
from sandbox.bwrap import Bwrap
from sandbox.docker import Docker

Kind = Literal["auto", "docker", "bwrap"]


def open_sandbox(kind: Kind = "auto") -> Sandbox:
    """Open a back end that works here, after a box of it has started.

    `auto` takes docker where the engine answers and has the default image, else bwrap; `Sandbox.note` says why. A kind
    that is named is taken or refused. What dead processes left behind is removed first.

    Raises: `SandboxError`, with what to do.
    """
    if kind == "docker":
        return started(Docker())
    if kind == "bwrap":
        return started(Bwrap())
    if kind != "auto":
        raise SandboxError(f"unknown sandbox {kind!r}; use auto, docker or bwrap")
    try:
        sandbox = started(Docker())
    except SandboxError as error:
        why_not = str(error)
    else:
        sandbox.note = "docker: the engine answers and has the image"
        return sandbox
    try:
        sandbox = started(Bwrap())
    except SandboxError as error:
        raise SandboxError(f"no sandbox works on this machine. docker: {why_not}. bwrap: {error}") from error
    sandbox.note = f"bwrap, because docker cannot be used: {why_not}"
    return sandbox


def started(sandbox: Sandbox) -> Sandbox:
    """The back end, if a box of it really starts and runs Python; else it is closed. Raises: `SandboxError`."""
    try:
        with sandbox.open() as box:
            result = box.run(["python", "-c", "import sys, json, ssl, sqlite3"], seconds=60)
        if not result.ok:
            text = result.stderr.decode(errors="replace").strip()[-300:]
            raise SandboxError(f"Python does not run in a {sandbox.name} box: {text or result.exit_code}")
    except SandboxError:
        sandbox.close()
        raise
    return sandbox
