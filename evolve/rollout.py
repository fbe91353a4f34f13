"""One rollout: one agent, one box, one problem; out come a checked diff, a transcript that we took, and a bill.

The agent's folder is mounted read-only, its repository is put in as plain data, its only window is the gateway's
socket. What it changed is found by comparing the workspace with what was put in, also when it was killed: partial work
counts.
"""

from __future__ import annotations

import json
import math
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from archive import Call
from benchmarks import Environment
from evolve.house import House
from evolve.llm import Caps, Json, Model, Role, Scope
from sandbox import GATEWAY, Box, Diff, File, Result, SandboxError, Snapshot, Tree, compare

PROTOCOL = 1
HOME = "/opt/clade"
"""Where the agent's folder is mounted, under the name `agent`."""
DESK = "/box/desk"
"""Where request, result and the agent's own transcript lie: outside the repository."""
ENVIRONMENT = {"CLADE_SOCKET": f"{GATEWAY}/gateway.sock"}
GRACE_SECONDS = 5.0
"""Between the time that the agent is told and the time it is killed: for it to write its result."""
NEXT_TO_NOTHING = 0.1
"""Share of its time with which an agent cannot do much any more."""
KEPT_STDERR = 4000
SETUP_SECONDS = 600.0
"""Time limit of one of the house's commands before the agent starts."""


@dataclass(frozen=True, slots=True)
class Problem:
    """What an agent is asked to do."""

    text: str
    repository: Tree
    test_command: str | None
    role: Role
    seconds: float
    environment: Environment = field(default_factory=Environment)
    setup: tuple[tuple[str, ...], ...] = ()
    """The house's commands before the agent starts; the repository is what they leave."""


@dataclass(frozen=True, slots=True)
class Rollout:
    """How it went. Everything here but `status`, `summary` and `stderr` was seen by us, not told by the agent."""

    diff: Diff
    status: str
    """What the agent says of itself: `done`, `gave_up`, `error`; or `none` when it left no readable result."""
    summary: str
    exit_code: int | None
    timed_out: bool
    stderr: str
    seconds: float
    box_seconds: float
    """Of `seconds`, what was spent outside the agent: opening, filling, reading and closing its box."""
    steps: int
    calls: tuple[Call, ...]
    fault: str | None
    """The house's fault that kept the agent from its model, if any."""
    spent_out: str | None
    """`rollout` or `run`: whose budget ended during it, if any."""
    waited: float
    """Seconds lost to failed tries at the model's service and the pauses between them."""
    transcript: bytes
    messages: tuple[Json, ...] = ()
    """What the agent sent last to its model."""
    left: float = math.inf
    """Seconds of its time that it did not use."""

    @property
    def ran_out(self) -> bool:
        """Killed at the limit, or ended of itself with next to nothing left: agents mind the clock."""
        return self.timed_out or self.left <= max(GRACE_SECONDS, NEXT_TO_NOTHING * self.seconds)

    @property
    def clocked(self) -> bool:
        """Whether with other clocks it could have ended otherwise."""
        return self.ran_out or any(call.status == "cancelled" for call in self.calls)

    @property
    def crashed(self) -> bool:
        return not self.timed_out and (self.exit_code != 0 or self.status in ("none", "error"))

    @property
    def account(self) -> str:
        """One line on how the agent ended."""
        if self.timed_out:
            return "killed at its time limit"
        if self.crashed and self.status == "none":
            last = self.stderr.strip().splitlines()[-1:] or ["no message"]
            return f"crashed with exit status {self.exit_code}: {last[0]}"
        return f"{self.status}: {self.summary}"


def rollout(
    house: House,
    agent: Mapping[str, bytes],
    problem: Problem,
    scope: Scope,
    *,
    caps: Caps | None = None,
    models: Mapping[Role, Model] | None = None,
) -> Rollout:
    """Let an agent work on a problem.

    `caps` and `models` replace the house's own (for the life check). Raises: `SandboxError` for the house's faults.
    """
    started = time.monotonic()
    around = problem.environment
    variables = {**around.variables, **ENVIRONMENT}
    with tempfile.TemporaryDirectory(dir=house.scratch) as name:
        scratch = Path(name)
        scratch.chmod(0o755)
        place(agent, scratch / "home" / "agent")
        with (
            house.gateway.session(scope, log=scratch, caps=caps or house.caps, models=models) as session,
            house.sandbox.open(
                limits=house.limits,
                mounts={**around.mounts, HOME: scratch / "home"},
                gateway=session.directory,
                image=around.image or house.image,
                workspace=around.workspace,
            ) as box,
        ):
            before = furnish(box, problem)
            box.put({"request.json": File(request(problem, box.work))}, into=DESK)
            began = time.monotonic()
            session.begins(problem.seconds)
            # Started from its parent folder, not by PYTHONPATH: what the agent runs must not find the agent itself.
            result = box.run(command(around.python), seconds=problem.seconds + GRACE_SECONDS, cwd=HOME, env=variables)
            worked = time.monotonic() - began
            after = box.snapshot()
            told = report(box.read(f"{DESK}/result.json", limit=1_000_000))
        path = scratch / "transcript.jsonl"
        transcript = path.read_bytes() if path.exists() else b""
    diff = compare(before, after)
    told_of = {"the changes": diff.text, "the result": told["summary"], "the messages": last_words(result)}
    for what, text in told_of.items():
        house.tripwire.search(text.encode("utf-8", "surrogateescape"), f"{what} of {scope.key}")
    seconds = time.monotonic() - started
    return Rollout(
        diff=diff,
        status=told["status"],
        summary=told["summary"],
        exit_code=result.exit_code,
        timed_out=result.timed_out,
        stderr=last_words(result),
        seconds=seconds,
        box_seconds=seconds - worked,
        steps=session.steps,
        calls=session.bill,
        fault=house.tripwire.breach or session.fault,
        spent_out=session.spent_out,
        waited=session.waited,
        transcript=transcript,
        messages=tuple(session.last_messages),
        left=problem.seconds - worked,
    )


def furnish(box: Box, problem: Problem) -> Tree | Snapshot:
    """Put the repository in, run the house's set-up, and say what an agent that does nothing would leave behind.

    Raises: `SandboxError` if a set-up command fails.
    """
    if problem.repository:
        box.put(problem.repository)
    for argv in problem.setup:
        result = box.run(argv, seconds=SETUP_SECONDS, env=problem.environment.variables)
        if not result.ok:
            how = "did not end" if result.timed_out else f"ended with status {result.exit_code}"
            raise SandboxError(f"the task's set-up {how}: {' '.join(argv)[:200]}: {last_words(result).strip()[-500:]}")
    # What an image holds, and what set-up made of it, is the task's and not the agent's.
    return box.snapshot() if problem.setup or problem.environment.workspace else problem.repository


def place(agent: Mapping[str, bytes], folder: Path) -> None:
    """Write an agent's files, readable for the box's user; its paths were checked when it entered the archive."""
    for path, content in agent.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    for entry in (folder.parent, folder, *folder.rglob("*")):
        entry.chmod(0o755 if entry.is_dir() else 0o644)


def request(problem: Problem, repository: str) -> bytes:
    body = {
        "protocol": PROTOCOL,
        "problem": problem.text,
        "repository": repository,
        "test_command": problem.test_command,
        "seconds": problem.seconds,
        "role": problem.role,
    }
    return json.dumps(body, ensure_ascii=False).encode("utf-8", "surrogatepass")


def command(python: str) -> list[str]:
    files = {"--request": "request.json", "--result": "result.json", "--transcript": "transcript.jsonl"}
    return [python, "-m", "agent", *(part for flag, name in files.items() for part in (flag, f"{DESK}/{name}"))]


def report(content: bytes | None) -> dict[str, str]:
    """What the agent says of itself, believed only as a description."""
    try:
        told = json.loads(content or b"null")
    except (ValueError, RecursionError):
        told = None
    if not isinstance(told, dict) or told.get("status") not in ("done", "gave_up", "error"):
        return {"status": "none", "summary": ""}
    return {"status": told["status"], "summary": str(told.get("summary", ""))[:2000]}


def last_words(result: Result) -> str:
    return result.stderr.decode("utf-8", "replace")[-KEPT_STDERR:]
