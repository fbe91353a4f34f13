"""The world fitted to a run: what `clade simulate --from RUN` and `clade plan RUN` simulate."""

from __future__ import annotations

from pathlib import Path

import click

from archive import Archive
from evolve.settings import load
from evolve.simulate.fitting import Fitted, world_of
from evolve.statistics.beliefs import search_tasks


def fitted_to(folder: Path) -> Fitted:
    """Raises: `ArchiveError` or `SettingsError` if there is no run, or too little in it."""
    settings = load(folder)
    with Archive.open(folder, url=settings.database) as archive:
        history, about = archive.history(), archive.about
    tasks = search_tasks(about, history, settings.benchmark_name)
    return world_of(history, tasks, benchmark=settings.benchmark_name)


def say_what_is_thin(fitted: Fitted, folder: Path) -> None:
    """On standard error: what of the world is not the run's."""
    click.echo(f"of these {folder.resolve().name} says too little, so they are priors:", err=True)
    for clause in fitted.thin:
        click.echo(f"  {clause}", err=True)
