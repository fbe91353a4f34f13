"""How far off is what is said of the chosen agent: by its own mean, after finalists in full, on sealed tasks?

    python examples/bench/winners_curse.py OUT [--runs 1000] [--world swe] [--policy hgm]
                                               [--evaluations 800] [--sealed 100]

Simulated runs, whose truth is known. Each ends three ways: the policy's best with the mean it was chosen by; five
finalists measured on all search tasks and the best of them; that one and the seed on sealed tasks. Prints the mean of
(said - true) with its 95 % interval over runs, and how often the 95 % intervals that Clade shows hold the truth. Runs
that are in OUT are not repeated, so it can be stopped and started again.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from scipy import special

from archive import Tally
from evolve.seeds import generator
from evolve.settings import Settings
from evolve.simulate import Plan, Simulation, World, preset
from evolve.statistics.pairedbayes import difference

FINALISTS = 5
SAID = {
    "own mean": "the policy's best, by the mean it was chosen by",
    "finalists": "the best finalist, by its mean over all search tasks",
    "sealed": "the same, by its mean on sealed tasks",
    "gain": "the same minus the seed, on the same sealed tasks",
}
HELD = {
    "beta, all": "Beta interval of an agent's search skill, all agents with 5 verdicts or more",
    "beta, best": "the same, of the policy's best",
    "credible": "credible interval of the gain on sealed tasks",
}


def outcome(world_name: str, policy_name: str, evaluations: int, sealed: int, seed: int) -> dict[str, list[float]]:
    """One run: errors by what was said, and 1 or 0 by interval for whether it held the truth."""
    settings = preset(world_name).settings
    policy = Settings.model_validate({"policy": {"name": policy_name}}).policy
    rng = generator(seed, "policy")
    run = Simulation(World(settings, seed), policy, Plan(evaluations=evaluations, every=evaluations), lambda _: rng)
    run.run()
    view, agents = run.board.view(), run.world.agents
    best = policy.best(view)
    assert best is not None
    passed, failed = view.passed, view.failed
    chosen = max(policy.finalists(view, FINALISTS), key=lambda agent: sum(agents[agent].passed))
    said = {
        "own mean": [float(passed[best] / (passed[best] + failed[best]) - agents[best].skill)],
        "finalists": [sum(agents[chosen].passed) / settings.tasks - agents[chosen].skill],
    }
    last = generator(seed, "sealed")
    tasks = settings.tasks + last.integers(settings.sealed, size=sealed)  # as from a set without end
    spread = 1 - settings.lucky - settings.flaky
    chances = [settings.lucky + spread * special.expit(agents[agent].logits[tasks]) for agent in (chosen, 0)]
    verdicts = np.column_stack([last.random(sealed) < chance for chance in chances]).astype(float)
    gain = agents[chosen].skill - agents[0].skill
    said["sealed"] = [float(verdicts[:, 0].mean() - agents[chosen].skill)]
    if chosen != 0:
        said["gain"] = [float(verdicts[:, 0].mean() - verdicts[:, 1].mean() - gain)]
        found = difference(verdicts, draws=4000, seed=seed)
        said["credible"] = [float(found.low <= gain <= found.high)]
    held = {
        agent: low <= agents[agent].skill_search <= high
        for agent in range(len(passed))
        if passed[agent] + failed[agent] >= 5
        for low, high in [Tally(int(passed[agent]), int(failed[agent])).interval()]
    }
    said["beta, all"] = [float(each) for each in held.values()]
    said["beta, best"] = [float(held[best])] if best in held else []
    return said


def runs_of(file: Path, wanted: int, options: tuple[str, str, int, int]) -> list[dict[str, list[float]]]:
    """The wanted runs: those of the file, the rest made now and appended to it."""
    known = {each["seed"]: each for each in map(json.loads, file.read_text().splitlines())} if file.exists() else {}
    with file.open("a") as out:
        for seed in range(wanted):
            if seed not in known:
                known[seed] = {"seed": seed, "said": outcome(*options, seed)}
                out.write(json.dumps(known[seed]) + "\n")
                out.flush()
    return [known[seed]["said"] for seed in range(wanted)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--world", default="swe")
    parser.add_argument("--policy", default="hgm")
    parser.add_argument("--evaluations", type=int, default=800)
    parser.add_argument("--sealed", type=int, default=100)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    study = (options.world, options.policy, options.evaluations, options.sealed)
    found: dict[str, list[float]] = {}
    for run in runs_of(options.out / ("-".join(map(str, study)) + ".jsonl"), options.runs, study):
        for name, values in run.items():
            found.setdefault(name, []).extend(values)
    print(
        f"world {options.world}, policy {options.policy}, {options.evaluations} evaluations, {options.runs} runs; "
        f"{options.sealed} sealed tasks"
    )
    for name, meaning in SAID.items():
        errors = 100 * np.array(found[name])
        width = 1.96 * errors.std(ddof=1) / np.sqrt(len(errors))
        mean = errors.mean()
        print(f"{mean:+6.2f} points ({mean - width:+.2f} to {mean + width:+.2f})  {meaning}")
    for name, meaning in HELD.items():
        print(f"{np.mean(found[name]):6.1%} of {len(found[name]):,}  {meaning}")


if __name__ == "__main__":
    main()
