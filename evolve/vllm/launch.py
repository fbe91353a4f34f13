"""Fleets from the outside: a supervisor started for one, and the end of it, also where its supervisor has crashed."""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace

from evolve.vllm import logs
from evolve.vllm.engine import engine_of
from evolve.vllm.plan import OPTIONAL, Plan, read_plan, write_plan
from evolve.vllm.process import alive
from evolve.vllm.registry import (
    FleetError,
    Handle,
    folder_of,
    read_fleet,
    read_supervisor,
    write_whole,
)
from evolve.vllm.replica import put_away

_SPAWN = 30.0  # seconds for a supervisor to say that it is there
_MARGIN = 30.0  # seconds that a supervisor may take to end, beyond those it gives its replicas

Say = Callable[[str], None]


def checked(plan: Plan) -> Plan:
    """The plan with what this version of vLLM knows. Raises: `FleetError` if it lacks one of the parsers."""
    engine = engine_of(plan)
    try:
        told = engine.check()
    finally:
        engine.close()
    for flag, parser in (("--tool-call-parser", plan.tool_parser), ("--reasoning-parser", plan.reasoning_parser)):
        listed = _choices(told, flag)
        if parser is not None and listed and parser not in listed:
            raise FleetError(
                f"{plan.program} has no {flag} {parser}; it has: {', '.join(sorted(listed))}; take a newer version, or "
                "another parser with --tool-parser or --reasoning-parser"
            )
    return replace(plan, known=frozenset(flag for flag in (*OPTIONAL, "--uds") if _has(told, flag)))


def start(plan: Plan) -> None:
    """Start a fleet's supervisor, which takes over what an earlier one may have left; nothing, if it runs already.

    Raises: `FleetError` if another fleet of this name runs.
    """
    folder = plan.folder
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with _alone(plan.name):
        running = supervised(plan.name)
        before = read_plan(plan.name)
        if (running or _left(plan.name)) and before != plan:
            raise FleetError(
                f"a fleet {plan.name} runs already, with other options; end it with `clade vllm down {plan.name}`, or "
                "give this one another --name"
            )
        if running:
            return
        if before != plan or not (folder / "key").exists():
            (folder / "fleet.json").unlink(missing_ok=True)
            write_whole(folder / "key", secrets.token_urlsafe(32) + "\n")
            write_plan(plan)
        _spawn(plan)


def stop(name: str, say: Say) -> None:
    """Drain and end a fleet, and forget it; its logs stay.

    Raises: `FleetError` if there is none of this name, or something of it cannot be ended.
    """
    folder = folder_of(name)
    if not any((folder / file).exists() for file in ("plan.json", "fleet.json")):
        raise FleetError(f"there is no fleet {name}; `clade vllm status` lists those that there are")
    with _alone(name):
        plan = _plan_or_what_is_left_of_it(name, say)
        supervisor = _supervisor(name)
        if supervisor is not None:
            _end(supervisor, plan, say)
        _clear_away(plan)
        for file in ("fleet.json", "supervisor.json", "plan.json", "key"):
            (folder / file).unlink(missing_ok=True)
        for socket in folder.glob("replica-*.sock"):
            socket.unlink(missing_ok=True)


def supervised(name: str) -> bool:
    """Does a fleet's supervisor live?"""
    return _supervisor(name) is not None


def tail_of(name: str, replica: int | None, lines: int) -> list[str]:
    """The last lines of a replica's log, or of the supervisor's. Raises: `FleetError` if there is no such log."""
    folder = folder_of(name)
    plan = read_plan(name)
    if replica is None:
        told = logs.tail(folder / "supervisor.log", lines)
    elif plan is None:
        told = logs.tail(folder / f"replica-{replica}.log", lines)
    else:
        fleet = read_fleet(name)
        handle = next((each.handle for each in (fleet.replicas if fleet else ()) if each.index == replica), None)
        engine = engine_of(plan)
        try:
            told = engine.tail(replica, handle, lines)
        finally:
            engine.close()
    if not told and not list(folder.glob("*.log")):
        raise FleetError(f"there is no log of a fleet {name}; `clade vllm status` lists the fleets")
    if not told and replica is not None and plan is not None and replica >= plan.replicas:
        raise FleetError(f"the fleet {name} has no replica {replica}: they are numbered 0 to {plan.replicas - 1}")
    return told


def _spawn(plan: Plan) -> None:
    """Start a supervisor that outlives us, and wait until it has said who it is. Raises: `FleetError`."""
    (plan.folder / "supervisor.json").unlink(missing_ok=True)
    path = plan.folder / "supervisor.log"
    log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        child = subprocess.Popen(
            [sys.executable, "-P", "-m", "evolve.vllm.supervisor", plan.name],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",
            start_new_session=True,
        )
    finally:
        os.close(log)
    deadline = time.monotonic() + _SPAWN
    while not supervised(plan.name):
        if child.poll() is not None or time.monotonic() > deadline:
            words = logs.last_words(logs.tail(path, 20))
            raise FleetError(f"the supervisor of the fleet {plan.name} did not start: {words}")
        time.sleep(0.05)
    child.returncode = 0  # it is not ours to wait for: it lives on when this process ends


def _end(supervisor: Handle, plan: Plan, say: Say) -> None:
    """Ask a supervisor to end its fleet; after a long while, end it."""
    pace = plan.pace
    with suppress(ProcessLookupError):
        os.kill(supervisor.pid, signal.SIGTERM)
    deadline = time.monotonic() + pace.settle + pace.drain + pace.stop + _MARGIN
    told: dict[int, str] = {}
    while alive(supervisor) and time.monotonic() < deadline:
        fleet = read_fleet(plan.name)
        for replica in fleet.replicas if fleet else ():
            if told.get(replica.index) != replica.state:
                told[replica.index] = replica.state
                say(f"replica {replica.index}: {replica.state}")
        time.sleep(0.1)
    if alive(supervisor):
        say("the supervisor does not end by itself and is killed")
        with suppress(ProcessLookupError):
            os.kill(supervisor.pid, signal.SIGKILL)


def _clear_away(plan: Plan) -> None:
    """End what runs without a supervisor, and whatever else carries the fleet's mark. Raises: `FleetError`."""
    engine = engine_of(plan)
    try:
        handles = {*_handles(plan.name), *engine.strays()}
        put_away(engine, list(handles), plan.pace.stop)
        if left := engine.strays():
            raise FleetError(f"{len(left)} replica(s) of the fleet {plan.name} cannot be ended; try again")
    finally:
        engine.close()


def _plan_or_what_is_left_of_it(name: str, say: Say) -> Plan:
    """Also a fleet whose files are damaged can be ended: what runs of it carries its mark."""
    try:
        plan = read_plan(name)
    except FleetError as error:
        say(str(error))
        plan = None
    if plan is not None:
        return plan
    containers = any("docker" in line for line in _text(name, "plan.json") + _text(name, "fleet.json"))
    return Plan(name, "", "docker" if containers else "process", "")


def _text(name: str, file: str) -> list[str]:
    try:
        return (folder_of(name) / file).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []


def _handles(name: str) -> list[Handle]:
    with suppress(FleetError):  # damaged: then the marks must do
        fleet = read_fleet(name)
        return [each.handle for each in (fleet.replicas if fleet else ()) if each.handle is not None]
    return []


def _left(name: str) -> bool:
    """Does anything run that is written in a fleet's registry?"""
    plan = read_plan(name)
    handles = _handles(name)
    if plan is None or not handles:
        return False
    engine = engine_of(plan)
    try:
        return any(engine.ended(handle) is None for handle in handles)
    finally:
        engine.close()


def _supervisor(name: str) -> Handle | None:
    """The fleet's supervisor if it lives. Raises: `FleetError`."""
    supervisor = read_supervisor(name)
    return supervisor if supervisor is not None and alive(supervisor) else None


@contextmanager
def _alone(name: str) -> Iterator[None]:
    """One `up` or `down` of a fleet at a time. Raises: `FleetError` if another is under way."""
    with (folder_of(name) / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise FleetError(
                f"another `clade vllm up` or `down` of the fleet {name} is under way; wait for it"
            ) from None
        yield


def _has(told: str, flag: str) -> bool:
    return re.search(rf"(?<![\w-]){re.escape(flag)}(?![\w-])", told) is not None


def _choices(told: str, flag: str) -> set[str]:
    """The values that a help text lists for a flag, as `FLAG {a,b,c}`; empty if it lists none."""
    match = re.search(rf"(?<![\w-]){re.escape(flag)}\s+\{{([^}}]*)\}}", told)
    return set() if match is None else {each.strip() for each in match[1].split(",") if each.strip()}
