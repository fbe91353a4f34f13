"""`clade final`: the last word on a run: finalists measured in full, one chosen, the sealed split opened for it."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from rich.table import Table
from rich.text import Text

from archive import Archive, History, Tally
from benchmarks import Benchmark
from evolve.cli.measuring import at_work, measure, memory_of, prepared
from evolve.cli.naming import agent_called
from evolve.cli.reading import believed_in, json_option, reading, run_argument
from evolve.cli.render import console, count, echo_json, paired_lines, plain, print_table, span
from evolve.cli.summary import duration, skill_facts
from evolve.settings import Settings, load
from evolve.state import left_out, view_of
from evolve.statistics.beliefs import Beliefs
from evolve.statistics.finalists import Choice, Finalist, choose, select
from evolve.statistics.paired import Paired, compare, successes
from evolve.statistics.posterior import Skill
from evolve.statistics.sealed import (
    BEGUN,
    OPENED,
    SPLIT,
    Opening,
    Standing,
    begun_facts,
    going_on,
    looked_at,
    missing,
    opening_facts,
    openings,
    spent_since,
)
from evolve.workshop import Workshop


@dataclass(frozen=True, slots=True)
class Wishes:
    """The options of one call."""

    finalists: int
    budget: int | None
    reference: str
    again: bool
    yes: bool


@click.command()
@run_argument
@click.option(
    "--finalists", "number", type=click.IntRange(min=1), default=5, show_default=True, help="Agents to measure in full."
)
@click.option(
    "--budget",
    type=click.IntRange(min=0),
    help="Evaluations of the finalists at most, with those of a call that was cut off; default: all they lack.",
)
@click.option("--reference", metavar="AGENT", help="What the chosen one is compared with; default: the seed, agent 0.")
@click.option("--again", is_flag=True, help="Choose once more and open the sealed split once more, which is counted.")
@click.option("--yes", is_flag=True, help="Do not ask before it costs anything.")
@json_option
def final(
    folder: Path, number: int, budget: int | None, reference: str | None, again: bool, yes: bool, as_json: bool
) -> None:
    """The last word on RUN: is its best agent better than the seed, by how much, and how sure is that?

    The few agents that the run believes in most are measured on all search tasks, and the best of them is chosen. Only
    then is the sealed split opened: that is written into the archive first, and happens once. A `clade final` that was
    cut off goes on where it was; one that is done only shows its result.
    """
    settings = load(folder)
    if again or not is_done(folder, settings, reference):
        with at_work(folder, settings) as (archive, workshop):
            opening = opened(archive, settings, workshop, Wishes(number, budget, reference or "0", again, yes))
            if opening is None:
                shut = "no agent is believed to be better than the reference; the sealed split stays shut"
                if as_json:
                    echo_json({"benchmark": settings.benchmark_name, "agent": None, "warnings": [shut]})
                else:
                    click.echo(shut)
                return
            left = missing(opening, archive.history().evaluations)
            memory = memory_of(settings, workshop)
            for agent, tasks in left.items():
                chosen = archive.history().agents[agent]
                click.echo(f"agent {agent} on {count(len(tasks), 'sealed task')}", err=True)
                measure(archive, settings, workshop, chosen, SPLIT, tasks, again=False, memory=memory)
    with reading(folder) as (archive, _):
        history = archive.history()
        said = openings(archive.events(OPENED), settings.benchmark_name)
        facts = facts_of(said, history, believed_in(archive, history, settings))
    if as_json:
        echo_json(facts)
    else:
        show(said[-1], facts)


def is_done(folder: Path, settings: Settings, reference: str | None) -> bool:
    """Whether the sealed split was opened and all is measured. Raises: `click.UsageError` for another reference."""
    with Archive.open(folder, write=True, url=settings.database) as archive:
        said = openings(archive.events(OPENED), settings.benchmark_name)
        history = archive.history()
    if not said:
        return False
    if reference is not None and agent_called(reference, history.agents).id != said[-1].reference:
        raise click.UsageError(
            f"the sealed split was opened to compare with agent {said[-1].reference}; `--again` opens it once more"
        )
    return not missing(said[-1], history.evaluations)


def opened(archive: Archive, settings: Settings, workshop: Workshop, wishes: Wishes) -> Opening | None:
    """The opening to measure: the one that was cut off, else a new one; None if the reference itself is chosen."""
    name = settings.benchmark_name
    rival = agent_called(wishes.reference, archive.history().agents)
    benchmark = prepared(workshop)
    said = openings(archive.events(OPENED), name)
    if said and (not wishes.again or missing(said[-1], archive.history().evaluations)):
        click.echo(f"going on with the opening of {said[-1].at:%Y-%m-%d %H:%M} UTC", err=True)
        return said[-1]
    few, choice = measured_finalists(archive, settings, workshop, benchmark, wishes)
    if choice.agent == rival.id:
        return None
    click.echo(f"agent {choice.agent} is chosen; the sealed split is opened now", err=True)
    archive.event(OPENED, opening_facts(name, rival.id, benchmark.tasks(SPLIT), few, choice))
    return openings(archive.events(OPENED), name)[-1]


def measured_finalists(
    archive: Archive, settings: Settings, workshop: Workshop, benchmark: Benchmark, wishes: Wishes
) -> tuple[tuple[Finalist, ...], Choice]:
    """The finalists, each measured on all search tasks that the run has not left alone, and the best of them."""
    name, history = settings.benchmark_name, archive.history()
    alone = left_out(history)
    tasks = [task for task in benchmark.tasks("search") if task not in alone]
    believed = settings.policy.finalists(view_of(history, benchmark.tasks("search"), settings), wishes.finalists)
    since = going_on(archive.events(), history, name)
    budget = wishes.budget
    if budget is not None and since is not None:
        budget = max(0, budget - spent_since(history, name, believed, since))
    few = select(history, tasks, believed, benchmark=name, budget=budget)
    if not few:
        raise click.ClickException("nothing was measured yet: there is no agent to choose")
    agree(few, len(benchmark.tasks(SPLIT)), history, settings, yes=wishes.yes)
    if since is None:
        archive.event(BEGUN, begun_facts(name, history))
    memory = memory_of(settings, workshop)
    for each in few:
        measure(
            archive, settings, workshop, history.agents[each.agent], "search", each.open, again=False, memory=memory
        )
    return few, choose(archive.history(), believed, benchmark=name)


def agree(few: Sequence[Finalist], sealed: int, history: History, settings: Settings, *, yes: bool) -> None:
    """Say what is about to happen and what it may cost, and have it agreed to. Raises: `click.Abort`, `UsageError`."""
    to_come = sum(len(each.open) for each in few)
    done = [row for row in history.evaluations if row.passed or row.failed]
    evaluations = to_come + 2 * sealed
    each_usd = sum(row.bill.usd for row in done) / len(done)
    each_seconds = sum(row.seconds for row in done) / len(done)
    cost = f"${evaluations * each_usd:.2f} and " if each_usd else ""
    click.echo(
        f"finalists: agents {', '.join(str(each.agent) for each in few)}; {count(to_come, 'evaluation')} to measure "
        f"them on the same tasks, then {sealed} sealed tasks for two agents: about {cost}"
        f"{duration(evaluations * each_seconds / settings.workers)}, if they are as the run's own were",
        err=True,
    )
    if yes:
        return
    if not sys.stdin.isatty():
        raise click.UsageError("nobody can be asked here: `--yes` goes on without asking")
    click.confirm("Go on?", abort=True, err=True)


def facts_of(said: Sequence[Opening], history: History, believed: Beliefs) -> dict[str, Any]:
    """For --json, and all that `show` prints. Raises: `click.ClickException` if the house failed at every task."""
    opening = said[-1]
    rows = [row for row in history.evaluations if row.benchmark == opening.benchmark]
    mine, seeds = (successes(rows, agent, SPLIT) for agent in (opening.agent, opening.reference))
    common = opening.tasks
    paired = compare(
        {task: mine[task] for task in common if task in mine}, {task: seeds[task] for task in common if task in seeds}
    )
    if paired is None:
        raise click.ClickException("the house failed at every sealed task; mend that and run `clade final` again")
    looks = looked_at(said, rows, opening.benchmark, opening.reference)
    return {
        "benchmark": opening.benchmark,
        "opened": opening.at,
        "times_opened": len(said),
        "agent": opening.agent,
        "reference": opening.reference,
        "finalists": [standing_facts(each, believed.skills.get(each.agent)) for each in opening.finalists],
        "skills_left_out": believed.too_large,
        "tasks": len(opening.tasks),
        "paired": dataclasses.asdict(paired),
        "looked_at": list(looks),
        "p_bound": min(1.0, paired.p * len(looks)),
        "warnings": warnings(opening, paired, looks, len(said), history),
    }


def standing_facts(each: Standing, skill: Skill | None) -> dict[str, Any]:
    """A finalist: on the common tasks, before, and its skill by all evidence of the search, also of since."""
    low, high = each.after.interval()
    return {
        "agent": each.agent,
        "passed": each.after.passed,
        "failed": each.after.failed,
        "mean": each.after.mean,
        "low": low,
        "high": high,
        "skill": skill_facts(skill),
        "before": dataclasses.asdict(each.before),
    }


def warnings(opening: Opening, paired: Paired, looks: Sequence[int], times: int, history: History) -> list[str]:
    """What to bear in mind with the result."""
    said = []
    if paired.n < len(opening.tasks):
        lost = len(opening.tasks) - paired.n
        said.append(
            f"{count(lost, 'sealed task')} without a verdict, by faults of the house; `clade final` tries again"
        )
    if len(looks) > 1:
        agents = ", ".join(map(str, looks))
        said.append(
            f"sealed results of {len(looks)} agents were seen ({agents}; opened {count(times, 'time')}): "
            f"read p as at most {min(1.0, paired.p * len(looks)):.2g} (Bonferroni)"
        )
    later = [row for row in history.expansions if row.child is not None and row.opened > opening.at]
    if later:
        said.append("the run has grown since; `--again` chooses anew and opens the sealed split once more")
    return said


def show(opening: Opening, facts: dict[str, Any]) -> None:
    out = console()
    common = opening.finalists[0].after.n
    out.print(plain(f"finalists on the same {count(common, 'search task')} (was: when it became one)", "bold"))
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, show_header=False)
    for each, known in zip(opening.finalists, facts["finalists"], strict=True):
        skill = None if known["skill"] is None else Skill(**known["skill"])
        table.add_row(*_row(each, skill, chosen=each.agent == opening.agent))
    print_table(out, table)
    tasks = count(len(opening.tasks), "sealed task")
    out.print(plain(f"agent {opening.agent} was chosen; {tasks} opened {opening.at:%Y-%m-%d %H:%M} UTC", "bold"))
    paired = Paired(**{**facts["paired"], "a": Tally(**facts["paired"]["a"]), "b": Tally(**facts["paired"]["b"])})
    for line in paired_lines(paired, f"agent {opening.agent}", f"agent {opening.reference}"):
        out.print(plain(line), soft_wrap=True)
    for warning in facts["warnings"]:
        out.print(plain(f"! {warning}", "yellow"), soft_wrap=True)


def _row(each: Standing, skill: Skill | None, *, chosen: bool) -> list[Text]:
    raw = f"raw {span(each.after.mean, *each.after.interval())}"
    able = "" if skill is None else f"skill {span(skill.mean, skill.low, skill.high)}"
    was = f"was {each.before.passed} of {each.before.n}"
    cells = (f"agent {each.agent}", f"{each.after.passed} of {each.after.n}", raw, able, was)
    return [Text(text, "bold" if chosen else "") for text in cells]
