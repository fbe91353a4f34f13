"""What an evaluation costs beyond the agent's and the tests' own processes, and where that goes.

    python examples/bench/evaluation_overhead.py [--sandbox bwrap|docker] [--tasks 20]

Runs the seed agent with the offline model on repair tasks, one at a time, with every call to the box timed. "agent and
tests" is the time inside `Box.run`; the rest is Clade's. A command's own start in a box is measured with `true` and
counted as overhead.
"""

import argparse
import statistics
import tempfile
import time
from collections import defaultdict
from pathlib import Path

from benchmarks import open_benchmark
from evolve.ancestor import ancestor
from evolve.evaluate import evaluate
from evolve.house import House
from evolve.jobs import EvaluationJob
from evolve.llm import Gateway, Ledger, open_models
from evolve.settings import Settings
from sandbox import Box, Sandbox, open_sandbox


class TimedBox(Box):
    """A box that notes how long each of its calls takes."""

    def __init__(self, box: Box, spent: dict[str, float]) -> None:
        self.box, self.spent = box, spent

    def _timed(self, name, *arguments, **options):
        began = time.perf_counter()
        try:
            return getattr(self.box, name)(*arguments, **options)
        finally:
            self.spent[name] += time.perf_counter() - began
            self.spent["runs"] += name == "run"

    def put(self, *arguments, **options):
        return self._timed("put", *arguments, **options)

    def run(self, *arguments, **options):
        return self._timed("run", *arguments, **options)

    def snapshot(self, *arguments, **options):
        return self._timed("snapshot", *arguments, **options)

    def read(self, *arguments, **options):
        return self._timed("read", *arguments, **options)

    def close(self):
        return self._timed("close")


class TimedSandbox:
    """A sandbox whose boxes are timed."""

    def __init__(self, sandbox: Sandbox, spent: dict[str, float]) -> None:
        self.sandbox, self.spent = sandbox, spent
        self.name, self.isolation = sandbox.name, sandbox.isolation

    def open(self, **options):
        began = time.perf_counter()
        box = self.sandbox.open(**options)
        self.spent["open"] += time.perf_counter() - began
        return TimedBox(box, self.spent)


def start_of_a_command(sandbox: Sandbox) -> float:
    """Median seconds of `true` in an open box."""
    with sandbox.open() as box:
        return statistics.median(box.run(["true"], seconds=10).seconds for _ in range(20))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sandbox", default="bwrap", choices=["bwrap", "docker"])
    parser.add_argument("--tasks", type=int, default=20)
    options = parser.parse_args()
    settings = Settings(rollout={"solve_seconds": 60})
    sandbox = open_sandbox(options.sandbox)
    models = open_models({"solve": "offline", "improve": "offline", "diagnose": "offline"})
    agent = ancestor(None)
    rows = []
    with tempfile.TemporaryDirectory() as cache, Gateway(models, Ledger(None)) as gateway:
        scratch = Path(cache)
        scratch.chmod(0o711)
        benchmark = open_benchmark("repair", {}, scratch / "proofs")
        benchmark.prepare(sandbox)
        command = start_of_a_command(sandbox)
        for number, task in enumerate(benchmark.tasks("search")[: options.tasks]):
            spent = defaultdict(float)
            timed = TimedSandbox(sandbox, spent)
            began = time.perf_counter()
            house = House(settings, timed, gateway, scratch)
            evaluate(EvaluationJob(f"evaluation-{number}", agent, task, number), house, benchmark)
            spent["whole"] = time.perf_counter() - began
            rows.append(spent)
    sandbox.close()
    median = {
        name: statistics.median(row[name] for row in rows) * 1000
        for name in ("open", "put", "snapshot", "read", "close", "run", "whole")
    }
    starts = statistics.median(row["runs"] for row in rows) * command * 1000
    elsewhere = (
        statistics.median(
            row["whole"] - sum(row[name] for name in ("open", "put", "snapshot", "read", "close", "run"))
            for row in rows
        )
        * 1000
    )
    overhead = statistics.median(row["whole"] - row["run"] + row["runs"] * command for row in rows) * 1000
    print(f"{options.sandbox}, {len(rows)} evaluations, medians in milliseconds")
    print(f"{'whole evaluation':32}{median['whole']:9.1f}")
    print(f"{'agent and tests':32}{median['run'] - starts:9.1f}")
    print(f"{'overhead':32}{overhead:9.1f}")
    for name, label in (
        ("open", "two boxes opened"),
        ("put", "files put in"),
        ("snapshot", "workspace read out"),
        ("read", "files read out"),
        ("close", "two boxes closed"),
    ):
        print(f"  {label:30}{median[name]:9.1f}")
    print(f"  {'commands started':30}{starts:9.1f}   ({command * 1000:.1f} each)")
    print(f"  {'gateway, diff, verdict, else':30}{elsewhere:9.1f}")


if __name__ == "__main__":
    main()
