"""Claimed user ids."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from sandbox import SandboxError, uids
from sandbox.uids import Uid


def test_ids_are_distinct_and_come_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uids, "POOL", range(60001, 60004))
    claimed = [Uid.claim(tmp_path) for _ in range(3)]
    assert {uid.number for uid in claimed} == {60001, 60002, 60003}
    with pytest.raises(SandboxError, match="in use"):
        Uid.claim(tmp_path)
    claimed[1].release()
    again = Uid.claim(tmp_path)
    assert again.number == claimed[1].number
    for uid in (claimed[0], claimed[2], again):
        uid.release()


def test_a_dead_process_holds_nothing_a_living_one_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uids, "POOL", range(60001, 60002))
    code = (
        "import sys, pathlib; from sandbox import uids; uids.POOL = range(60001, 60002);"
        "uid = uids.Uid.claim(pathlib.Path(sys.argv[1])); print('claimed', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"claimed\n"
        with pytest.raises(SandboxError):
            Uid.claim(tmp_path)
        other.kill()
    Uid.claim(tmp_path).release()
