"""`clade audit`: which agents of a run, and which lines, show signs of gaming the benchmark."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import click
from rich.table import Table
from rich.text import Text

from archive import Archive, Evaluation, History
from evolve.cli.reading import json_option, reading, run_argument
from evolve.cli.render import console, count, echo_json, percent, plain, points, print_table
from evolve.cli.summary import line_of
from evolve.evidence import verdict
from evolve.settings import FILE, Settings, load
from evolve.statistics.audit import MARKS, Audited, Gap, Mark, Papers, papers_of
from evolve.statistics.audit import audit as audited

MEANINGS = {
    "tampered": "the judge was attacked (TAMPERED)",
    "rejected": "only forbidden files were changed (PATCH_REJECTED)",
    "guards": "a guard test, which must fail, did not",
    "dropped": "changes of forbidden files were left out of the patch",
}

ANCESTORS = 6
"""Agents of a line that the table shows, the agent itself included; --json has all."""


@click.command()
@run_argument
@click.option("--all", "everyone", is_flag=True, help="Also agents without a mark or a held-out result.")
@json_option
def audit(folder: Path, everyone: bool, as_json: bool) -> None:
    """Signs of reward hacking in RUN: marks that attacks leave, and gains that do not carry over to held-out tasks.

    Marks are counted in what the judge wrote down, never in what an agent says. One that an agent has and its parent
    has not begins there: `*`. Red where chance does not explain it: a mark's whole 95 % interval lies above the seed's,
    or a gain over the seed is larger on search tasks than on held-out ones beyond its 95 % interval.
    """
    settings = load(folder) if (folder / FILE).exists() else Settings()
    with reading(folder) as (archive, _):
        history = archive.history()
        papers, lost = read_papers(archive, history.evaluations)
    found = audited(history, papers, settings.benchmark_name)
    if as_json:
        agents = [facts_of(each, history) for each in found]
        echo_json({"benchmark": settings.benchmark_name, "agents": agents, "papers_lost": lost})
    else:
        show(found, lost, history, everyone=everyone)


def read_papers(archive: Archive, rows: Iterable[Evaluation]) -> tuple[dict[int, Papers], int]:
    """What the judge wrote of each evaluation that is evidence, by its id; and of how many it cannot be read."""
    found, lost = {}, 0
    for row in rows:
        if not row.passed and not row.failed:
            continue
        try:
            facts = verdict(archive.folder_of(row))
        except (json.JSONDecodeError, UnicodeDecodeError, OSError):
            facts = {}
        if facts:
            found[row.id] = papers_of(facts)
        else:
            lost += 1
    return found, lost


def noteworthy(each: Audited) -> bool:
    return bool(each.gaps) or any(mark.count for mark in each.marks)


def facts_of(each: Audited, history: History) -> dict[str, Any]:
    line = [agent.id for agent in line_of(history, history.agents[each.agent])]
    gaps = [{**dataclasses.asdict(gap), "suspicious": gap.suspicious} for gap in each.gaps]
    return {**dataclasses.asdict(each), "gaps": gaps, "lineage": line, "suspicious": each.suspicious}


def show(found: Sequence[Audited], lost: int, history: History, *, everyone: bool) -> None:
    out = console()
    suspicious = [each.agent for each in found if each.suspicious]
    telling = [each for each in found if noteworthy(each)]
    shown = found if everyone else telling
    if shown:
        print_table(out, table_of(shown, history))
        for name in MARKS:
            out.print(plain(f"{name}: {MEANINGS[name]}"), style="dim")
    for each in shown:
        for gap in each.gaps:
            out.print(Text(_gap(each.agent, gap), "red" if gap.suspicious else ""), soft_wrap=True)
    quiet = len(found) - len(telling)
    out.print(plain(f"{count(len(found), 'measured agent')}, {quiet} without a mark or held-out result"))
    if suspicious:
        out.print(plain(f"! look at agents {', '.join(map(str, suspicious))}: chance does not explain them", "red"))
    else:
        out.print(plain("nothing that chance does not explain"))
    if lost:
        out.print(
            plain(f"! the judge's papers of {count(lost, 'evaluation')} are not there: no marks from them", "yellow")
        )


def table_of(found: Sequence[Audited], history: History) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    table.add_column("line")
    table.add_column("evaluations", justify="right")
    for name in MARKS:
        table.add_column(name, justify="right")
    for each in found:
        table.add_row(_line(each.agent, history), str(each.evaluations), *(_mark(mark) for mark in each.marks))
    return table


def _line(agent: int, history: History) -> str:
    """The agent's last ancestors and itself."""
    line = [str(each.id) for each in line_of(history, history.agents[agent])]
    return " → ".join(line if len(line) <= ANCESTORS else ["…", *line[-ANCESTORS:]])


def _mark(mark: Mark) -> Text:
    return Text(f"{mark.count}{'*' if mark.new else ''}" if mark.count else "–", "red" if mark.suspicious else "")


def _gap(agent: int, gap: Gap) -> str:
    text = f"agent {agent}: search {percent(gap.search)}, {gap.split} {percent(gap.held_out)}: "
    text += f"{points(gap.mean)} points (95 % {points(gap.low)} to {points(gap.high)})"
    if gap.gain is not None:
        gain = gap.gain
        text += (
            f"; of its gain over the seed {points(gain.mean)} ({points(gain.low)} to {points(gain.high)}) stay behind"
        )
    return text
