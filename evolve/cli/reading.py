"""The verbs that only look: `clade status`, `tree`, `show`, `diff`, `best`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import click
from rich.table import Table
from rich.text import Text

from archive import Archive, ArchiveError, Bill, History, Tally, dot, graphml, holder, json_text, lineage, newick
from evolve.cli.naming import agent_called
from evolve.cli.picture import picture
from evolve.cli.render import (
    bill_text,
    console,
    count,
    diff_text,
    echo_json,
    outcome_text,
    plain,
    print_table,
    score_text,
    sure,
    visible,
)
from evolve.cli.summary import Facts, age, best_facts, duration, status_facts, story
from evolve.settings import FILE, Settings, load, parse
from evolve.statistics.beliefs import PATIENT, QUICK, Beliefs, beliefs_of, search_tasks
from evolve.statistics.posterior import Skill
from evolve.statistics.sealed import OPENED

Command = TypeVar("Command", bound=Callable[..., Any])

EXPORTS = {"graphml": graphml, "json": json_text, "newick": lambda graph: newick(graph) + "\n", "dot": dot}
ISSUE_LINES = 30
"""Lines of an issue that `show` prints; `--json` has all of it."""


def run_argument(command: Command) -> Command:
    """The first argument of every reading verb."""
    return click.argument("folder", metavar="RUN", type=click.Path(exists=True, file_okay=False, path_type=Path))(
        command
    )


def json_option(command: Command) -> Command:
    return click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")(command)


@contextmanager
def reading(folder: Path) -> Iterator[tuple[Archive, Settings]]:
    """The run's archive and settings: those of run.toml, else those that it began with."""
    settings = load(folder) if (folder / FILE).exists() else None
    if settings is not None and [path.name for path in folder.iterdir()] == [FILE]:
        raise ArchiveError(
            f"the run in {folder} has not begun, there is only its {FILE}: `clade run {folder}` begins it"
        )
    with Archive.open(folder, url=None if settings is None else settings.database) as archive:
        yield archive, settings or parse(archive.about.get("settings", ""), f"{folder} (its first settings)")


def believed_in(archive: Archive, history: History, settings: Settings, *, most: int = PATIENT) -> Beliefs:
    """What the run believes of its agents, `history` being its rows."""
    tasks = search_tasks(archive.about, history, settings.benchmark_name)
    return beliefs_of(history, settings, tasks, most=most)


@click.command()
@run_argument
@json_option
def status(folder: Path, as_json: bool) -> None:
    """What is going on in RUN: its state, what was tried, what came out, what it cost, the best agent so far."""
    with reading(folder) as (archive, settings):
        history = archive.history()
        believed = believed_in(archive, history, settings, most=QUICK)
        facts = status_facts(history, archive.about, holder(folder), believed)
    if as_json:
        echo_json(facts)
        return
    grid = _grid()
    grid.add_row("state", Text.assemble((facts["state"], "bold"), ": ", visible(facts["why"], keep="")))
    if facts["isolation"]:
        grid.add_row("isolation", visible(facts["isolation"], keep=""))
    grid.add_row("agents", str(facts["agents"]))
    grid.add_row("expansions", _counted(facts["expansions"], facts["expansions_by_outcome"]))
    grid.add_row("evaluations", _counted(facts["evaluations"], facts["evaluations_by_outcome"]))
    if facts["evaluations_on_request"]:
        grid.add_row("on request", f"{count(facts['evaluations_on_request'], 'evaluation')}, not part of the search")
    if facts["from_cache"]:
        grid.add_row("from the cache", f"{count(facts['from_cache'], 'evaluation')} that another run had made")
    for task, why in facts["quarantined"].items():
        grid.add_row("quarantined", visible(f"{task}: {why}", keep=""))
    if facts["left_out"]:
        grid.add_row("left out", f"{count(len(facts['left_out']), 'task')} (see them with --json)")
    if facts["under_way"]:
        grid.add_row("under way", count(facts["under_way"], "move"))
    grid.add_row("spent", bill_text(Bill(**facts["spent"])))
    grid.add_row("time", _time(facts))
    if facts["seed"]:
        grid.add_row("seed", _score(facts["seed"]))
    if facts["best"]:
        grid.add_row("best", Text.assemble((f"agent {facts['best']['agent']}", "bold"), "  ", _score(facts["best"])))
    if facts["skills_left_out"]:
        grid.add_row("", Text(f"{facts['skills_left_out']}; `clade best` may have more patience", "dim"))
    print_table(console(), grid)


@click.command()
@run_argument
@click.option(
    "--format",
    "kind",
    type=click.Choice(["text", *EXPORTS]),
    default="text",
    show_default=True,
    help="For other programs.",
)
@click.option(
    "-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="A file instead of standard output."
)
@json_option
def tree(folder: Path, kind: str, output: Path | None, as_json: bool) -> None:
    """The family tree of RUN, with every agent's own results and its clade's."""
    if as_json and kind not in ("text", "json"):
        raise click.UsageError(f"--json and --format {kind} contradict each other")
    kind = "json" if as_json else kind
    with reading(folder) as (archive, settings):
        history = archive.history()
        believed = believed_in(archive, history, settings)
    if kind == "text" and output is None:
        print_table(console(), picture(history, believed))
        return
    if kind == "text" and output is not None:
        with output.open("w", encoding="utf-8") as file:
            print_table(console(file), picture(history, believed))
        return
    text = EXPORTS[kind](lineage(history, believed_facts(history, believed)))
    if output is None:
        click.echo(text, nl=False)
    else:
        output.write_text(text, encoding="utf-8")


def believed_facts(history: History, believed: Beliefs) -> dict[int, dict[str, float | bool]]:
    """What the tree's nodes have beside their raw scores."""
    facts: dict[int, dict[str, float | bool]] = {
        agent.id: {"best": agent.id == believed.best} for agent in history.agents
    }
    for agent, skill in believed.skills.items():
        facts[agent] |= {"skill": skill.mean, "skill_low": skill.low, "skill_high": skill.high, "p_best": skill.p_best}
    return facts


@click.command()
@run_argument
@click.argument("first", metavar="A")
@click.argument("second", metavar="[B]", required=False)
@json_option
def diff(folder: Path, first: str, second: str | None, as_json: bool) -> None:
    """How the code of agent B differs from A's; with one agent, how it differs from its parent's."""
    with reading(folder) as (archive, _):
        agents = archive.history().agents
        after = agent_called(second or first, agents)
        before = agent_called(first, agents).id if second is not None else after.parent
        if before is None:
            raise click.UsageError(f"agent {after.id} is the seed and has no parent; name two agents")
        text = archive.diff(before, after.id)
    if as_json:
        echo_json({"before": before, "after": after.id, "diff": text})
    else:
        console().print(diff_text(text), end="", soft_wrap=True)


@click.command()
@run_argument
@click.argument("name", metavar="AGENT")
@json_option
def show(folder: Path, name: str, as_json: bool) -> None:
    """Everything on one AGENT of RUN: its line, why it was born, what changed, how it did, what it cost."""
    with reading(folder) as (archive, settings):
        history = archive.history()
        agent = agent_called(name, history.agents)
        facts = story(history, agent, believed_in(archive, history, settings))
        changes = "" if agent.parent is None else archive.diff(agent.parent, agent.id)
    if as_json:
        echo_json({**facts, "diff": changes})
    else:
        _print_story(facts, history, changes)


def _print_story(facts: Facts, history: History, changes: str) -> None:
    out = console()
    head = _grid()
    line = " → ".join(str(each["agent"]) for each in facts["lineage"])
    head.add_row("agent", Text.assemble((str(facts["agent"]), "bold"), f", commit {facts['commit'][:12]}"))
    head.add_row("line", line)
    head.add_row("born", f"{facts['born']:%Y-%m-%d %H:%M} UTC" + ("" if facts["entry"] else ", the seed"))
    if facts["entry"]:
        head.add_row("to mend", plain(facts["entry"]))
    head.add_row("score", _score(facts))
    for word, colour in (("fixed", "green"), ("broken", "red")):
        if facts[word]:
            head.add_row(word, plain(", ".join(facts[word]), colour))
    head.add_row("children", ", ".join(map(str, facts["children"])) or "none")
    head.add_row("measuring", bill_text(Bill(**facts["spent_on_evaluations"])))
    head.add_row("rewriting", bill_text(Bill(**facts["spent_on_expansions"])))
    print_table(out, head)
    if facts["issue"]:
        _section(out, "The issue it was born to solve")
        lines = facts["issue"].strip().split("\n")
        for text in lines[:ISSUE_LINES]:
            out.print(plain("  " + text), soft_wrap=True)
        if len(lines) > ISSUE_LINES:
            out.print(Text(f"  … {len(lines) - ISSUE_LINES} more lines; --json has all", "dim"))
    if changes:
        _section(out, f"What it changed in agent {facts['parent']}")
        out.print(diff_text(changes), end="", soft_wrap=True)
    if facts["evaluations"]:
        _section(out, "Evaluations")
        print_table(out, _evaluations(history, facts["agent"]))
    if facts["failed_expansions"]:
        _section(out, "Expansions without a child")
        print_table(out, _failures(history, facts["agent"]))


@click.command()
@run_argument
@click.option(
    "--epsilon",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    help="Quantile by which the policy ranks the agents; default as in run.toml.",
)
@click.option("--final", "finally_", is_flag=True, help="The agent that `clade final` chose, not the run itself.")
@json_option
def best(folder: Path, epsilon: float | None, finally_: bool, as_json: bool) -> None:
    """The agent of RUN to take away, beside the seed, and how far to trust that."""
    with reading(folder) as (archive, settings):
        said = [dict(event.facts) for event in archive.events(OPENED)]
        if finally_ and not said:
            raise click.UsageError(f"`clade final {folder}` has not opened the sealed split yet")
        given = said[-1]["agent"] if finally_ else None
        history = archive.history()
        believed = believed_in(archive, history, settings if epsilon is None else ranked_by(settings, epsilon))
        facts = best_facts(history, believed, given=given)
    if facts is not None and said:
        facts["final"] = {
            "agent": said[-1]["agent"], "reference": said[-1]["reference"], "times_opened": len(said)
        }  # fmt: skip
    if as_json:
        echo_json(facts or {"agent": None, "warnings": ["nothing was measured yet"]})
        return
    if facts is None:
        click.echo("nothing was measured yet")
        return
    out = console()
    grid = _grid()
    grid.add_row("best", Text.assemble((f"agent {facts['agent']}", "bold"), f", commit {facts['commit'][:12]}"))
    grid.add_row("", _score(facts))
    if facts["skill"]:
        grid.add_row("", f"the ablest of all with probability {sure(facts['skill']['p_best'])}")
    grid.add_row("chosen", "by `clade final`" if finally_ else f"by the run's policy, {facts['policy']}")
    grid.add_row("seed", _score(facts["seed"]))
    if facts["probability_better"] is not None:
        grid.add_row("better", f"than the seed with probability {sure(facts['probability_better'])} (exact)")
    for place in sorted(facts["elsewhere"]["best"]):
        ours, seeds = (facts["elsewhere"][who].get(place) for who in ("best", "seed"))
        line = f"{ours['passed']} of {ours['passed'] + ours['failed']}"
        if seeds:
            line += f"; the seed {seeds['passed']} of {seeds['passed'] + seeds['failed']}"
        grid.add_row(visible(place, keep=""), line)
    if "final" in facts:
        grid.add_row("final", f"agent {facts['final']['agent']}; `clade final` shows its sealed result")
    print_table(out, grid)
    if facts["skills_left_out"]:
        out.print(Text(facts["skills_left_out"], "dim"))
    for warning in facts["warnings"]:
        out.print(Text("! " + warning.replace("RUN", visible(str(folder), keep="")), "yellow"))


def ranked_by(settings: Settings, epsilon: float) -> Settings:
    """The settings with another ε of the policy. Raises: `click.UsageError` if the policy has none."""
    policy = settings.policy
    if "epsilon" not in type(policy).model_fields:
        raise click.UsageError(f"the run's policy, {policy.name}, ranks agents by no quantile: leave --epsilon away")
    return settings.model_copy(update={"policy": policy.model_copy(update={"epsilon": epsilon})})


def _grid() -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column()
    return grid


def _section(out: Any, title: str) -> None:
    out.print(Text(f"\n{title}", "bold"))


def _counted(total: int, by_outcome: dict[str, int]) -> str:
    parts = ", ".join(f"{count} {outcome}" for outcome, count in by_outcome.items())
    return f"{total}" + (f" ({parts})" if parts else "")


def _score(facts: Facts) -> Text:
    skill = None if facts["skill"] is None else Skill(**facts["skill"])
    return Text(score_text(Tally(facts["passed"], facts["failed"]), skill))


def _time(facts: Facts) -> str:
    parts = []
    if facts["hours"] is not None:
        parts.append(f"{duration(facts['hours'] * 3600)} at work")
    parts.append(f"{duration(facts['seconds_in_moves'])} in moves")
    if facts["created"]:
        parts.append(f"begun {age(datetime.fromisoformat(facts['created']), datetime.now(UTC))} ago")
    if facts["last_closed"]:
        parts.append(f"last result {age(facts['last_closed'], datetime.now(UTC))} ago")
    return ", ".join(parts)


def _evaluations(history: History, agent: int) -> Table:
    table = _list("task", "split", "outcome", "time", "usd")
    for row in history.evaluations:
        if row.agent == agent:
            asked = "" if row.decision is not None else " (on request)"
            outcome = outcome_text(row.outcome)
            table.add_row(
                plain(row.task), plain(row.split + asked), outcome, duration(row.seconds), f"{row.bill.usd:.2f}"
            )
    return table


def _failures(history: History, agent: int) -> Table:
    table = _list("to mend", "outcome", "why", "time", "usd")
    for row in history.expansions:
        if row.parent == agent and row.outcome != "BORN":
            outcome = outcome_text(row.outcome)
            table.add_row(plain(row.entry), outcome, plain(row.reason), duration(row.seconds), f"{row.bill.usd:.2f}")
    return table


def _list(*columns: str) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    for name in columns:
        number = name in ("time", "usd")
        table.add_column(
            name, justify="right" if number else "left", no_wrap=number or name == "outcome", overflow="fold"
        )
    return table
