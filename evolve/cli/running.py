"""`clade init` and `clade run`: make a run, grow its tree, go on after any stop."""

from __future__ import annotations

import json
import os
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import files
from pathlib import Path
from types import FrameType

import click

from archive import Archive
from evolve.ancestor import ancestor
from evolve.cli.cassettes import Tape, cassette_options, opened
from evolve.cli.estimate import estimate_line
from evolve.cli.farewell import farewell
from evolve.cli.inventory import check_models
from evolve.cli.live import Live, PlainLog, watch
from evolve.loop import ASKED
from evolve.remembered import open_memory
from evolve.replay import led
from evolve.settings import FILE, Settings, SettingsError, load, parse
from evolve.shape import shape
from evolve.state import Stop
from evolve.workshop import Workshop, cache_folder


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
def init(folder: Path) -> None:
    """Write a commented run.toml into FOLDER, ready to run."""
    target = folder / FILE
    if target.exists():
        raise SettingsError(f"{target} exists already; edit it, or name another folder")
    folder.mkdir(parents=True, exist_ok=True)
    target.write_text(files("evolve").joinpath("template.toml").read_text(encoding="utf-8"), encoding="utf-8")
    click.echo(f"wrote {target}\nNow: clade run {folder}")


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--plain", is_flag=True, help="Log lines instead of the live view (the default when not a terminal).")
@cassette_options
def run(folder: Path, plain: bool, tape: Tape | None) -> None:
    """Grow the tree of the run in FOLDER, until a budget of its run.toml is spent.

    Ctrl-C finishes what is running and stops; a second one stops at once. Running again goes on in either case, also
    after a crash: nothing that was measured is lost. Exit status: 0 finished, 1 it could not go on, 130 interrupted.
    """
    settings = load(folder)
    check_models(settings)
    with opened(tape) as cassette, open_archive(folder, settings) as archive:  # without its cassette no run begins
        interrupted = archive.void_open()
        if interrupted:
            click.echo(f"{interrupted} moves were cut off when the run stopped last; they are tried again", err=True)
        with (
            Workshop(settings, folder, cassette) as workshop,
            watch(archive, settings, plain=plain, spent=workshop.spent, throttled=workshop.throttle.line) as listener,
        ):
            archive.note("isolation", workshop.sandbox.isolation)
            why = f" ({workshop.sandbox.note})" if workshop.sandbox.note else ""
            listener.say(f"isolation: {workshop.sandbox.isolation}{why}")
            if (estimate := estimate_line(folder, settings)) is not None:
                listener.say(estimate)
            left_out = workshop.prepare(listener.progress)
            for note in workshop.benchmark.notes:
                listener.say(note)
            for task in left_out:
                listener.say(f"task {task.task} is left out: {task.reason}")
            archive.note("left_out", json.dumps({task.task: task.reason for task in left_out}))
            archive.note("tasks", json.dumps(workshop.benchmark.tasks("search")))  # so that readers need no benchmark
            stop = grow(archive, settings, workshop, listener, folder)
            usd = workshop.spent().usd
        archive.note("ending", stop.reason)
        archive.note("finished", str(stop.finished))
        tasks = workshop.benchmark.tasks("search")
        words = farewell(
            archive.history(), settings, folder, tasks=tasks, reason=stop.reason, finished=stop.finished, usd=usd
        )
    click.echo(f"\n{words}", err=True)
    if not stop.finished:
        sys.exit(130 if stop is ASKED else 1)


FIXED = ("seed", "agent", "benchmark")
"""Settings a run keeps for life: with others its evidence would not compare, or its choices not repeat."""


def open_archive(folder: Path, settings: Settings) -> Archive:
    """The run's archive for writing, made if there is none yet, with its first agent.

    Raises: `SettingsError` if run.toml changed in what a run keeps for life.
    """
    if Archive.exists(folder, url=settings.database):
        archive = Archive.open(folder, write=True, url=settings.database)
        before = parse(archive.about["settings"])
        for name in FIXED:
            if getattr(before, name) != getattr(settings, name):
                archive.close()
                raise SettingsError(
                    f"`{name}` of {folder / FILE} changed since this run began; make a new run for that"
                )
    else:
        about = {"settings": (folder / FILE).read_text(encoding="utf-8")}
        archive = Archive.create(folder, url=settings.database, about=about)
    if not archive.history().agents:
        agent = ancestor(settings.agent)
        archive.add_seed(agent, shape(agent))
    return archive


def grow(archive: Archive, settings: Settings, workshop: Workshop, listener: Live | PlainLog, folder: Path) -> Stop:
    """One session of the loop, with Ctrl-C heard."""
    memory = None
    if workshop.cassette is None:  # a measurement taken over from another run would be on no cassette
        memory = open_memory(settings, workshop.benchmark, workshop.sandbox.isolation, folder, cache_folder())
    executor = ThreadPoolExecutor(settings.workers, thread_name_prefix="move")
    evolution = led(workshop.cassette)(
        archive,
        settings,
        workshop.benchmark,
        executor,
        workshop.perform,
        workshop.supply(),
        listener,
        memory,
        workshop.cassette,
    )

    def interrupt(_signal: int, _frame: FrameType | None) -> None:
        if evolution.stopping:
            raise KeyboardInterrupt
        evolution.stop()
        workshop.gateway.give_up()
        listener.say("stopping: finishing what is running; Ctrl-C again stops at once")

    previous = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        stop = evolution.run()
    except KeyboardInterrupt:
        # At once: the workers are not waited for. What they had open is voided and tried again by the next start.
        for number in previous:
            signal.signal(number, signal.SIG_IGN)
        listener.close()
        workshop.sandbox.close()
        click.echo("clade: stopped at once; run again to go on", err=True)
        os._exit(130)
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
    executor.shutdown()
    return stop
