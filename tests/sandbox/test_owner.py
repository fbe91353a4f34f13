"""Is the owner of a box alive?"""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys

import pytest

from sandbox.owner import Owner


def test_a_name_can_be_read_again() -> None:
    assert Owner.parse(str(Owner.me())) == Owner.me()


@pytest.mark.parametrize("text", ["", "a:b:c", "h:b:n:x:1", "h:b:n:1:-1", "nonsense"])
def test_other_texts_name_nobody(text: str) -> None:
    assert Owner.parse(text) is None


def test_this_process_lives() -> None:
    assert not Owner.me().dead()


def test_an_ended_process_is_dead() -> None:
    code = "from sandbox.owner import Owner; print(Owner.me())"
    owner = Owner.parse(subprocess.check_output([sys.executable, "-c", code], text=True).strip())
    assert owner is not None
    assert owner.dead()


def test_a_zombie_is_dead() -> None:
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(writer, str(Owner.me()).encode())
        os._exit(0)
    owner = Owner.parse(os.read(reader, 1000).decode())
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    try:
        assert owner is not None
        assert owner.dead()
    finally:
        os.waitpid(pid, 0)
        os.close(reader)
        os.close(writer)


def test_a_reused_id_is_another_process() -> None:
    assert dataclasses.replace(Owner.me(), start=1).dead()


def test_the_machine_has_been_started_anew() -> None:
    assert dataclasses.replace(Owner.me(), boot="another").dead()


def test_what_cannot_be_known_counts_as_alive() -> None:
    assert not dataclasses.replace(Owner.me(), host="elsewhere", boot="another", pid=1, start=1).dead()
    assert not dataclasses.replace(Owner.me(), namespace="1", start=1).dead()
