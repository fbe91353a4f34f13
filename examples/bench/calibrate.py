"""Search for worlds in which simulated HGM, DGM and SICA do what the HGM paper reports; prints all residuals.

    python examples/bench/calibrate.py OUT [--benchmark swe --benchmark polyglot] [--points 64] [--seeds 3]
                                           [--rounds 4] [--round-seeds 24] [--final-seeds 100]

First so many points of the free parameters, then rounds of two more each where a quadratic surface through all of them
is nearest to the published numbers, then two near points that lie apart, the second one with gains in their published
order, on seeds that nothing was chosen with.
Runs that are in OUT are not repeated, so it can be stopped and started again. One process; about a tenth of a second a
run. docs/calibration.md holds what came out.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import get_args

import numpy as np

from evolve.simulate import calibrate
from evolve.simulate.calibrate import Measured, Reading
from evolve.simulate.durations import Benchmark, Floats

FRESH = 5000
"""The first seed of the last, unbiased look."""


class Kept:
    """Readings in a file, a line each."""

    def __init__(self, path: Path, benchmark: Benchmark) -> None:
        self.benchmark = benchmark
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("a+")
        self._file.seek(0)
        rows = [json.loads(line) for line in self._file if line.endswith("\n")]
        self._known = {self._key(row["free"], row["policy"], row["seed"]): Reading(**row["reading"]) for row in rows}

    def look(self, point: Floats, seeds: range) -> dict[str, Floats]:
        """All read-outs at a point, from kept runs or from new ones."""
        world = calibrate.world_at(self.benchmark, point)
        free = {name: getattr(world, name) for name in calibrate.FREE}
        found = {}
        for policy, protocol in calibrate.protocols(self.benchmark).items():
            for seed in seeds:
                key = self._key(free, policy, seed)
                if key not in self._known:
                    self._known[key] = calibrate.reading(world, protocol, seed)
                    row = {"free": free, "policy": policy, "seed": seed, "reading": asdict(self._known[key])}
                    self._file.write(json.dumps(row) + "\n")
            self._file.flush()
            found[policy] = [self._known[self._key(free, policy, seed)] for seed in seeds]
        return calibrate.values(found)

    @staticmethod
    def _key(free: dict[str, float], policy: str, seed: int) -> str:
        return json.dumps([free, policy, seed], sort_keys=True)


def search(kept: Kept, points: int, seeds: int, rounds: int, round_seeds: int) -> list[Measured]:
    """All points measured, in their order."""
    benchmark = kept.benchmark
    known = [calibrate.measured(benchmark, point, kept.look(point, range(seeds))) for point in calibrate.design(points)]
    for number in range(rounds):
        for point in calibrate.proposals(benchmark, known):
            known.append(calibrate.measured(benchmark, point, kept.look(point, range(round_seeds))))
            distance = calibrate.distances(benchmark, known[-1].means, known)
            print(f"{benchmark}, round {number + 1}: distance {distance:.1f} at {named(benchmark, point)}", flush=True)
    return known


def named(benchmark: Benchmark, point: Floats) -> str:
    world = calibrate.world_at(benchmark, point)
    return ", ".join(f"{name}={getattr(world, name):g}" for name in calibrate.FREE)


def show(kept: Kept, known: list[Measured], final_seeds: int) -> None:
    """The two optima on fresh seeds, the published numbers beside the simulated; and what the targets leave free."""
    benchmark = kept.benchmark
    for name, point in zip("ab", calibrate.proposals(benchmark, known, ordered=True), strict=True):
        found = kept.look(point, range(FRESH, FRESH + final_seeds))
        print(f"\n{benchmark}-{name}: {named(benchmark, point)}")
        distance = calibrate.distances(benchmark, calibrate.measured(benchmark, point, found).means, known)
        print(f"distance {distance:.1f} over {len(calibrate.TARGETS[benchmark])} numbers, {final_seeds} fresh seeds\n")
        print("| | published | simulated | ± 95 % | one run's sd | off by (sd) |\n|---|---|---|---|---|---|")
        for label, each in calibrate.residuals(benchmark, found).items():
            cells = [each.published, each.simulated, 1.96 * each.error, each.tolerance]
            if label.endswith("slower"):
                cells[:2] = np.exp(cells[:2]).tolist()
            shown = " | ".join(f"{cell:.3f}" for cell in cells)
            print(f"| {label} | {shown} | {each.score:+.2f} |")
        for label in found:
            if label.endswith("true_gain"):
                print(f"{label} {np.nanmean(found[label]):.3f}")
    print(f"\n{benchmark}: directions in the cube of the free parameters, from pinned to flat")
    for curvature, direction in calibrate.directions(benchmark, known):
        parts = ", ".join(f"{part:+.2f} {name}" for name, part in zip(calibrate.FREE, direction, strict=True))
        print(f"  {curvature:8.1f}  {parts}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--benchmark", action="append", choices=get_args(Benchmark))
    parser.add_argument("--points", type=int, default=64)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--round-seeds", type=int, default=24)
    parser.add_argument("--final-seeds", type=int, default=100)
    options = parser.parse_args()
    benchmarks: list[Benchmark] = options.benchmark or list(get_args(Benchmark))
    for benchmark in benchmarks:
        kept = Kept(options.out / f"{benchmark}.jsonl", benchmark)
        known = search(kept, options.points, options.seeds, options.rounds, options.round_seeds)
        show(kept, known, options.final_seeds)


if __name__ == "__main__":
    main()
