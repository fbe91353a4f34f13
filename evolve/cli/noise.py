"""`clade noise`: an agent measured again on the same tasks, and the differences that chance alone makes (A/A)."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import click

from archive import Agent, Archive
from benchmarks import SPLITS, Split
from evolve.cli.measuring import at_work, measure, memory_of, prepared
from evolve.cli.naming import agent_called
from evolve.cli.reading import json_option, run_argument
from evolve.cli.render import console, count, echo_json, percent, plain
from evolve.settings import Settings, load
from evolve.statistics.noise import Noise
from evolve.statistics.noise import noise as noise_of
from evolve.statistics.paired import verdicts
from evolve.statistics.sealed import SPLIT as SEALED
from evolve.workshop import Workshop


@click.command()
@run_argument
@click.argument("agent")
@click.option("--split", type=click.Choice(SPLITS), default="validation", show_default=True, help="On which tasks.")
@click.option("--repeats", type=click.IntRange(min=2), default=2, show_default=True, help="Verdicts on each task.")
@click.option("--limit", type=click.IntRange(min=1), help="Only the first so many tasks.")
@json_option
def noise(folder: Path, agent: str, split: Split, repeats: int, limit: int | None, as_json: bool) -> None:
    """Measure AGENT of RUN on the same tasks several times: how often does chance alone turn a verdict?

    Verdicts that are there already count; the missing ones are measured, kept in the archive, and never guide the
    search. The sealed split is refused: it is for `clade final`.
    """
    if split == SEALED:
        raise click.BadParameter(
            "the noise of the sealed split would open it: measure it on validation", param_hint="'--split'"
        )
    settings = load(folder)
    with at_work(folder, settings) as (archive, workshop):
        chosen = agent_called(agent, archive.history().agents)
        tasks = prepared(workshop).tasks(split)[:limit]
        repeat(archive, settings, workshop, chosen, split, tasks, repeats)
        rows = [row for row in archive.history().evaluations if row.benchmark == settings.benchmark_name]
    found = noise_of(verdicts((row for row in rows if row.task in set(tasks)), chosen.id, split))
    if found is None:
        raise click.ClickException(
            f"no task of {split} has two verdicts: the house failed at all of them; see `clade show`"
        )
    if as_json:
        echo_json({"agent": chosen.id, "split": split, "repeats": repeats, **dataclasses.asdict(found)})
    else:
        show(found, f"agent {chosen.id}", f"{settings.benchmark_name}/{split}")


def repeat(
    archive: Archive,
    settings: Settings,
    workshop: Workshop,
    agent: Agent,
    split: Split,
    tasks: tuple[str, ...],
    repeats: int,
) -> None:
    """One round of measurements after the other, until every task has its verdicts or the house failed at it."""
    for number in range(1, repeats + 1):
        rows = [row for row in archive.history().evaluations if row.benchmark == settings.benchmark_name]
        done = verdicts(rows, agent.id, split)
        short = [task for task in tasks if len(done.get(task, ())) < number]
        if short:
            memory = memory_of(settings, workshop)
            measure(archive, settings, workshop, agent, split, short, again=True, memory=memory)


def show(found: Noise, agent: str, place: str) -> None:
    out = console()
    tasks = count(found.tasks, "task")
    shown = f"{tasks} cannot show a better agent with power 80 %, however much better it is"
    if found.smallest is not None:
        shown = f"{tasks} show a better agent with power 80 % if it is better by {100 * found.smallest:.0f} points"
    for line in (
        f"{agent} on {tasks} of {place}, {found.verdicts:,} verdicts: it passes {percent(found.base)}",
        f"two verdicts on the same task differ in {percent(found.flips)} of the cases "
        f"(95 % {percent(found.low)} to {percent(found.high)})",
        f"two equal agents, measured once on {tasks}, differ by chance: standard deviation "
        f"{100 * found.deviation:.1f} points",
        shown,
    ):
        out.print(plain(line), soft_wrap=True)
