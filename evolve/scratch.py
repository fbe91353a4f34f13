"""A process's scratch folder: sockets and agents' mounted files, cleared at its end or by the run's next start."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

NOTE = "scratch"
"""File in the run folder that names the scratch folder in use."""
PREFIX = "clade-"


def open_scratch(folder: Path) -> Path:
    """A fresh scratch folder for the run in `folder`; what a killed process left of an earlier one is removed.

    It lies among the temporary files and not in the run folder, because a socket's path may have 107 bytes only.
    """
    clear_scratch(folder)
    folder.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=PREFIX))
    (folder / NOTE).write_text(str(scratch), encoding="utf-8")
    # Passable but not listable: a box's user gets through to what is mounted for it, others would have to guess names.
    scratch.chmod(0o711)
    return scratch


def clear_scratch(folder: Path) -> None:
    """Remove the scratch folder that the run's note names."""
    note = folder / NOTE
    if not note.exists():
        return
    scratch = Path(note.read_text(encoding="utf-8").strip())
    # The note is only believed where it names what `open_scratch` could have made.
    if scratch.parent == Path(tempfile.gettempdir()) and scratch.name.startswith(PREFIX) and not scratch.is_symlink():
        shutil.rmtree(scratch, ignore_errors=True)
    note.unlink()
