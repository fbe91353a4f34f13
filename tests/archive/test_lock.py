"""The lock of a run folder."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from archive import ArchiveError, holder
from archive.lock import NAME, WriterLock


def test_it_names_the_process_that_holds_it(tmp_path: Path) -> None:
    assert holder(tmp_path) is None
    lock = WriterLock(tmp_path)
    name = f"process {os.getpid()} on {socket.gethostname()}"
    assert holder(tmp_path) == name
    with pytest.raises(ArchiveError, match=name):
        WriterLock(tmp_path)
    lock.release()
    assert holder(tmp_path) is None
    WriterLock(tmp_path).release()


def test_what_a_dead_process_left_in_the_file_does_not_lock(tmp_path: Path) -> None:
    (tmp_path / NAME).write_text("process 1 on somewhere\n")
    assert holder(tmp_path) is None
    lock = WriterLock(tmp_path)
    assert holder(tmp_path) == f"process {os.getpid()} on {socket.gethostname()}"
    lock.release()
