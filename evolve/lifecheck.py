"""The life check: whether a child can live, before it joins the tree (agent_seed/CONTRACT.md).

In a closed box it must byte-compile, pass its own self-check, and solve a small scripted exercise against a scripted
model, which also sends it calls that are malformed. What the agent prints or claims does not count.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from evolve.house import House
from evolve.llm import Caps, Model, Price, Role, Scope
from evolve.llm.scripted import ScriptedProvider, exercise, failure
from evolve.rollout import GRACE_SECONDS, Problem, rollout
from sandbox import File, Result, SandboxError

SECONDS = 20.0
"""For each of the three parts, so that all is over within a minute."""
CALLS = 40
"""Model calls after which an agent is taken to be caught in a loop."""
FREE = Price(0.0, 0.0)
COMPILE = (
    "import pathlib, sys\n"
    "for path in sorted(pathlib.Path('agent').rglob('*.py')):\n"
    "    compile(path.read_bytes(), str(path), 'exec')\n"
)


@dataclass(frozen=True, slots=True)
class Death:
    """Why an agent cannot live."""

    reason: str
    """In one sentence."""
    clocked: bool = False
    """Whether it was too slow: on another machine, or at another time, it might have lived."""


def life_check(agent: Mapping[str, bytes], house: House, scope: Scope) -> Death | None:
    """Why the agent cannot live; None if it can. Raises: `SandboxError`."""
    with house.sandbox.open(limits=house.limits, image=house.image) as box:
        box.put({f"agent/{path}": File(content) for path, content in agent.items()})
        compiled = box.run(["python", "-c", COMPILE], seconds=SECONDS)
        if not compiled.ok:
            return Death(f"does not compile: {last_line(compiled)}", compiled.timed_out)
        checked = box.run(["python", "-m", "agent", "--selfcheck"], seconds=SECONDS)
        if not checked.ok:
            return Death(f"fails its self-check: {last_line(checked)}", checked.timed_out)
    return scripted_exercise(agent, house, scope)


def scripted_exercise(agent: Mapping[str, bytes], house: House, scope: Scope) -> Death | None:
    """Why the agent fails the exercise, or None."""
    task = exercise(scope.seed)
    files = {path: File(content) for path, content in task.files.items()}
    problem = Problem(task.problem, files, None, "solve", SECONDS - GRACE_SECONDS)
    models: dict[Role, Model] = {"solve": Model(ScriptedProvider(), "exercise", FREE, mend=False)}
    run = rollout(house, agent, problem, scope, caps=Caps(calls=CALLS), models=models)
    if run.fault is not None:
        raise SandboxError(f"the scripted model failed: {run.fault}")
    if run.timed_out:
        return Death("does not end the scripted exercise in time", clocked=True)
    if run.crashed and run.status == "none":
        return Death(f"in the scripted exercise it {run.account}", run.clocked)
    after = {path: file.content for path, file in run.diff.apply(files).items()}
    failed = failure(task, run.messages, after, run.status, run.summary)
    return None if failed is None else Death(failed, run.clocked)


def last_line(result: Result) -> str:
    """The line that says most about a failed command."""
    if result.timed_out:
        return f"not done after {SECONDS:.0f} seconds"
    lines = (result.stderr or result.stdout).decode("utf-8", "replace").strip().splitlines()
    return lines[-1][:300] if lines else f"exit status {result.exit_code}"
