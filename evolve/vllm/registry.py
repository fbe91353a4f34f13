"""What is known of each fleet: a folder in the user's state folder, written by its supervisor, read by everyone.

    $XDG_STATE_HOME/clade/vllm/NAME/   plan.json  fleet.json  supervisor.json  key  lock  *.log  replica-0.sock

`fleet.json` is replaced as a whole, so a reader never sees half of it. Process ids in it come with the process's start
time and the machine's boot, so that nothing is ever sent to a stranger that has inherited a number.
"""

from __future__ import annotations

import json
import os
import re
import secrets
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, get_args

State = Literal["starting", "ready", "draining", "dead"]

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,39}")
"""Names of fleets: they become names of folders and containers."""


class FleetError(OSError):
    """A fleet that cannot be started, found, read or stopped; the text says which, and what to do."""


@dataclass(frozen=True, slots=True)
class Load:
    """What a replica was doing when its /metrics were last read."""

    running: int
    """Requests in the batch."""
    waiting: int
    """Requests in the queue."""
    kv_use: float | None
    """Share of the key-value cache in use, 0 to 1. None: this version does not tell it."""
    generated_per_second: float
    """Tokens, over the last half minute."""
    prefix_hit_rate: float | None
    """Share of prompt tokens found in the prefix cache since the replica started. None: no prompt yet, or not told."""
    at: float
    """Seconds since the epoch."""


@dataclass(frozen=True, slots=True)
class Handle:
    """What a replica runs as: a process with its start time, or a container."""

    pid: int = 0
    """Leader of the replica's process group; 0 for a container."""
    start: int = 0
    """Clock ticks from the machine's boot to the process's start."""
    boot: str = ""
    """The kernel's boot id."""
    container: str = ""


@dataclass(frozen=True, slots=True)
class Replica:
    """One server of a fleet."""

    index: int
    url: str
    """Without `/v1`; of a replica on a socket it names no real host. Empty while it has no address."""
    socket: str | None = None
    state: State = "starting"
    load: Load | None = None
    handle: Handle | None = None
    since: float = 0.0
    """When it came into this state; seconds since the epoch."""
    restarts: int = 0
    generated: int = 0
    """Tokens since the fleet was started, restarts included."""
    why: str = ""
    """Of a replica that is not ready: in one sentence what happened, or how far it is."""


@dataclass(frozen=True, slots=True)
class Fleet:
    """Replicas that serve one model."""

    name: str
    model: str
    """As given to `clade vllm up`."""
    served_name: str
    """What requests call the model."""
    key: str = field(repr=False)
    """Bearer token of every replica."""
    context_length: int | None
    """Tokens of a prompt and its answer together. None: not known yet."""
    replicas: tuple[Replica, ...]
    engine: Literal["docker", "process"] = "process"
    tool_parser: str | None = None
    reasoning_parser: str | None = None
    started: float = 0.0
    """Seconds since the epoch."""

    @property
    def protocol(self) -> Literal["tools", "fenced"]:
        """How tool calls travel: as the server's own where it has a parser for them, else as text."""
        return "tools" if self.tool_parser else "fenced"


def root() -> Path:
    """Where all fleets are kept (XDG base directories)."""
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "clade" / "vllm"


def folder_of(name: str) -> Path:
    """A fleet's folder, whether it exists or not. Raises: `FleetError` for what cannot be a name."""
    if not NAME.fullmatch(name):
        raise FleetError(
            f"{name!r} cannot be a fleet's name: use at most 40 small letters, digits, '.', '_' and '-', beginning "
            "with a letter or digit"
        )
    return root() / name


def read_fleet(name: str) -> Fleet | None:
    """The fleet as its supervisor last wrote it, or None if there is none of this name. Raises: `FleetError`."""
    folder = folder_of(name)
    try:
        written = json.loads((folder / "fleet.json").read_text(encoding="utf-8"))
        key = (folder / "key").read_text(encoding="utf-8").strip()
        return _fleet(written, key)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise FleetError(f"the fleet {name} cannot be read: {error}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise FleetError(
            f"{folder / 'fleet.json'} is damaged ({error}); end the fleet with `clade vllm down {name}`"
        ) from error


def fleets() -> list[Fleet]:
    """All fleets of this user on this machine, by name. Raises: `FleetError`."""
    return [fleet for name in names() if (fleet := read_fleet(name)) is not None]


def names() -> list[str]:
    """Names of all fleets that have a folder, of which some may not have been started yet."""
    try:
        return sorted(path.name for path in root().iterdir() if path.is_dir() and NAME.fullmatch(path.name))
    except FileNotFoundError:
        return []


def write_fleet(fleet: Fleet) -> None:
    """Replace what is known of a fleet; its key is not written. Raises: `OSError`."""
    written = asdict(replace(fleet, key=""))
    del written["key"]
    write_whole(folder_of(fleet.name) / "fleet.json", json.dumps(written, indent=1) + "\n")


def write_supervisor(name: str, handle: Handle) -> None:
    """Name the process that looks after a fleet. Raises: `OSError`."""
    write_whole(folder_of(name) / "supervisor.json", json.dumps(asdict(handle)) + "\n")


def read_supervisor(name: str) -> Handle | None:
    """The process that looks after a fleet, or did; None if none ever has."""
    try:
        return Handle(**json.loads((folder_of(name) / "supervisor.json").read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as error:
        raise FleetError(f"the supervisor of the fleet {name} cannot be read: {error}") from error


def write_whole(path: Path, text: str) -> None:
    """A file for its owner's eyes, there as a whole or as it was before. Raises: `OSError`."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())  # or a power cut may leave an empty file under the new name
        draft.replace(path)
    except BaseException:
        with suppress(OSError):
            draft.unlink()
        raise


def _fleet(written: dict[str, Any], key: str) -> Fleet:
    """Raises: KeyError, TypeError, ValueError for what `write_fleet` has not written."""
    replicas = tuple(_replica(each) for each in written.pop("replicas"))
    return Fleet(**written, replicas=replicas, key=key)


def _replica(written: dict[str, Any]) -> Replica:
    load, handle = written.pop("load"), written.pop("handle")
    if written["state"] not in get_args(State):
        raise ValueError(f"there is no state {written['state']!r}")
    return Replica(
        **written,
        load=None if load is None else Load(**load),
        handle=None if handle is None else Handle(**handle),
    )
