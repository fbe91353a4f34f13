"""`clade estimate`: what a run will need, before it starts, from past runs or from a small pilot of its own."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from archive import ArchiveError, Outcome
from benchmarks import Split
from evolve.cli.measuring import measure
from evolve.cli.pace import CAPS, work_before
from evolve.cli.reading import json_option, run_argument
from evolve.cli.render import console, count, echo_json, percent, plain, print_table
from evolve.cli.summary import duration
from evolve.forecast import Ending, Forecast, Range, Used, endings, forecast, range_of
from evolve.llm import ModelError
from evolve.llm.spending import LEDGER, read_book, total
from evolve.past import Past, past_of, rows_of
from evolve.seeds import generator
from evolve.settings import FILE, Settings, SettingsError, load
from evolve.state import attempts
from evolve.statistics.paired import successes
from evolve.workshop import Workshop

PILOT_SPLIT: Split = "validation"
"""Pilots measure the seed here. The search's own tasks would bias it: a task measured before counts as another attempt,
with another seed. The sealed ones are for the last word. These are drawn from the same benchmark as both."""
BESIDE = 5
"""Past runs beside a run that its first line looks at, the newest first."""
FEW = 5
"""Measured evaluations below which an interval says little."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A forecast with where it comes from."""

    forecast: Forecast
    endings: tuple[Ending, ...]
    used: Used
    past: Past
    sources: tuple[str, ...]


@click.command()
@run_argument
@click.option(
    "--from",
    "past",
    metavar="RUN2",
    multiple=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="A past run to learn from. May be repeated.",
)
@click.option("--pilot", type=click.IntRange(min=1), help="First measure the seed agent on so many tasks, for real.")
@json_option
def estimate(folder: Path, past: tuple[Path, ...], pilot: int | None, as_json: bool) -> None:
    """What the run of RUN's run.toml will need: dollars, tokens and hours, and which of its caps ends it first.

    It learns from RUN's own moves and those of past runs; without any, from the runs beside it. A pilot measures the
    seed on tasks of the validation split, which the search never sees, and keeps the results in RUN's archive as
    `clade evaluate` does.
    """
    settings = load(folder)
    if pilot is not None:
        run_pilot(folder, settings, pilot)
    sources = (folder, *past)
    found = estimate_from(folder, settings, sources)
    if found is None and not past:
        sources = (folder, *beside(folder))
        found = estimate_from(folder, settings, sources)
    if found is None:
        raise SettingsError(
            f"nothing was measured yet that {folder} could be estimated from: name a past run with --from, or measure "
            "the seed on a few tasks with --pilot 5"
        )
    if as_json:
        echo_json(facts(found))
    else:
        _print(found, settings)


def run_pilot(folder: Path, settings: Settings, wanted: int) -> None:
    """Measure the seed agent on tasks it was not measured on yet, and keep the results.

    Raises: as `clade run` on opening; `SettingsError` if no task is left.
    """
    from evolve.cli.running import open_archive  # that module shows an estimate itself

    with open_archive(folder, settings) as archive, Workshop(settings, folder) as workshop:
        archive.void_open()
        for left_out in workshop.prepare():
            click.echo(f"task {left_out.task} is left out: {left_out.reason}", err=True)
        history = archive.history()
        rows = [row for row in history.evaluations if row.benchmark == settings.benchmark_name]
        done = successes(rows, 0, PILOT_SPLIT)
        open_tasks = [task for task in workshop.benchmark.tasks(PILOT_SPLIT) if task not in done]
        if not open_tasks:
            raise SettingsError(f"the {PILOT_SPLIT} split of {settings.benchmark_name} has no task left for a pilot")
        number = min(wanted, len(open_tasks))
        drawn = generator(settings.seed, "pilot", len(done)).choice(len(open_tasks), number, replace=False)
        tasks = [open_tasks[int(place)] for place in sorted(drawn)]
        measure(archive, settings, workshop, history.agents[0], PILOT_SPLIT, tasks, again=False, memory=None)


def estimate_line(folder: Path, settings: Settings) -> str | None:
    """One line for the start of a run, from its own moves or those of past runs beside it; None if it cannot be had."""
    try:
        found = estimate_from(folder, settings, (folder,)) or estimate_from(folder, settings, beside(folder))
    except (ArchiveError, SettingsError, ModelError, OSError):
        return None  # an estimate is a courtesy: the run says itself what is wrong
    if found is None or not found.forecast.evaluations:
        return None
    need = found.forecast
    money = f"{_dollars(range_of(need.usd))} and " if need.usd.any() else ""
    line = f"{money}{_time(range_of(need.hours))} for {count(need.evaluations, 'evaluation')}"
    first = found.endings[0]
    if first.cap != "evaluations":
        line += f"; {CAPS[first.cap]} will end it after about {first.evaluations.middle:.0f}"
    return f"estimate: {line} (from {_basis(found)})"


def estimate_from(folder: Path, settings: Settings, sources: Sequence[Path]) -> Estimate | None:
    """None if the sources have no measured evaluation.

    Raises: `ArchiveError`, `SettingsError`, `ModelError`, `OSError`.
    """
    past = Past()
    names: list[str] = []
    for source in sources:
        found = past_of(source, settings)
        if found.evaluations or found.expansions:
            past, names = past + found, [*names, str(source)]
    used = used_by(folder)
    drawn = forecast(past.evaluations, past.expansions, settings, used, stand_in=past.stand_in)
    return None if drawn is None else Estimate(drawn, endings(drawn, settings.budget, used), used, past, tuple(names))


def used_by(folder: Path) -> Used:
    """What the run in `folder` has used of its budget."""
    history, about = rows_of(folder)
    bill = total(read_book(folder / LEDGER).lost().entries).bill
    work = work_before(history, about, bill)
    closed = [row for row in attempts(history) if row.outcome not in (None, Outcome.VOID)]
    agents = max(1, len(history.agents))
    return Used(work.evaluations, len(closed), agents, work.usd, work.tokens, work.seconds / 3600)


def beside(folder: Path) -> tuple[Path, ...]:
    """Runs in the same folder that have a ledger, the one that was written last first."""
    here = folder.absolute()
    ledgers = [
        path for path in here.parent.glob(f"*/{LEDGER}") if path.parent != here and (path.parent / FILE).exists()
    ]
    ledgers.sort(key=lambda path: path.stat().st_mtime, reverse=True)
    return tuple(path.parent for path in ledgers[:BESIDE])


def facts(found: Estimate) -> dict[str, Any]:
    """For --json."""
    need, used = found.forecast, found.used
    return {
        "evaluations": need.evaluations,
        "expansions": dataclasses.asdict(range_of(need.expansions)),
        "usd": dataclasses.asdict(range_of(need.usd)),
        "tokens": dataclasses.asdict(range_of(need.tokens)),
        "hours": dataclasses.asdict(range_of(need.hours)),
        "interval": "middle 90 % of the draws",
        "used": dataclasses.asdict(used),
        "endings": [dataclasses.asdict(each) for each in found.endings],
        "measured": {"evaluations": len(found.past.evaluations), "expansions": len(found.past.expansions)},
        "from": list(found.sources),
        "notes": [*found.past.notes, *warnings(found)],
    }


def warnings(found: Estimate) -> list[str]:
    """What to bear in mind with the numbers."""
    said = []
    if len(found.past.evaluations) < FEW:
        said.append(f"only {count(len(found.past.evaluations), 'evaluation')} measured: the interval says little yet")
    if not any(each.counts for each in found.past.expansions) and found.forecast.expansions.any():
        said.append(
            "no expansion was measured: each is reckoned like an evaluation, at the price of the improving model, and "
            "any chance of a birth is taken to be as likely"
        )
    return said


def _print(found: Estimate, settings: Settings) -> None:
    need, used, out = found.forecast, found.used, console()
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column()
    expansions = range_of(need.expansions)
    grid.add_row("to come", f"{count(need.evaluations, 'evaluation')}, {_span(expansions, '{:.0f}')} expansions")
    grid.add_row("dollars", _dollars(range_of(need.usd)))
    grid.add_row("tokens", _span(range_of(need.tokens), "{:,.0f}"))
    grid.add_row("time", f"{_time(range_of(need.hours))} with {count(settings.workers, 'worker')}")
    if used.evaluations or used.usd:
        grid.add_row(
            "so far", f"${used.usd:.2f}, {count(used.evaluations, 'evaluation')}, {duration(used.hours * 3600)}"
        )
    for number, each in enumerate(found.endings):
        grid.add_row("" if number else "it ends", _ending(each, settings))
    grid.add_row("from", plain(_basis(found)))
    print_table(out, grid)
    out.print("Numbers in brackets: the middle 90 % of what may come.", style="dim")
    for note in (*found.past.notes, *warnings(found)):
        out.print(plain(f"! {note}", "yellow"))


def _ending(each: Ending, settings: Settings) -> str:
    how = "with all its evaluations" if each.cap == "evaluations" else f"by {CAPS[each.cap]}"
    reached = "" if each.cap == "evaluations" else f" after {_span(each.evaluations, '{:.0f}')}"
    return f"{how}{reached} (probability {percent(each.probability)})"


def _basis(found: Estimate) -> str:
    measured = count(len(found.past.evaluations), "evaluation")
    return f"{measured} and {count(len(found.past.expansions), 'expansion')} of {', '.join(found.sources)}"


def _dollars(range: Range) -> str:
    return _span(range, "${:.2f}")


def _time(range: Range) -> str:
    middle, low, high = (duration(hours * 3600) for hours in (range.middle, range.low, range.high))
    return middle if low == high else f"{middle} ({low} to {high})"


def _span(range: Range, form: str) -> str:
    middle, low, high = (form.format(value) for value in (range.middle, range.low, range.high))
    return middle if low == high else f"{middle} ({low} to {high})"
