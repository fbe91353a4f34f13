"""Where the replicas of a service are: written in the settings, or in the registry of fleets, which changes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import urlsplit

from evolve.llm.base import ModelError
from evolve.vllm import Fleet, FleetError, Replica, folder_of, read_fleet


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One replica: how it is reached, and whether it may be called."""

    name: str
    """For people, and for `Completion.endpoint`; stays the same when the replica is restarted elsewhere."""
    url: str
    """Base URL, such as `http://127.0.0.1:8000/v1`."""
    socket: str | None = None
    """Unix socket to connect to in place of the URL's host."""
    key: str | None = field(default=None, repr=False)
    ready: bool = True
    """By the registry's word."""
    gone: bool = False
    """Whether calls under way there are lost: not while it drains."""
    why: str = ""
    """Why it is not ready."""

    @property
    def address(self) -> tuple[str, str | None, str | None]:
        """A replica at another address is another server, though it bears the same name."""
        return self.url, self.socket, self.key


class Roster(Protocol):
    """The replicas of a service, which may change at any time."""

    def read(self) -> Sequence[Endpoint]:
        """The same object as before while nothing has changed. Raises: `ModelError` if there is nothing to read."""
        ...

    def model(self, asked: str) -> str:
        """What the replicas call the model that a request asks for."""
        ...


class Listed:
    """Replicas at fixed addresses."""

    def __init__(self, urls: Sequence[str], key: str | None = None) -> None:
        self._endpoints = tuple(Endpoint(_host(url), url.rstrip("/"), key=key) for url in urls)

    def read(self) -> Sequence[Endpoint]:
        return self._endpoints

    def model(self, asked: str) -> str:
        return asked


class Registered:
    """The replicas of a fleet that `clade vllm up` started, followed through restarts, new addresses and draining."""

    def __init__(self, fleet: str) -> None:
        """Raises: `FleetError` for what cannot be a fleet's name."""
        self.fleet = fleet
        self._path = folder_of(fleet) / "fleet.json"
        self._read: tuple[int, int] | None = None
        self._endpoints: tuple[Endpoint, ...] = ()
        self._served_name = fleet

    def read(self) -> Sequence[Endpoint]:
        try:
            status = self._path.stat()
            now = (status.st_ino, status.st_mtime_ns)  # the file is replaced as a whole, never written into
            if now != self._read:
                self._take(read_fleet(self.fleet))
                self._read = now
        except FileNotFoundError:
            self._take(None)
            self._read = None
        except OSError as error:  # FleetError is one
            raise ModelError(str(error), kind="unavailable") from error
        if not self._endpoints:
            raise ModelError(
                f"there is no fleet {self.fleet!r} on this machine: start one with "
                f"`clade vllm up MODEL --name {self.fleet}`",
                kind="unavailable",
            )
        return self._endpoints

    def model(self, asked: str) -> str:
        return self._served_name

    def _take(self, fleet: Fleet | None) -> None:
        self._endpoints = () if fleet is None else tuple(_endpoint(fleet, each) for each in fleet.replicas)
        self._served_name = self.fleet if fleet is None else fleet.served_name


def fleet_of(name: str) -> Fleet:
    """The fleet as it is registered now. Raises: `ModelError` if there is none, with the cure."""
    try:
        fleet = read_fleet(name)
    except FleetError as error:
        raise ModelError(str(error), kind="refused") from error
    if fleet is None:
        raise ModelError(
            f"there is no fleet {name!r} on this machine: start one with `clade vllm up MODEL --name {name}`",
            kind="refused",
        )
    return fleet


def _endpoint(fleet: Fleet, replica: Replica) -> Endpoint:
    return Endpoint(
        name=f"{fleet.name}-{replica.index}",
        url=f"{replica.url}/v1",
        socket=replica.socket,
        key=fleet.key or None,
        ready=replica.state == "ready" and bool(replica.url),
        gone=replica.state in ("starting", "dead"),
        why=f"{replica.state}: {replica.why}" if replica.why else replica.state,
    )


def _host(url: str) -> str:
    """A URL's host, port and path: what may be shown of it, for some carry a password."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    path = parts.path.rstrip("/").removesuffix("/v1")
    return host + path
