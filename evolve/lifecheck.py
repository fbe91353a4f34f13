"""The life check: whether a child can live, before it joins the tree (agent_seed/CONTRACT.md).

In a closed box it must byte-compile, pass its own self-check, and solve a small scripted exercise against a scripted
model, which also sends it calls that are malformed. What the agent prints or claims does not count.
"""

from __future__ import annotations

from collections.abc import Mapping

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


def life_check(agent: Mapping[str, bytes], house: House, scope: Scope) -> str | None:
    """Why the agent cannot live, in one sentence; None if it can. Raises: `SandboxError`."""
    with house.sandbox.open(limits=house.limits, image=house.image) as box:
        box.put({f"agent/{path}": File(content) for path, content in agent.items()})
        compiled = box.run(["python", "-c", COMPILE], seconds=SECONDS)
        if not compiled.ok:
            return f"does not compile: {last_line(compiled)}"
        checked = box.run(["python", "-m", "agent", "--selfcheck"], seconds=SECONDS)
        if not checked.ok:
            return f"fails its self-check: {last_line(checked)}"
    return scripted_exercise(agent, house, scope)


def scripted_exercise(agent: Mapping[str, bytes], house: House, scope: Scope) -> str | None:
    """Why the agent fails the exercise, or None."""
    task = exercise(scope.seed)
    files = {path: File(content) for path, content in task.files.items()}
    problem = Problem(task.problem, files, None, "solve", SECONDS - GRACE_SECONDS)
    models: dict[Role, Model] = {"solve": Model(ScriptedProvider(), "exercise", FREE, mend=False)}
    run = rollout(house, agent, problem, scope, caps=Caps(calls=CALLS), models=models)
    if run.fault is not None:
        raise SandboxError(f"the scripted model failed: {run.fault}")
    if run.timed_out:
        return "does not end the scripted exercise in time"
    if run.crashed and run.status == "none":
        return f"in the scripted exercise it {run.account}"
    after = {path: file.content for path, file in run.diff.apply(files).items()}
    return failure(task, run.messages, after, run.status, run.summary)


def last_line(result: Result) -> str:
    """The line that says most about a failed command."""
    if result.timed_out:
        return f"not done after {SECONDS:.0f} seconds"
    lines = (result.stderr or result.stdout).decode("utf-8", "replace").strip().splitlines()
    return lines[-1][:300] if lines else f"exit status {result.exit_code}"
