"""The options `--record`, `--replay` and `--replay-or-call` of verbs that ask models."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar, cast

import click

from evolve.llm import Cassette, Mode

Command = TypeVar("Command", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Tape:
    """Which cassette, and what for."""

    path: Path
    mode: Mode
    share_splits: bool


def cassette_options(command: Command) -> Command:
    """The three options and `--share-splits`, as the one argument `tape` (None if none is given)."""
    path = click.Path(file_okay=False, path_type=Path)
    options = (
        click.option("--record", type=path, metavar="CASSETTE", help="Keep what the models say in this folder."),
        click.option("--replay", type=path, metavar="CASSETTE", help="Play it again; no model is asked."),
        click.option(
            "--replay-or-call", type=path, metavar="CASSETTE", help="Play what is there, ask and record the rest."
        ),
        click.option(
            "--share-splits", is_flag=True, help="Play answers also for another split than they were recorded on."
        ),
    )

    @wraps(command)
    def with_tape(
        record: Path | None,
        replay: Path | None,
        replay_or_call: Path | None,
        share_splits: bool,
        **arguments: Any,
    ) -> Any:
        return command(**arguments, tape=chosen(record, replay, replay_or_call, share_splits))

    for option in reversed(options):
        with_tape = option(with_tape)
    return cast(Command, with_tape)


def chosen(record: Path | None, replay: Path | None, replay_or_call: Path | None, share_splits: bool) -> Tape | None:
    """At most one of the three. Raises: `click.UsageError`."""
    asked: list[tuple[Mode, Path]] = []
    for mode, path in (("record", record), ("replay", replay), ("replay-or-call", replay_or_call)):
        if path is not None:
            asked.append((cast(Mode, mode), path))
    if len(asked) > 1:
        raise click.UsageError("--record, --replay and --replay-or-call exclude one another: give one of them")
    if share_splits and not asked:
        raise click.UsageError("--share-splits goes with --record, --replay or --replay-or-call")
    return Tape(asked[0][1], asked[0][0], share_splits) if asked else None


@contextmanager
def opened(tape: Tape | None) -> Iterator[Cassette | None]:
    """The cassette of the options. Raises: `ModelError`."""
    if tape is None:
        yield None
        return
    cassette = Cassette(tape.path, tape.mode, share_splits=tape.share_splits)
    try:
        yield cassette
    finally:
        cassette.close()
