"""What of `kin` earns its keep: each part taken out, or its number moved, on the same seeds.

    python examples/bench/ablation.py [--world swe …] [--seeds 40] [--first 0] [--variant NAME …] [--jobs 2]

Prints the true skill of the chosen agent, and its difference from `kin` as it is, paired by seed, with 95 % intervals.
Seeds below 10,000 are for tuning; tables that claim something are made on others.
"""

from __future__ import annotations

import argparse
import os
import time

import numpy as np

from evolve.policies import HGM, Fold, Kin, View
from evolve.policies.base import Ints
from evolve.policies.kin_outlook import Outlook
from evolve.policies.kin_posterior import Posterior, Prior
from evolve.policies.thompson import thompson
from evolve.simulate import PRESETS, Plan, Study, Trace, chunks, perform, preset, processors, table


class AnyTask(Kin):
    """Tasks by chance, as in HGM."""

    def _task(self, view: View, outlook: Outlook, agent: int, other: int | None, rng: np.random.Generator) -> int:
        return int(rng.choice(view.open_tasks(agent)))


class EqualTasks(Kin):
    """All tasks are taken as equally hard."""

    def fold(self, tasks: int, budget: int) -> Fold:
        return Posterior(tasks, Prior(step=self.step, easiness=0.01))


class NoKin(Kin):
    """Parents tell hardly anything of their children."""

    def fold(self, tasks: int, budget: int) -> Fold:
        return Posterior(tasks, Prior(step=3.0))


class NoDrift(Kin):
    """Children are taken as good as their parents on average, and nothing is learned of it."""

    def fold(self, tasks: int, budget: int) -> Fold:
        return Posterior(tasks, Prior(step=self.step, drift=0.0, drift_sd=1e-3))


class EvenBirths(Kin):
    """As many agents in the end, born in proportion to evaluations."""

    def wants_child(self, view: View) -> bool:
        share = (view.evaluations + view.evaluations_in_flight) / view.budget
        return share * view.budget**self.alpha >= view.agents + view.expansions_in_flight


class CladeParents(Kin):
    """Parents as HGM draws them, from sums over clades."""

    def parent(self, view: View, eligible: Ints, rng: np.random.Generator) -> int:
        tau = view.budget / max(1, view.budget - view.evaluations)
        return thompson(view.clade_passed, view.clade_failed, tau, eligible, rng)


VARIANTS: dict[str, Kin] = {
    "kin": Kin(),
    "tasks by chance": AnyTask(),
    "tasks equal": EqualTasks(),
    "no kinship": NoKin(),
    "no drift": NoDrift(),
    "even births": EvenBirths(),
    "parents by clade": CladeParents(),
    "optimism 0": Kin(optimism=0),
    "optimism 0.5": Kin(optimism=0.5),
    "optimism 2": Kin(optimism=2),
    "step 0.6": Kin(step=0.6),
    "step 1.2": Kin(step=1.2),
    "reserve 0": Kin(reserve=0),
    "reserve 0.15": Kin(reserve=0.15),
    "epsilon 0.5": Kin(epsilon=0.5),
    "alpha 0.5": Kin(alpha=0.5),
    "alpha 0.65": Kin(alpha=0.65),
    "alpha 0.7": Kin(alpha=0.7),
    "by seconds": Kin(cost="seconds"),
}


def traces(study: Study, seeds: range, jobs: int) -> list[Trace]:
    found: list[Trace] = []
    perform(chunks([(study, seeds)]), jobs, lambda _, some: found.extend(some))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--world", action="append", choices=[each.name for each in PRESETS])
    parser.add_argument("--variant", action="append", choices=list(VARIANTS), help="beside kin and hgm; default: all")
    parser.add_argument("--seeds", type=int, default=40)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--evaluations", type=int, default=800)
    parser.add_argument("--workers", type=int)
    parser.add_argument("--jobs", type=int, default=processors())
    options = parser.parse_args()
    seeds = range(options.first, options.first + options.seeds)
    names = ["kin", *(options.variant or [name for name in VARIANTS if name != "kin"])]
    for name in options.world or ["swe", "polyglot", "decline", "greedy-trap"]:
        world = preset(name)
        plan = Plan(evaluations=options.evaluations, workers=options.workers or world.workers)
        runs: dict[str, list[Trace]] = {}
        began, load = time.perf_counter(), os.getloadavg()[0]
        policies: dict[str, HGM | Kin] = {"hgm": HGM(), **{name: VARIANTS[name] for name in names}}
        for label, policy in policies.items():
            study = Study(world.name, world.settings, policy, plan)
            runs[label] = traces(study, seeds, options.jobs)
        found = table(world.name, runs, "kin")
        print(
            f"\n{world.name}: {len(seeds)} seeds from {seeds[0]}, {plan.evaluations} evaluations, {plan.workers} "
            f"workers; first agent {found.seed_skill.mean:.3f}; {time.perf_counter() - began:.0f} s, load {load:.1f}"
        )
        print(f"{'':18} {'skill':>6} {'regret':>7} {'agents':>7} {'hours':>6}   difference from kin")
        for row in found.rows:
            away = row.difference
            beside = "" if away is None else f"{away.mean:+.3f}  {away.low or 0:+.3f} to {away.high or 0:+.3f}"
            print(
                f"{row.policy:18} {row.skill.mean:6.3f} {row.regret.mean:7.3f} {row.agents.mean:7.0f} "
                f"{row.hours.mean:6.1f}   {beside}",
                flush=True,
            )


if __name__ == "__main__":
    main()
