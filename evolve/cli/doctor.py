"""`clade doctor`: what this machine offers, found by trying, and which sandbox would be used."""

from __future__ import annotations

import json
import os
import platform
import pwd
import shutil
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from evolve.llm.catalogue import BUILT_IN
from sandbox import Bwrap, Docker, Probe, Sandbox, SandboxError, started

_BACK_ENDS: dict[str, Callable[[], Sandbox]] = {"docker": Docker, "bwrap": Bwrap}
"""In the order in which `auto` tries them."""


@dataclass(frozen=True, slots=True)
class BackEnd:
    """What one back end can do here."""

    name: str
    isolation: str
    """Empty if it does not work."""
    problem: str
    """Why it does not work, or empty."""
    probes: tuple[Probe, ...] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that `doctor` says."""

    machine: dict[str, str]
    back_ends: tuple[BackEnd, ...]
    keys: dict[str, bool]
    """Environment variable to whether it is set; never its value."""
    chosen: str
    """The back end that `auto` takes; empty if none works."""


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of tables.")
def doctor(as_json: bool) -> None:
    """Say what this machine offers: sandboxes (each promise is tried), models' keys, resources.

    Ends with exit status 1 if no sandbox works here.
    """
    report = examine()
    if as_json:
        click.echo(json.dumps(asdict(report), indent=2))
    else:
        show(report, Console(highlight=False))
    if not report.chosen:
        sys.exit(1)


def examine() -> Report:
    """Try everything. Takes some seconds for each back end."""
    back_ends = tuple(_examine(name, make) for name, make in _BACK_ENDS.items())
    chosen = next((each.name for each in back_ends if not each.problem), "")
    names = sorted({settings.key_env for settings in BUILT_IN.values() if settings.key_env})
    return Report(_machine(), back_ends, {name: bool(os.environ.get(name)) for name in names}, chosen)


def _machine() -> dict[str, str]:
    gb = 1 << 30
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / gb
    disk = shutil.disk_usage(Path.cwd())
    try:
        user = pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        user = str(os.geteuid())
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": f"{memory:.1f} GB",
        "disk here": f"{disk.free / gb:.1f} GB free of {disk.total / gb:.1f} GB",
        "user": user,
    }


def _examine(name: str, make: Callable[[], Sandbox]) -> BackEnd:
    try:
        sandbox = started(make())  # as `auto` does it
    except SandboxError as error:
        return BackEnd(name, "", str(error))
    try:
        return BackEnd(name, sandbox.isolation, "", sandbox.probe())
    except SandboxError as error:
        return BackEnd(name, "", str(error))
    finally:
        sandbox.close()


def show(report: Report, console: Console) -> None:
    """Print the report for people, in 80 columns."""
    console.print(_table("This machine", [(name, "", value) for name, value in report.machine.items()]))
    for each in report.back_ends:
        title = f"{each.name}  [dim]{each.isolation or 'not usable'}[/dim]"
        rows = [(probe.name, _mark(probe.passed), escape(probe.detail)) for probe in each.probes]
        console.print(_table(title, rows or [("", _mark(False), escape(each.problem))]))
    keys = [
        (name, _mark(present) if present else "", "set" if present else "not set")
        for name, present in report.keys.items()
    ]
    console.print(_table("Models' keys", keys))
    if report.chosen:
        isolation = next(each.isolation for each in report.back_ends if each.name == report.chosen)
        console.print(f'sandbox = "auto" takes [bold]{report.chosen}[/bold] ({isolation}).')
    else:
        console.print("[bold red]No sandbox works on this machine[/bold red]; see above for what to do.")


def _mark(passed: bool) -> str:
    return "[green]yes[/green]" if passed else "[red]no[/red]"


def _table(title: str, rows: list[tuple[str, str, str]]) -> Table:
    table = Table(
        title=title, title_justify="left", title_style="bold", box=None, show_header=False, pad_edge=False, width=80
    )
    table.add_column(width=20)
    table.add_column(width=4)
    table.add_column(ratio=1, overflow="fold")
    for row in rows:
        table.add_row(*row)
    return table
