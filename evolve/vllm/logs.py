"""The log files of a fleet: kept small, read from their end, and searched for what went wrong."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

LIMIT = 16 << 20
"""Bytes of a log file after which it is set aside as NAME.1, in place of the one before."""

MARK = "=== "
"""Begins the line that stands before everything that one run of a server has written."""

_LINE = 400  # characters of a line, when it is counted how far back a tail begins

ERROR = re.compile(r"\b[A-Za-z_.]*(?:Error|Exception|Interrupt)\b(?:: .*)?|\berror: .*|CUDA out of memory.*")
UNTOLD = re.compile(r"See root cause above|Failed core proc|EngineDeadError|warning", re.IGNORECASE)
"""Errors that only say that there was one before."""
COLOUR = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


def rotate(path: Path, limit: int = LIMIT) -> None:
    """Set a log aside that has grown too large.

    It is copied and then emptied, because the server that writes it keeps it open; what it writes between the two is
    lost. Raises: `OSError`.
    """
    if path.exists() and path.stat().st_size > limit:
        shutil.copyfile(path, path.with_name(path.name + ".1"))
        os.truncate(path, 0)


def tail(path: Path, lines: int) -> list[str]:
    """The last lines of a log, going on in the one set aside. None if there is no log."""
    found = _last(path, lines)
    if len(found) < lines:
        found = _last(path.with_name(path.name + ".1"), lines - len(found)) + found
    return found


def _last(path: Path, lines: int) -> list[str]:
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - lines * _LINE))
            text = file.read().decode("utf-8", "replace")
    except FileNotFoundError:
        return []
    return text.replace("\r", "\n").splitlines()[-lines:] if lines else []


def last_words(lines: Sequence[str]) -> str:
    """What a server that has ended said of it: its last error that says something, else its last line."""
    said = [COLOUR.sub("", line).strip() for line in _this_run(lines)]
    told = [match.group() for line in said if not UNTOLD.search(line) and (match := ERROR.search(line))]
    words = told[-1] if told else next((line for line in reversed(said) if line), "it wrote nothing")
    return words if len(words) <= 300 else words[:299] + "…"


def _this_run(lines: Sequence[str]) -> Sequence[str]:
    """The lines after the last mark."""
    marks = [number for number, line in enumerate(lines) if line.startswith(MARK)]
    return lines[marks[-1] + 1 :] if marks else lines


def progress(lines: Sequence[str]) -> str:
    """How far a starting server is, by its last line, without the time and place that loggers put before it."""
    for line in reversed(_this_run(lines)):
        text = COLOUR.sub("", line).strip()
        text = re.sub(r"^\([^)]*\)\s*", "", text)
        text = re.sub(r"^(?:DEBUG|INFO|WARNING|ERROR)\s+\d\d-\d\d \d\d:\d\d:\d\d\s+\[[^\]]*\]\s*", "", text)
        if text:
            return text if len(text) <= 120 else text[:119] + "…"
    return ""
