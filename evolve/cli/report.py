"""`clade report`: one page with figures, of a run, of several, or of simulated ones."""

from __future__ import annotations

import os
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import click

from evolve.cli.reading import json_option
from evolve.cli.render import count, echo_json
from evolve.settings import SettingsError

if TYPE_CHECKING:
    from evolve.report.making import Report

FILE = "report.html"
CURE = "pip install 'clade-evolve[report]'"


@click.command()
@click.argument("sources", metavar="RUN…", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help=f"The page.  [default: {FILE} in the first RUN]",
)
@click.option(
    "--figures",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write each figure into this folder as well, as PNG and as SVG.",
)
@json_option
def report(sources: tuple[Path, ...], output: Path | None, folder: Path | None, as_json: bool) -> None:
    """Write what RUN says into one HTML file: figures, tables, the answer.

    Works on a run under way and on one that was killed. Several runs are laid over each other, those that differ by
    their seed only as one band; so are folders that `clade simulate --out` wrote.

    \b
    clade report runs/first
    clade report runs/hgm runs/kin -o both.html --figures figures
    clade report studies
    """
    if find_spec("matplotlib") is None:
        raise SettingsError(f"clade report draws with matplotlib, which is not installed: {CURE}")
    from evolve.report.making import make  # with it comes matplotlib

    found = make(sources)
    page = output or _folder_of(sources[0]) / FILE
    written = write(found, page, folder)
    if as_json:
        echo_json({**found.document, "written": [str(path) for path in written]})
        return
    click.echo(f"wrote {page}, {page.stat().st_size / 1e6:.1f} MB")
    if folder is not None:
        click.echo(f"wrote {count(len(written) - 1, 'file')} into {folder}")


def write(found: Report, page: Path, folder: Path | None) -> list[Path]:
    """The page and the figures; each file is there in full or not at all."""
    files = {page: found.page.encode("utf-8")}
    if folder is not None:
        files |= {folder / name: content for name, content in found.files().items()}
    for path, content in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        _put(path, content)
    return list(files)


def _folder_of(source: Path) -> Path:
    return source if source.is_dir() else source.parent


def _put(path: Path, content: bytes) -> None:
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        mask = os.umask(0)
        os.umask(mask)
        Path(temporary).chmod(0o666 & ~mask)  # as any new file; mkstemp's own is for its owner only
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
