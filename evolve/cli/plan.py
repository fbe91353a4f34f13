"""`clade plan`: what difference a number of evaluations can show, and how many a wanted difference needs."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import click
from rich.table import Table

from archive import Archive, History, Tally
from evolve.cli.reading import json_option, reading
from evolve.cli.render import console, count, echo_json, percent, plain, points, print_table
from evolve.settings import Settings, load
from evolve.statistics.noise import Noise, noise
from evolve.statistics.paired import verdicts
from evolve.statistics.power import MOST_TASKS, Plan, most_flips
from evolve.statistics.power import plan as plan_of


@dataclass(frozen=True, slots=True)
class Known:
    """What the plan rests on, and where it was taken from."""

    base: float
    base_from: str
    flips: float
    flips_from: str


@click.command()
@click.argument(
    "folder", metavar="[RUN]", required=False, type=click.Path(exists=True, file_okay=False, path_type=Path)
)
@click.option("--evaluations", type=click.IntRange(min=1), help="To spend; default: the budget of RUN's run.toml.")
@click.option(
    "--agents", type=click.IntRange(min=2), default=2, show_default=True, help="To measure on the same tasks."
)
@click.option("--base", type=click.FloatRange(0, 1), help="Success rate of the reference; default: RUN's seed's.")
@click.option(
    "--flips", type=click.FloatRange(0, 0.5), help="How often chance turns a verdict; default: as RUN's noise."
)
@click.option(
    "--difference", type=click.FloatRange(0, 1, min_open=True), help="A wanted difference, 0.05 for 5 points."
)
@json_option
def plan(
    folder: Path | None,
    evaluations: int | None,
    agents: int,
    base: float | None,
    flips: float | None,
    difference: float | None,
    as_json: bool,
) -> None:
    """What difference can so many EVALUATIONS show?

    They are shared out to some agents, each measured once on the same tasks and compared with one of them, the
    reference, by the exact McNemar test at the level of 0.05, divided by the number of comparisons. RUN says what is
    not given: its budget, its seed's success rate, and the flip rate (`clade noise` measures it; without one, the
    largest there can be).
    """
    settings, history = read(folder)
    if evaluations is None:
        if settings is None:
            raise click.UsageError("give --evaluations, or a RUN whose budget is meant")
        evaluations = settings.budget.evaluations
    if evaluations < agents:
        raise click.UsageError(f"{evaluations} evaluations do not go round {agents} agents")
    known = knowledge(history, "" if settings is None else settings.benchmark_name, base, flips)
    try:
        found = plan_of(known.base, known.flips, evaluations // agents, comparisons=agents - 1, wanted=difference)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    if as_json:
        curve = [{"difference": size, "power": power} for size, power in found.curve]
        sources = {"base_from": known.base_from, "flips_from": known.flips_from}
        echo_json(
            {"evaluations": evaluations, "agents": agents, **dataclasses.asdict(found), **sources, "curve": curve}
        )
    else:
        show(found, known, evaluations, agents)


def read(folder: Path | None) -> tuple[Settings | None, History]:
    """A run's settings and rows; of a run that has not begun, no rows."""
    if folder is None:
        return None, History()
    settings = load(folder)
    if not Archive.exists(folder, url=settings.database):
        return settings, History()
    with reading(folder) as (archive, _):
        return settings, archive.history()


def knowledge(history: History, benchmark: str, base: float | None, flips: float | None) -> Known:
    """What was given, else what the rows say. Raises: `click.UsageError` if neither says the base."""
    rows = [row for row in history.evaluations if row.benchmark == benchmark and (row.passed or row.failed)]
    seeds = [row.passed for row in rows if row.agent == 0]
    base_from = flips_from = "given"
    if base is None:
        if not seeds:
            raise click.UsageError("give --base, the success rate to compare with: no seed agent was measured yet")
        seed = Tally(sum(seeds), len(seeds) - sum(seeds))
        base, base_from = seed.belief, f"what is believed of agent 0, {seed.passed} of {seed.n}"
    if flips is None:
        measured = most_repeated(history, benchmark)
        if measured is None:
            flips, flips_from = most_flips(base), "the largest there can be; `clade noise` measures it"
        else:
            flips = min(measured.flips, most_flips(base))
            flips_from = f"measured, {count(measured.tasks, 'task')}"
    return Known(base, base_from, flips, flips_from)


def most_repeated(history: History, benchmark: str) -> Noise | None:
    """The noise of the agent and split with the most tasks that were measured at least twice."""
    rows = [row for row in history.evaluations if row.benchmark == benchmark]
    places = sorted({(row.agent, row.split) for row in rows})
    found = [each for agent, split in places if (each := noise(verdicts(rows, agent, split))) is not None]
    return max(found, key=lambda each: each.tasks, default=None)


def show(found: Plan, known: Known, evaluations: int, agents: int) -> None:
    out = console()
    tasks = count(found.tasks, "task")
    tests = (
        "" if found.comparisons == 1 else f", {found.comparisons} comparisons at the level of {found.level:.2g} each"
    )
    lines = [
        f"{count(evaluations, 'evaluation')}: {agents} agents on the same {tasks}{tests}",
        f"base {percent(known.base)} ({known.base_from}), flip rate {percent(known.flips)} ({known.flips_from})",
        f"two equal agents differ by {100 * found.deviation:.1f} points (standard deviation)",
    ]
    power = percent(found.power)
    if found.smallest is None:
        lines.append(f"no difference there can be is found with power {power}")
    else:
        lines.append(f"the smallest difference that is found with power {power}: {points(found.smallest)} points")
    if found.wanted is not None:
        need = f"over {MOST_TASKS:,} tasks"
        if found.needed is not None:
            need = f"{count(found.needed, 'task')}, {count(found.needed * agents, 'evaluation')}"
        lines.append(f"{points(found.wanted)} points need {need} with power {power}")
    for line in lines:
        out.print(plain(line), soft_wrap=True)
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    table.add_column("a true difference of")
    table.add_column("is found with probability", justify="right")
    for size, chance in found.curve:
        table.add_row(f"{points(size)} points", percent(chance))
    if found.curve:
        print_table(out, table)
