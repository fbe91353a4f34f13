"""The last words of `clade run`: what came out of it, and what can be done with it now."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path

from archive import History, Outcome, Tally, best_belief, chosen, tallies
from evolve.cli.render import count, percent, visible
from evolve.cli.summary import EPSILON
from evolve.settings import Settings


def farewell(history: History, settings: Settings, folder: Path, *, reason: str, finished: bool, usd: float) -> str:
    """The end of a run as text for a terminal. `usd` is what the models cost by the ledger."""
    why = visible(f"{reason[:1].upper()}{reason[1:]}", keep="").rstrip(".")
    own = tallies(history.evaluations)
    best = best_belief(history.agents, own, getattr(settings.policy, "epsilon", EPSILON))
    lines = [f"{why}.", account(history, usd)]
    if best is not None:
        lines.append(scores(best, own))
    steps = next_steps(best, folder, finished=finished)
    width = max(map(len, steps))
    return "\n".join([*lines, "", *(f"  {command:<{width}}   {use}" for command, use in steps.items())])


def account(history: History, usd: float) -> str:
    """What was done, in one line."""
    evidence = sum((row.passed or row.failed) and chosen(row) for row in history.evaluations)
    expansions = sum(row.outcome not in (None, Outcome.VOID) for row in history.expansions)
    ended = [row.outcome for row in history.evaluations] + [row.outcome for row in history.expansions]
    lost = ended.count(Outcome.VOID)
    parts = [count(len(history.agents), "agent"), count(evidence, "evaluation"), count(expansions, "expansion")]
    if lost:
        parts.append(f"{count(lost, 'move')} without evidence")
    return f"{', '.join(parts)}; ${usd:.2f}."


def scores(best: int, own: Mapping[int, Tally]) -> str:
    """The best agent beside the one that the run started from."""
    low, high = own[best].interval()
    mine = (
        f"Best is agent {best}: {own[best].passed} of {own[best].n} (95 % interval {percent(low)} to {percent(high)})"
    )
    seed = own.get(0, Tally())
    return f"{mine}." if best == 0 else f"{mine}; the seed: {seed.passed} of {seed.n}."


def next_steps(best: int | None, folder: Path, *, finished: bool) -> dict[str, str]:
    """Commands to go on with, and what each is for."""
    run = shlex.quote(str(folder))
    steps = {} if finished else {f"clade run {run}": "go on; nothing is lost"}
    steps[f"clade tree {run}"] = "the family"
    if best is not None:
        steps[f"clade best {run}"] = "is it really better?"
        steps[f"clade final {run}"] = "the last word, on unseen tasks"
        steps[f"clade export {run} {best} DIR"] = "take it away"
    return steps
