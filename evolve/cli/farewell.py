"""The last words of `clade run`: what came out of it, and what can be done with it now."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from archive import History, Outcome, Tally, chosen, tallies
from evolve.cli.render import count, score_text, visible
from evolve.settings import Settings
from evolve.statistics.beliefs import Beliefs, beliefs_of


def farewell(
    history: History,
    settings: Settings,
    folder: Path,
    *,
    tasks: Sequence[str],
    reason: str,
    finished: bool,
    usd: float,
) -> str:
    """The end of a run as text for a terminal. `tasks`: the search split; `usd`: what the models cost by the ledger."""
    why = visible(f"{reason[:1].upper()}{reason[1:]}", keep="").rstrip(".")
    believed = beliefs_of(history, settings, tasks)
    lines = [f"{why}.", account(history, usd), *scores(history, believed)]
    steps = next_steps(believed.best, folder, finished=finished)
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


def scores(history: History, believed: Beliefs) -> list[str]:
    """The best agent beside the one that the run started from, with 95 % intervals."""
    if believed.best is None:
        return []
    own = tallies(history.evaluations)
    names = {believed.best: f"Best is agent {believed.best}"} | ({} if believed.best == 0 else {0: "The seed"})
    return [
        f"{name}: {score_text(own.get(agent, Tally()), believed.skills.get(agent))}." for agent, name in names.items()
    ]


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
