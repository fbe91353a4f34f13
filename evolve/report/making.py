"""From what a person named to a report: one run's sheet, or runs and simulated ones over each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from evolve.report import figures, overlay, sheet, studies
from evolve.report.facts import RunFacts, read_run
from evolve.report.markup import Html, element
from evolve.report.page import drawn, page
from evolve.report.style import Picture, saved, styled
from evolve.report.tree import tree
from evolve.report.ways import ways
from evolve.settings import FILE, SettingsError

MARKS_OF_A_RUN = (FILE, "agents.git", "archive.db")


@dataclass(frozen=True, slots=True)
class Report:
    """A page with what it was made from."""

    page: str
    document: dict[str, Any]
    """For --json."""
    pictures: tuple[tuple[Picture, bytes], ...]
    """Each with its SVG."""

    def files(self) -> dict[str, bytes]:
        """The figures by the names of their files."""
        with styled():
            found = {f"{picture.name}.png": saved(picture.figure, "png") for picture, _ in self.pictures}
        return found | {f"{picture.name}.svg": svg for picture, svg in self.pictures}


def make(sources: Sequence[Path]) -> Report:
    """Read everything and draw it. Raises: `ArchiveError`, `SettingsError`, `ModelError`, `OSError`."""
    folders, files = sorted_out(sources)
    runs = named(folders, [read_run(folder) for folder in folders])
    worlds = studies.read_worlds(files) if files else []
    with styled():
        if len(runs) == 1 and not worlds:
            return _of_run(runs[0])
        return _of_many(runs, worlds)


def sorted_out(sources: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """Folders of runs and files of simulated runs. Raises: `SettingsError` for what is neither."""
    folders: dict[Path, Path] = {}
    files: list[Path] = []
    for source in sources:
        if source.is_dir() and any((source / mark).exists() for mark in MARKS_OF_A_RUN):
            folders.setdefault(source.resolve(), source)
        elif found := studies.study_files(source):
            files += found
        else:
            raise SettingsError(f"{source} is neither a run nor a folder that `clade simulate --out` wrote")
    return list(folders.values()), files


def named(folders: Sequence[Path], runs: Sequence[RunFacts]) -> list[RunFacts]:
    """The runs, each called by as many last parts of its path as tell it from the others."""
    paths = [folder.resolve().parts for folder in folders]
    for length in range(1, max(map(len, paths), default=0) + 1):
        names = ["/".join(parts[-length:]) for parts in paths]
        if len(set(names)) == len(names):
            return [replace(run, name=name) for run, name in zip(runs, names, strict=True)]
    return list(runs)


def _of_run(run: RunFacts) -> Report:
    found = [
        *ways(run), figures.pairs(run), tree(run), figures.agents(run), figures.foresight(run), figures.outcomes(run),
        figures.cost(run),
    ]  # fmt: skip
    made = _saved([picture for picture in found if picture is not None])
    images = {picture.name: drawn(picture, svg) for picture, svg in made}
    return Report(page(f"Clade: {sheet.name(run.name)}", sheet.sheet(run, images)), {"runs": [run.document()]}, made)


def _of_many(runs: Sequence[RunFacts], worlds: Sequence[studies.World]) -> Report:
    title = ", ".join([*(sheet.name(run.name) for run in runs), *dict.fromkeys(world.name for world in worlds)])
    parts: list[Html] = [element("h1", sheet.name(title))]
    made: list[tuple[Picture, bytes]] = []
    if runs:
        own = _saved(overlay.overlaid(runs))
        made += own
        parts += overlay.parts(runs, [drawn(*each) for each in own])
    for number, world in enumerate(worlds):
        prefix = "" if [each.name for each in worlds].count(world.name) == 1 else f"{number + 1}-"
        own = _saved([replace(picture, name=_file(prefix + picture.name)) for picture in studies.pictures(world)])
        made += own
        parts += studies.parts(world, [drawn(*each) for each in own])
    document = {"runs": [run.document() for run in runs], "worlds": [studies.document(world) for world in worlds]}
    return Report(page(f"Clade: {sheet.name(title)}", parts), document, tuple(made))


def _file(name: str) -> str:
    """A name that stays in its folder: a world's is read from a file."""
    return "".join(char if char.isalnum() or char in "-_." else "_" for char in name).lstrip(".")


def _saved(pictures: Sequence[Picture]) -> tuple[tuple[Picture, bytes], ...]:
    return tuple((picture, saved(picture.figure, "svg")) for picture in pictures)
