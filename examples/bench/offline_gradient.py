"""What the offline model's solve rate depends on, and what the children are like that it writes.

    python examples/bench/offline_gradient.py gradient [--tasks 60]
    python examples/bench/offline_gradient.py children [--tasks 40] [--children 40]

`gradient` measures variants of the seed agent, each with one or two settings of its source changed. `children` lets the
seed rewrite itself, each time from the diagnosis of another failure, and measures every child that lives. Both use the
real boxes, the real judge and the search split of the repair benchmark.
"""

import argparse
import json
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from difflib import unified_diff
from pathlib import Path
from statistics import mean

from archive import Outcome
from evolve.ancestor import ancestor
from evolve.jobs import EvaluationJob, Evidence, ExpansionJob, Record
from evolve.llm import parse_transcript, render
from evolve.settings import Settings
from evolve.shape import shape
from evolve.workshop import Workshop

Agent = dict[str, bytes]
STEPS, PARALLEL, TEMPERATURE = "MAX_STEPS = 30", "PARALLEL_TOOL_CALLS = False", "TEMPERATURE = 1.0"
KEEP, HEAD = "KEEP_FULL_OBSERVATIONS = 6", "OUTPUT_HEAD = 5000"
VARIANTS: dict[str, dict[str, str]] = {
    "15 steps": {STEPS: "MAX_STEPS = 15"},
    "the seed (30 steps)": {},
    "60 steps": {STEPS: "MAX_STEPS = 60"},
    "120 steps": {STEPS: "MAX_STEPS = 120"},
    "temperature 0": {TEMPERATURE: "TEMPERATURE = 0.0"},
    "temperature 0.5": {TEMPERATURE: "TEMPERATURE = 0.5"},
    "temperature 2": {TEMPERATURE: "TEMPERATURE = 2.0"},
    "parallel calls": {PARALLEL: "PARALLEL_TOOL_CALLS = True"},
    "15 steps, parallel": {STEPS: "MAX_STEPS = 15", PARALLEL: "PARALLEL_TOOL_CALLS = True"},
    "60 steps, parallel": {STEPS: "MAX_STEPS = 60", PARALLEL: "PARALLEL_TOOL_CALLS = True"},
    "120 steps, keep 0": {STEPS: "MAX_STEPS = 120", KEEP: "KEEP_FULL_OBSERVATIONS = 0"},
    "a head of 300 bytes": {HEAD: "OUTPUT_HEAD = 300", "OUTPUT_TAIL = 5000": "OUTPUT_TAIL = 300"},
    "asked for one command": {
        "Run the tests after each change,": "Make a change and run the tests in one command.\nRun the tests always,"
    },
}


def variant(seed: Agent, changes: dict[str, str]) -> Agent:
    agent = dict(seed)
    for old, new in changes.items():
        (path,) = [path for path, content in agent.items() if old.encode() in content]
        agent[path] = agent[path].replace(old.encode(), new.encode())
    return agent


def measure(workshop: Workshop, agent: Agent, tasks: list[str], name: str) -> list[Record]:
    jobs = [EvaluationJob(f"{name}-{i}", agent, task, 1000 + i) for i, task in enumerate(tasks)]
    with ThreadPoolExecutor(workshop.house.settings.workers) as pool:
        return list(pool.map(workshop.perform, jobs))


def report_voids(records: list[Record]) -> None:
    """Say why the house could not measure something: such a row makes a rate too low."""
    for record in records:
        if record.outcome is Outcome.VOID:
            print(f"  void: {record.reason}")


def solved(records: list[Record]) -> int:
    return sum(record.outcome is Outcome.RESOLVED for record in records)


def gradient(workshop: Workshop, seed: Agent, tasks: list[str]) -> None:
    print(f"{'variant':24} solved  calls  seconds (median, longest)  outcomes")
    for name, changes in VARIANTS.items():
        records = measure(workshop, variant(seed, changes), tasks, name.replace(" ", "-").replace(",", ""))
        seconds = sorted(record.seconds for record in records)
        print(
            f"{name:24} {solved(records) / len(tasks):5.0%} {mean(record.steps for record in records):7.1f}"
            f"  {seconds[len(seconds) // 2]:6.2f} {seconds[-1]:6.1f}"
            f"  {dict(Counter(str(record.outcome) for record in records))}",
            flush=True,
        )
        report_voids(records)


def evidence(workshop: Workshop, task: str, record: Record) -> Evidence:
    facts = json.loads(record.files["verdict.json"])
    transcript = render(parse_transcript(record.files["transcript.jsonl"].decode().split("\n")), 24_000)
    failure = (facts["grading"] or {}).get("visible_failure", "")
    patch = record.files["patch.diff"].decode()
    account = facts["agent"]["account"]
    return Evidence(
        task, workshop.benchmark.task(task).problem, str(record.outcome), account, transcript, patch, failure
    )


def children(workshop: Workshop, seed: Agent, tasks: list[str], wanted: int) -> None:
    before = measure(workshop, seed, tasks, "seed")
    print(f"the seed solves {solved(before)} of {len(tasks)}")
    failures = [
        (task, record) for task, record in zip(tasks, before, strict=True) if record.outcome is not Outcome.RESOLVED
    ]
    known, outcomes, gains = {shape(seed)}, Counter[str](), Counter[str]()
    for number in range(wanted):
        seen = evidence(workshop, *failures[number % len(failures)])
        born = workshop.perform(ExpansionJob(f"child-{number}", seed, None, (seen,), number, frozenset(known)))
        outcomes[str(born.outcome)] += 1
        if born.outcome is not Outcome.BORN or born.child is None or born.shape is None:
            print(f"{number:3} {born.outcome}: {born.reason[:100]}", flush=True)
            continue
        known.add(born.shape)
        after = measure(workshop, dict(born.child), tasks, f"of-child-{number}")
        gain = solved(after) - solved(before)
        gains["better" if gain >= 2 else "worse" if gain <= -2 else "equal"] += 1
        print(f"{number:3} {gain:+3} {'; '.join(changed(seed, dict(born.child)))[:150]}", flush=True)
    print(f"of {wanted} expansions: {dict(outcomes)}; children (2 tasks or more apart): {dict(gains)}")


def changed(old: Agent, new: Agent) -> list[str]:
    lines = []
    for path in sorted(old.keys() | new.keys()):
        texts = [agent.get(path, b"").decode().splitlines() for agent in (old, new)]
        lines += [
            line
            for line in unified_diff(*texts, n=0, lineterm="")
            if line[0] in "+-" and line[:3] not in ("+++", "---")
        ]
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("part", choices=["gradient", "children"])
    parser.add_argument("--tasks", type=int, default=60)
    parser.add_argument("--children", type=int, default=40)
    arguments = parser.parse_args()
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, Workshop(Settings(workers=2), Path(folder)) as workshop:
        workshop.prepare()
        tasks = list(workshop.benchmark.tasks("search"))[: arguments.tasks]
        if arguments.part == "gradient":
            gradient(workshop, ancestor(None), tasks)
        else:
            children(workshop, ancestor(None), tasks, arguments.children)
    print(f"{time.monotonic() - started:.0f} seconds")


if __name__ == "__main__":
    main()
