"""Fleets of stand-ins for vLLM, each test or module with a state folder of its own, and nothing left running."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.client import HTTPConnection
from pathlib import Path
from socket import AF_UNIX, socket
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import pytest

from evolve.vllm import Fleet, Pace, Plan, Replica, names, read_fleet, stop

FAST = Pace(
    poll=0.1, start=30, first_answer=10, hang=0.5, probe=0.5, drain=10, settle=0.2, stop=2, backoff=0.1, failures=3
)
STAND_IN = Path(__file__).with_name("stand_in.py")


@contextmanager
def state_folder(patch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A user's state folder; short, because Unix sockets' paths must be."""
    folder = Path(tempfile.mkdtemp(prefix="fleets-"))
    patch.setenv("XDG_STATE_HOME", str(folder))
    for name in [name for name in os.environ if name.startswith(("STAND_IN_", "VLLM_"))]:
        patch.delenv(name)
    yield folder
    for name in names():
        if (folder / "clade" / "vllm" / name / "plan.json").exists():
            stop(name, lambda _: None)
    shutil.rmtree(folder)


def stand_in(folder: Path) -> Path:
    """The stand-in as a program called vllm."""
    program = folder / "vllm"
    program.write_text(f"#!{sys.executable}\n{STAND_IN.read_text()}")
    program.chmod(0o755)
    return program


def one_replica(executable: Path) -> Plan:
    """Looked at often."""
    known = frozenset({"--uds", "--shutdown-timeout"})
    return Plan("demo", "owner/Qwen2.5-1B", "process", str(executable), tool_parser="hermes", known=known, pace=FAST)


@pytest.fixture
def state(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A state folder of the test's own."""
    with state_folder(monkeypatch) as folder:
        yield folder


@pytest.fixture
def plan(state: Path, tmp_path: Path) -> Plan:
    """One replica."""
    return one_replica(stand_in(tmp_path))


@pytest.fixture(scope="module")
def standing_plan(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plan]:
    """Two replicas on two GPUs each, for a module whose tests share a fleet and its state folder."""
    patch = pytest.MonkeyPatch()
    with state_folder(patch):
        plan = one_replica(stand_in(tmp_path_factory.mktemp("program")))
        yield replace(plan, replicas=2, gpus=((0, 1), (4, 5)), extra=("--seed", "7"), max_model_len=512)
    patch.undo()


def eventually(true: Callable[[], Any], seconds: float = 30.0) -> Any:
    """What `true` gives as soon as that is something."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := true():
            return found
        time.sleep(0.02)
    raise AssertionError(f"not within {seconds:g} s; the fleet: {[read_fleet(name) for name in names()]}")


def ready(name: str = "demo", restarts: int = 0) -> Fleet:
    """The fleet, when all its replicas are ready and have been restarted that often."""

    def found() -> Fleet | None:
        fleet = read_fleet(name)
        if fleet is None or not fleet.replicas:
            return None
        well = all(each.state == "ready" and each.load and each.restarts >= restarts for each in fleet.replicas)
        return fleet if well else None

    fleet = eventually(found)
    assert isinstance(fleet, Fleet)
    return fleet


def ask(fleet: Fleet, path: str = "/v1/chat/completions", replica: int = 0, key: str | None = None) -> int:
    """POST to a replica as the gateway would; the status."""
    body = json.dumps({"model": fleet.served_name, "messages": [], "max_tokens": 1}).encode()
    headers = {"authorization": f"Bearer {fleet.key if key is None else key}"}
    connection = connected(fleet.replicas[replica])
    try:
        connection.request("POST", path, body, headers)
        response = connection.getresponse()
        response.read()  # or the server's last bytes would meet a closed connection
        return response.status
    finally:
        connection.close()


def connected(replica: Replica) -> HTTPConnection:
    """A connection to a replica, by socket or port."""
    if replica.socket is None:
        return HTTPConnection(urlsplit(replica.url).netloc, timeout=30)
    connection = HTTPConnection("localhost", timeout=30)
    connection.sock = socket(AF_UNIX)
    connection.sock.settimeout(30)
    connection.sock.connect(replica.socket)
    return connection


def session_of(pid: int) -> list[int]:
    """The living processes of a session."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except (FileNotFoundError, ProcessLookupError):
                continue
            if int(fields[3]) == pid and fields[0] not in "ZX":
                found.append(int(entry.name))
    return found


@pytest.fixture(scope="module")
def lab() -> SimpleNamespace:
    """What the tests of this folder do with a fleet."""
    return SimpleNamespace(eventually=eventually, ready=ready, ask=ask, session_of=session_of)
