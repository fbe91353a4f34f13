"""`clade compare`: two agents, of one run or of two, on the tasks that both were measured on."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from archive import Evaluation, Tally, tallies
from benchmarks import SPLITS, Split
from evolve.cli.naming import agent_called
from evolve.cli.reading import believed_in, json_option, reading, run_argument
from evolve.cli.render import console, count, echo_json, paired_lines, plain, score_text
from evolve.cli.summary import skill_facts
from evolve.statistics import pairedbayes
from evolve.statistics.mcnemar import mid_p
from evolve.statistics.noise import halves
from evolve.statistics.paired import Paired, successes, verdicts
from evolve.statistics.paired import compare as pair
from evolve.statistics.posterior import Skill
from evolve.statistics.power import LEVEL, MOST_TASKS, POWER, Needed, to_decide
from evolve.statistics.sealed import SPLIT as SEALED


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two agents with all its rows of one benchmark."""

    run: Path
    agent: int
    benchmark: str
    options: dict[str, Any]
    rows: tuple[Evaluation, ...]
    candidates: int
    """Measured agents of its run, if it is the one that the run's policy would take away; else 0."""
    raw: Tally
    """What its run's policy measured of it."""
    skill: Skill | None
    """By all evidence of its run's search; None if that takes too long, or another benchmark is meant."""


@click.command()
@run_argument
@click.argument("names", metavar="AGENT [RUN2] AGENT2", nargs=-1, required=True)
@click.option("--split", type=click.Choice(SPLITS), default="search", show_default=True, help="On which tasks.")
@click.option("--benchmark", help="Another benchmark than the run's own.")
@json_option
def compare(folder: Path, names: tuple[str, ...], split: Split, benchmark: str | None, as_json: bool) -> None:
    """Set AGENT of RUN beside AGENT2 of the same run, or of RUN2, on the tasks that both were measured on.

    Nothing is measured: `clade evaluate` does that. An agent beside itself is an A/A comparison of its first and its
    second verdicts (`clade noise` makes them).
    """
    if len(names) not in (2, 3):
        raise click.UsageError("name two agents of RUN, or an agent of RUN, another run and an agent of that")
    other = folder if len(names) == 2 else Path(names[1])
    if not other.is_dir():
        raise click.UsageError(f"there is no folder {other}")
    first, second = side_of(folder, names[0], benchmark), side_of(other, names[-1], benchmark)
    if first.benchmark != second.benchmark:
        raise click.UsageError(
            f"{folder} is of {first.benchmark}, {other} of {second.benchmark}: name one by --benchmark"
        )
    same = (first.run.resolve(), first.agent) == (second.run.resolve(), second.agent)
    a, b = halves(verdicts(first.rows, first.agent, split)) if same else (
        successes(first.rows, first.agent, split),
        successes(second.rows, second.agent, split),
    )  # fmt: skip
    found = pair(a, b)
    if found is None:
        cure = "`clade noise` measures it twice" if same else "measure both with `clade evaluate`"
        if split == SEALED:  # whose tasks are worth most unseen
            cure = "`clade final` opens it, once"
        raise click.UsageError(f"there is no task of {first.benchmark}/{split} to compare on: {cure}")
    needed = to_decide(pairedbayes.common(a, b))
    notes = notes_on(first, second, split, same=same)
    if as_json:
        echo_json(facts_of(found, needed, first, second, split, notes))
    else:
        show(found, needed, first, second, split, notes, same=same)


def side_of(folder: Path, name: str, benchmark: str | None) -> Side:
    """An agent of a run. Raises: `click.BadParameter`, `ArchiveError`, `SettingsError`."""
    with reading(folder) as (archive, settings):
        history = archive.history()
        agent = agent_called(name, history.agents).id
        believed = believed_in(archive, history, settings)
    own = tallies(history.evaluations)
    wanted = benchmark or settings.benchmark_name
    return Side(
        run=folder,
        agent=agent,
        benchmark=wanted,
        options=settings.benchmark_options if wanted == settings.benchmark_name else {},
        rows=tuple(row for row in history.evaluations if row.benchmark == wanted),
        candidates=len(own) if agent == believed.best else 0,
        raw=own.get(agent, Tally()),
        skill=believed.skills.get(agent) if wanted == settings.benchmark_name else None,
    )


def names_of(first: Side, second: Side, *, same: bool) -> tuple[str, str]:
    if same:
        return f"agent {first.agent} at first", f"agent {first.agent} again"
    if first.run == second.run:
        return f"agent {first.agent}", f"agent {second.agent}"
    return f"agent {first.agent} of {first.run}", f"agent {second.agent} of {second.run}"


def notes_on(first: Side, second: Side, split: Split, *, same: bool) -> list[str]:
    """What to bear in mind with the numbers."""
    said = []
    for side, name in zip((first, second), names_of(first, second, same=same), strict=True):
        if split == "search" and side.candidates > 1 and not same:
            said.append(
                f"{name} was chosen as the best of {side.candidates} on these tasks: this flatters it; `clade final` "
                "does not"
            )
    if first.options != second.options:
        said.append("the two runs have other benchmark options: tasks of the same name may differ")
    return said


def decision(found: Paired, needed: Needed) -> str:
    """Whether the test decides, and how many tasks would."""
    power = f"with power {POWER:.0%}".replace("%", " %")
    if found.p <= LEVEL:
        few = "" if needed.tasks is None else f"; about {count(needed.tasks, 'task')} would have been enough {power}"
        return f"decided at the level of {LEVEL:g}{few}"
    low, high = (f"over {MOST_TASKS:,}" if end is None else f"{end:,}" for end in (needed.low, needed.high))
    if needed.tasks is None:
        equal = f"if they are as equal as they look, {MOST_TASKS:,} tasks like these would not decide"
        return f"not decided; {equal}; if they differ as they still may, {low} to {high} would, {power}"
    return f"not decided; about {needed.tasks:,} tasks like these ({low} to {high}) would decide {power}"


def facts_of(
    found: Paired, needed: Needed, first: Side, second: Side, split: Split, notes: list[str]
) -> dict[str, Any]:
    return {
        "benchmark": first.benchmark,
        "split": split,
        "a": side_facts(first),
        "b": side_facts(second),
        "tasks": found.n,
        "paired": dataclasses.asdict(found),
        "mid_p": mid_p(found.only_a, found.only_b),
        "decided": found.p <= LEVEL,
        "needed": dataclasses.asdict(needed),
        "notes": notes,
    }


def side_facts(side: Side) -> dict[str, Any]:
    """One of the two, with what its run's search says of it."""
    low, high = side.raw.interval()
    raw = {"passed": side.raw.passed, "failed": side.raw.failed, "mean": side.raw.mean, "low": low, "high": high}
    return {"run": str(side.run), "agent": side.agent, "raw": raw, "skill": skill_facts(side.skill)}


def show(
    found: Paired, needed: Needed, first: Side, second: Side, split: Split, notes: list[str], *, same: bool
) -> None:
    out = console()
    names = names_of(first, second, same=same)
    out.print(plain(f"{first.benchmark}/{split}", "bold"))
    for line in (*paired_lines(found, *names), decision(found, needed)):
        out.print(plain(line), soft_wrap=True)
    for side, name in list(zip((first, second), names, strict=True))[: 1 if same else 2]:
        who = f"agent {side.agent}" if same else name
        out.print(plain(f"in the search, {who}: {score_text(side.raw, side.skill)}"), soft_wrap=True)
    for note in notes:
        out.print(plain(f"! {note}", "yellow"), soft_wrap=True)
