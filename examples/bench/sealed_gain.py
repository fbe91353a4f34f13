"""Does evolution evolve? Grow trees with many seeds and measure the chosen agent beside the seed agent on sealed tasks.

    python examples/bench/sealed_gain.py OUT [--seeds 10] [--evaluations 100] [--tasks 60]

For each seed: a fresh offline run on the repair benchmark's search tasks, the agent that `clade best` would name, and
both it and the seed agent on the same sealed tasks, which no run has seen. Prints one line a seed and the pooled
paired result. Finished runs in OUT are not repeated, so it can be stopped and started again.
"""

import argparse
import json
import re
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import numpy as np

from archive import Archive
from evolve.statistics.paired import compare, successes

CLADE = [sys.executable, "-c", "from evolve.cli import main; main()"]


def clade(*arguments: str) -> str:
    done = subprocess.run([*CLADE, *arguments], check=True, stdout=subprocess.PIPE, text=True)
    return done.stdout


def grow(run: Path, seed: int, evaluations: int) -> int:
    """The chosen agent of a finished run."""
    if not (run / "run.toml").exists():
        run.mkdir(parents=True, exist_ok=True)
        text = files("evolve").joinpath("template.toml").read_text("utf-8")
        text = re.sub(r"^seed = \d+", f"seed = {seed}", text, count=1, flags=re.MULTILINE)
        text = re.sub(r"^evaluations = \d+", f"evaluations = {evaluations}", text, count=1, flags=re.MULTILINE)
        (run / "run.toml").write_text(text)
    clade("run", str(run), "--plain")
    return int(json.loads(clade("best", str(run), "--json"))["agent"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--evaluations", type=int, default=100)
    parser.add_argument("--tasks", type=int, default=60)
    options = parser.parse_args()
    pooled_best, pooled_seed, gains = {}, {}, []
    for seed in range(options.seeds):
        run = options.out / f"seed-{seed}"
        best = grow(run, seed, options.evaluations)
        for agent in sorted({0, best}):
            clade("evaluate", str(run), str(agent), "--split", "sealed", "--limit", str(options.tasks), "--json")
        with Archive.open(run) as archive:
            history = archive.history()
        chosen, seeds = (successes(history.evaluations, agent, "sealed") for agent in (best, 0))
        paired = compare(chosen, seeds)
        gains.append(paired.difference)
        pooled_best |= {f"{seed}/{task}": share for task, share in chosen.items()}
        pooled_seed |= {f"{seed}/{task}": share for task, share in seeds.items()}
        born = len(history.agents) - 1
        print(
            f"seed {seed}: {born} children, best is agent {best}: "
            f"{paired.a.passed}/{paired.a.n} against {paired.b.passed}, "
            f"gain {paired.difference:+.1%} ({paired.low:+.1%} to {paired.high:+.1%}), p = {paired.p:.3g}",
            flush=True,
        )
    pooled = compare(pooled_best, pooled_seed)
    # Runs are the unit that is independent: the interval over seeds is the honest one.
    draws = np.random.default_rng(0).choice(gains, (20_000, len(gains))).mean(axis=1)
    low, high = np.quantile(draws, [0.025, 0.975])
    better = sum(gain > 0 for gain in gains)
    print(f"better on sealed tasks in {better} of {len(gains)} runs, equal in {sum(gain == 0 for gain in gains)}")
    print(f"mean gain {np.mean(gains):+.1%}, 95 % interval over runs {low:+.1%} to {high:+.1%}")
    print(
        f"all pairs: {pooled.only_a} solved by the chosen agent only, {pooled.only_b} by the seed only, "
        f"p = {pooled.p:.3g}"
    )


if __name__ == "__main__":
    main()
