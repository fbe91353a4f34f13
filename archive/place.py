"""Where an archive is kept: a run folder with `agents.git`, and its rows in `archive.db` there or behind a URL."""

from __future__ import annotations

from pathlib import Path

from archive import engine as database

URL_FILE = "archive.url"
"""Holds the URL of rows that are kept elsewhere, without its password."""


def kept_url(folder: Path) -> str | None:
    """The URL that the run folder names; None if its rows are in the folder."""
    kept = folder / URL_FILE
    return kept.read_text("utf-8").strip() if kept.exists() else None


def begun(folder: Path, url: str | None) -> bool:
    """Whether an archive was made here, perhaps not to its end."""
    return (folder / "agents.git").is_dir() and (url is not None or (folder / database.FILE).exists())


def named(folder: Path, url: str | None) -> str:
    """The place as messages name it."""
    return str(folder) if url is None else database.without_password(url)
