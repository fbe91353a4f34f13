"""`clade plan`: what difference a number of evaluations can show, how many a wanted one needs, what a run may give."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from archive import Archive, History, Tally
from evolve.cli.fitted import fitted_to, say_what_is_thin
from evolve.cli.reading import json_option, reading
from evolve.cli.render import console, count, echo_json, percent, plain, points, print_table
from evolve.settings import Settings, load
from evolve.simulate import Chunk, Study, Trace, chunks, perform, processors
from evolve.simulate import Plan as RunPlan
from evolve.simulate.prospect import Prospect, prospect
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
@click.option(
    "--runs", type=click.IntRange(min=1), help="Simulate so many runs of EVALUATIONS in the world fitted to RUN."
)
@json_option
def plan(
    folder: Path | None,
    evaluations: int | None,
    agents: int,
    base: float | None,
    flips: float | None,
    difference: float | None,
    runs: int | None,
    as_json: bool,
) -> None:
    """What difference can so many EVALUATIONS show?

    They are shared out to some agents, each measured once on the same tasks and compared with one of them, the
    reference, by the exact McNemar test at the level of 0.05, divided by the number of comparisons. RUN says what is
    not given: its budget, its seed's success rate, and the flip rate (`clade noise` measures it; without one, the
    largest there can be).

    With --runs, they are also spent on evolution, by RUN's policy in a world fitted to RUN (as by `clade simulate
    --from RUN`): how much better the agent at the end truly is, and whether a comparison on those tasks would show it.
    """
    settings, history, available = read(folder)
    if runs is not None and (folder is None or settings is None):
        raise click.UsageError("--runs needs a RUN, to which a world is fitted")
    if evaluations is None:
        if settings is None:
            raise click.UsageError("give --evaluations, or a RUN whose budget is meant")
        evaluations = settings.budget.evaluations
    if evaluations < agents:
        raise click.UsageError(
            f"a budget of {evaluations} does not go round {agents} agents: each needs one evaluation"
        )
    known = knowledge(history, "" if settings is None else settings.benchmark_name, base, flips)
    try:
        found = plan_of(known.base, known.flips, evaluations // agents, comparisons=agents - 1, wanted=difference)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    outlook = None
    if runs is not None:
        assert folder is not None and settings is not None
        outlook = prospect(simulated(folder, settings, evaluations, runs), found.tasks, known.base, known.flips)
    if as_json:
        curve = [{"difference": size, "power": power} for size, power in found.curve]
        sources = {"base_from": known.base_from, "flips_from": known.flips_from}
        facts: dict[str, Any] = {"evaluations": evaluations, "agents": agents, "search_tasks": available}
        facts |= {**dataclasses.asdict(found), **sources, "curve": curve}
        if outlook is not None:
            facts["run"] = dataclasses.asdict(outlook)
        echo_json(facts)
    else:
        show(found, known, evaluations, agents, available)
        if outlook is not None:
            show_outlook(outlook, evaluations)


def simulated(folder: Path, settings: Settings, evaluations: int, runs: int) -> list[Trace]:
    """Runs of the folder's policy, with its workers, in the world fitted to it.

    Raises: `ArchiveError` or `SettingsError` if no world can be fitted.
    """
    fitted, traces = fitted_to(folder), list[Trace]()
    say_what_is_thin(fitted, folder)
    plan = RunPlan(evaluations=evaluations, workers=settings.workers, every=evaluations)
    study = Study(folder.resolve().name, fitted.settings, settings.policy, plan)

    def done(_chunk: Chunk, found: list[Trace]) -> None:
        traces.extend(found)

    perform(chunks([(study, range(runs))]), processors(), done)
    return sorted(traces, key=lambda trace: trace.seed)


def read(folder: Path | None) -> tuple[Settings | None, History, int | None]:
    """A run's settings, rows and number of search tasks; of a run that has not begun, its settings only."""
    if folder is None:
        return None, History(), None
    settings = load(folder)
    if not Archive.exists(folder, url=settings.database):
        return settings, History(), None
    with reading(folder) as (archive, _):
        noted = archive.about.get("tasks")
        return settings, archive.history(), None if noted is None else len(json.loads(noted))


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


def show(found: Plan, known: Known, evaluations: int, agents: int, available: int | None) -> None:
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
        lines.append(f"the smallest difference that is found with power {power}: {100 * found.smallest:+.1f} points")
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
    if available is not None and max(found.tasks, found.needed or 0) > available:
        few = f"! the search split of the run's benchmark has {count(available, 'task')}, and fewer show less than this"
        out.print(plain(few, "yellow"), soft_wrap=True)


def show_outlook(outlook: Prospect, evaluations: int) -> None:
    out = console()
    lines = [
        f"spent on evolution in {count(outlook.runs, 'simulated run')} like this one, "
        f"{count(evaluations, 'evaluation')} give a true gain over agent 0 of {points(outlook.gain)} points "
        f"(mean; 80 % of the runs {points(outlook.low)} to {points(outlook.high)}), "
        f"and any gain in {percent(outlook.better)} of the runs",
        f"on {count(outlook.tasks, 'task')} the test finds a gain with probability {percent(outlook.shown)}",
    ]
    for line in lines:
        out.print(plain(line), soft_wrap=True)
