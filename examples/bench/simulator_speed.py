"""How fast runs are simulated: 1,000 runs of 800 evaluations of one policy, on all processors.

    python examples/bench/simulator_speed.py [--runs 1000] [--policy hgm] [--world swe] [--jobs 2]

Prints the wall-clock seconds, with the start of the processes in them as for who waits, and the processor seconds of
some runs made in this process, which a busy machine lengthens less; and both for each run and each decision.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from typing import get_args

from evolve.policies import AnyPolicy
from evolve.simulate import Chunk, Plan, Study, Trace, chunks, perform, preset, processors

POLICIES = {policy.model_fields["name"].default: policy for policy in get_args(get_args(AnyPolicy)[0])}


OWN = 20
"""Runs whose processor time is taken."""


def measured(work: list[Chunk], jobs: int, clock: Callable[[], float]) -> tuple[float, int]:
    """Seconds by the clock, and how many decisions were made."""
    traces: list[Trace] = []
    began = clock()
    perform(work, jobs, lambda _chunk, found: traces.extend(found))
    return clock() - began, sum(trace.last.evaluations + trace.last.expansions + trace.voids for trace in traces)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--evaluations", type=int, default=800)
    parser.add_argument("--policy", choices=POLICIES, default="hgm")
    parser.add_argument("--world", default="swe")
    parser.add_argument("--jobs", type=int, default=processors())
    options = parser.parse_args()
    world = preset(options.world)
    plan = Plan(evaluations=options.evaluations, workers=world.workers)
    study = Study(world.name, world.settings, POLICIES[options.policy](), plan)
    load = os.getloadavg()[0]
    own = measured([Chunk(study, tuple(range(OWN)))], 1, time.process_time)
    wall = measured(chunks([(study, range(options.runs))]), options.jobs, time.perf_counter)
    print(
        f"{options.runs} runs of {options.evaluations} evaluations, {options.policy} in {world.name}, {options.jobs} "
        f"processes, load {load:.1f} before and {os.getloadavg()[0]:.1f} after"
    )
    print(f"{'':16} {'seconds':>9} {'ms a run':>9} {'µs a decision':>14}")
    for name, runs, (seconds, decisions) in (("wall clock", options.runs, wall), (f"processor, {OWN} runs", OWN, own)):
        print(f"{name:18} {seconds:7.1f} {seconds / runs * 1e3:9.1f} {seconds / decisions * 1e6:14.1f}")


if __name__ == "__main__":
    main()
