"""`clade doctor`: what this machine offers, found by trying, and which sandbox would be used."""

from __future__ import annotations

import json
import os
import platform
import pwd
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from evolve.cli.inventory import key_set
from evolve.cli.reaching import reach_all
from evolve.llm import ModelError, ProviderSettings, services
from evolve.settings import SettingsError, load
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
class Service:
    """A model service that a run can name."""

    name: str
    key_env: str
    """Environment variable for its key; empty if it needs none."""
    key_set: bool
    """Never the key itself."""
    answers: str = ""
    """What came of asking it; empty if it was not asked."""


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that `doctor` says."""

    machine: dict[str, str]
    back_ends: tuple[BackEnd, ...]
    services: tuple[Service, ...]
    chosen: str
    """The back end that `auto` takes; empty if none works."""


@click.command()
@click.argument(
    "folder", metavar="[RUN]", type=click.Path(exists=True, file_okay=False, path_type=Path), required=False
)
@click.option("--online", is_flag=True, help="Also see whether the models' services answer; sends their keys to them.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of tables.")
def doctor(folder: Path | None, online: bool, as_json: bool) -> None:
    """Say what this machine offers: sandboxes (each promise is tried), models' services and keys, resources.

    With RUN, its own services too. Asks nothing of the network without --online, and spends nothing. Ends with exit
    status 1 if no sandbox works here.
    """
    try:
        known = services({} if folder is None else load(folder).providers)
    except ModelError as error:
        raise SettingsError(str(error)) from None
    report = examine(known, online=online)
    if as_json:
        click.echo(json.dumps(asdict(report), indent=2))
    else:
        show(report, Console(highlight=False))
    if not report.chosen:
        sys.exit(1)


def examine(known: Mapping[str, ProviderSettings], *, online: bool = False) -> Report:
    """Try everything. Takes some seconds for each back end, and for each service of `known` if asked `online`."""
    back_ends = tuple(_examine(name, make) for name, make in _BACK_ENDS.items())
    chosen = next((each.name for each in back_ends if not each.problem), "")
    answers = reach_all(known) if online else {}
    found = tuple(
        Service(name, own.key_env or "", own.key_env is not None and key_set(own.key_env), answers.get(name, ""))
        for name, own in known.items()
    )
    return Report(_machine(), back_ends, found, chosen)


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
    console.print(_table("Models' services", [_service_row(each) for each in report.services]))
    if report.chosen:
        isolation = next(each.isolation for each in report.back_ends if each.name == report.chosen)
        console.print(f'sandbox = "auto" takes [bold]{report.chosen}[/bold] ({isolation}).')
    else:
        console.print("[bold red]No sandbox works on this machine[/bold red]; see above for what to do.")


def _service_row(service: Service) -> tuple[str, str, str]:
    key = f"{service.key_env} {'set' if service.key_set else 'not set'}" if service.key_env else "needs no key"
    return escape(service.name), "", escape(f"{key}; {service.answers}" if service.answers else key)


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
