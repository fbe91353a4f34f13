"""`clade simulate`: which policy ends with the truly best agent, over many seeds of a world whose skills are known."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table as RichTable

from evolve.cli.fitted import fitted_to, say_what_is_thin
from evolve.cli.policy_option import POLICIES, options_of, policy_called
from evolve.cli.reading import json_option
from evolve.cli.render import console, count, echo_json, plain, print_table
from evolve.policies import AnyPolicy
from evolve.simulate import (
    PRESETS,
    Estimate,
    Plan,
    Preset,
    Row,
    Study,
    Table,
    collect,
    preset,
    processors,
    table,
)

REFERENCE = "hgm"
"""The policy that the others are compared with, where it is among them."""
PLAIN_STEPS = 10
"""Lines of progress where there is no terminal."""


def _list(context: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    """Print the worlds and the policies, and nothing else."""
    if not wanted or context.resilient_parsing:
        return
    grid = RichTable.grid(padding=(0, 2))
    for kind, title in (("calibrated", "worlds like a benchmark"), ("adversarial", "worlds that mislead")):
        grid.add_row(plain(title, "bold"))
        for each in PRESETS:
            if each.kind == kind:
                grid.add_row(plain(f"  {each.name}"), plain(each.about))
    grid.add_row(plain("policies", "bold"))
    for name, policy in POLICIES.items():
        grid.add_row(plain(f"  {name}"), plain((policy.__doc__ or "").strip().split("\n")[0]))
        grid.add_row("", plain(f"options: {', '.join(options_of(name)) or 'none'}", "dim"))
    print_table(console(), grid)
    context.exit()


@click.command()
@click.option(
    "--world",
    "worlds",
    multiple=True,
    metavar="NAME",
    help="World to simulate. May be repeated.  [default: swe, or RUN's alone]",
)
@click.option(
    "--from",
    "run",
    metavar="RUN",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Simulate a world fitted to this run.",
)
@click.option(
    "--policy",
    "policies",
    multiple=True,
    metavar="NAME[:OPTION=VALUE,…]",
    help="Policy to simulate. May be repeated. The others are compared with hgm, or with the first one if hgm is not "
    "among them.  [default: all]",
)
@click.option("--seeds", type=click.IntRange(min=1), default=100, show_default=True, help="Worlds drawn, one run each.")
@click.option("--first-seed", type=click.IntRange(min=0), default=0, show_default=True, help="The others follow it.")
@click.option("--evaluations", type=click.IntRange(min=1), default=800, show_default=True, help="Budget of a run.")
@click.option("--expansions", type=click.IntRange(min=0), help="Attempts to write a child.  [default: as `clade run`]")
@click.option(
    "--workers", type=click.IntRange(min=1), help="Moves under way at once.  [default: the world's, mostly 20]"
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Keep every run in this folder; what is there already is not simulated again.",
)
@click.option("--jobs", type=click.IntRange(min=1), help="Processes.  [default: one for each processor]")
@click.option(
    "--list", is_eager=True, is_flag=True, expose_value=False, callback=_list, help="The worlds and policies."
)
@json_option
def simulate(
    worlds: tuple[str, ...],
    run: Path | None,
    policies: tuple[str, ...],
    seeds: int,
    first_seed: int,
    evaluations: int,
    expansions: int | None,
    workers: int | None,
    out: Path | None,
    jobs: int | None,
    as_json: bool,
) -> None:
    """Compare policies in worlds where the truth is known.

    A world has tasks of hidden difficulty, and agents of hidden skill whose children inherit it with changes. Each
    policy grows a tree in the same worlds with the same budget, as `clade run` would, but no model is asked and no
    code is executed. The table says how good the agent it chose truly is, on tasks that no policy saw.

    \b
    clade simulate --list
    clade simulate --policy hgm --policy dgm --seeds 200
    clade simulate --policy kin --policy kin:optimism=2,alpha=0.5
    clade simulate --world flat --world decline --out studies --seeds 1000
    clade simulate --from runs/first --policy hgm --policy kin
    """
    chosen = [preset(name) for name in dict.fromkeys(worlds or (() if run else ("swe",)))]
    if run is not None:
        chosen.append(_fitted(run))
    wanted = list(dict.fromkeys(policy_called(each) for each in policies or POLICIES))
    studies = [_study(world, policy, evaluations, expansions, workers) for world in chosen for policy in wanted]
    traces = collect(studies, range(first_seed, first_seed + seeds), out, jobs or processors(), _progress)
    labels = [study.label for study in studies]
    reference = REFERENCE if REFERENCE in labels else labels[0]
    tables = [
        table(
            world.name,
            {study.label: traces[study.name] for study in studies if study.world == world.name},
            reference,
        )
        for world in chosen
    ]
    if as_json:
        echo_json({"worlds": [_facts(each, studies) for each in tables]})
        return
    for number, each in enumerate(tables):
        if number:
            console().print()
        plan = next(study.plan for study in studies if study.world == each.world)
        _print(each, plan)


def _fitted(run: Path) -> Preset:
    """The world fitted to a run; says what of it is not the run's."""
    found = fitted_to(run)
    say_what_is_thin(found, run)
    return Preset(f"from-{run.resolve().name}", "calibrated", f"fitted to {run}", found.settings)


def _study(world: Preset, policy: AnyPolicy, evaluations: int, expansions: int | None, workers: int | None) -> Study:
    plan = Plan(evaluations=evaluations, expansions=expansions, workers=workers or world.workers)
    return Study(world.name, world.settings, policy, plan)


@contextmanager
def _progress(total: int) -> Iterator[Callable[[int], None]]:
    """A bar on a terminal, some lines elsewhere; both on standard error."""
    screen = console(sys.stderr)
    columns = (TextColumn("simulating"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    done = 0
    with Progress(*columns, console=screen, disable=not screen.is_terminal) as bar:
        track = bar.add_task("simulating", total=total)

        def advance(runs: int) -> None:
            nonlocal done
            before, done = done, done + runs
            bar.update(track, completed=done)
            if not screen.is_terminal and before * PLAIN_STEPS // total != done * PLAIN_STEPS // total:
                click.echo(f"{done:,} of {count(total, 'run')} simulated", err=True)

        yield advance


def _facts(found: Table, studies: list[Study]) -> dict[str, Any]:
    """For --json: the table with all that it was made from."""
    own = [study for study in studies if study.world == found.world]
    return {
        **dataclasses.asdict(found),
        "plan": {**own[0].plan.model_dump(mode="json"), "expansion_budget": own[0].plan.expansion_budget},
        "settings": own[0].settings.model_dump(mode="json"),
        "policies": [study.policy.model_dump(mode="json") for study in own],
        "interval": "95 %",
    }


def _print(found: Table, plan: Plan) -> None:
    out = console()
    runs = found.rows[0].runs
    out.print(
        f"world {found.world}, {count(plan.evaluations, 'evaluation')}, {count(plan.workers, 'worker')}, "
        f"{count(runs, 'seed')}",
        style="bold",
    )
    shown = RichTable(box=None, padding=(0, 2, 0, 0), header_style="dim")
    shown.add_column("policy", no_wrap=True)
    for name in ("true skill", "regret", "agents", "hours", f"to {found.reference}", f"beyond {found.reference}"):
        shown.add_column(name, justify="right", no_wrap=True)
    for row in found.rows:
        shown.add_row(*_cells(row, itself=row.policy == found.reference))
    shown.add_row("(first agent)", _span(found.seed_skill))
    print_table(out, shown)
    out.print(
        f"In per cent, ± 95 %. True skill: unseen tasks that the chosen agent solves. Regret: what the best of its "
        f"tree solves more. To {found.reference}: evaluations to the skill that {found.reference} ends with. Beyond "
        f"{found.reference}: paired by seed.",
        style="dim",
    )


def _cells(row: Row, *, itself: bool) -> tuple[str, ...]:
    reached = "never" if row.to_level is None else f"{row.to_level.mean:.0f}"
    beyond = "–" if row.difference is None else _span(row.difference, sign="+")
    return (
        row.policy,
        _span(row.skill),
        f"{100 * row.regret.mean:.1f}",
        f"{row.agents.mean:.0f}",
        f"{row.hours.mean:.1f}",
        "–" if itself else reached,
        beyond,
    )


def _span(found: Estimate, sign: str = "") -> str:
    """In per cent, with half the width of its interval, which is symmetric."""
    middle = f"{100 * found.mean:{sign}.1f}"
    return middle if found.high is None else f"{middle} ± {100 * (found.high - found.mean):.1f}"
