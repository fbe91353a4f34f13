"""Which back end is taken, and that this is never a secret."""

from __future__ import annotations

import pytest

from sandbox import Docker, SandboxError, auto, open_sandbox
from sandbox.bwrap import Bwrap


@pytest.fixture
def no_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent/engine.sock")


def test_without_an_engine_auto_takes_bwrap_and_says_why(no_engine: None, bwrap: Bwrap) -> None:
    sandbox = open_sandbox("auto")
    try:
        assert sandbox.name == "bwrap"
        assert "docker cannot be used" in sandbox.note
        assert "engine" in sandbox.note
    finally:
        sandbox.close()


def test_a_back_end_that_was_named_is_not_replaced(no_engine: None) -> None:
    with pytest.raises(SandboxError, match="engine"):
        open_sandbox("docker")


def test_with_nothing_auto_fails_with_both_reasons(no_engine: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    with pytest.raises(SandboxError, match=r"docker: .*engine.*bwrap: .*riscv64"):
        open_sandbox("auto")


def test_an_engine_elsewhere_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    with pytest.raises(SandboxError):
        Docker()


def test_an_unknown_kind() -> None:
    with pytest.raises(SandboxError, match=r"use auto, docker or bwrap"):
        open_sandbox("chroot")  # type: ignore[arg-type]


def test_bwrap_has_no_images(bwrap: Bwrap) -> None:
    with pytest.raises(SandboxError, match="no images"):
        bwrap.open(image="python:3.11")


@pytest.mark.docker
def test_a_missing_image_comes_with_its_cure() -> None:
    sandbox = Docker("clade.invalid/none:1")
    try:
        with pytest.raises(SandboxError, match=r"docker pull clade\.invalid/none:1"):
            sandbox.open()
    finally:
        sandbox.close()


@pytest.mark.docker
def test_a_missing_default_image_makes_auto_take_bwrap_and_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auto, "Docker", lambda: Docker("clade.invalid/none:1"))
    sandbox = open_sandbox("auto")
    try:
        assert sandbox.name == "bwrap"
        assert "docker pull clade.invalid/none:1" in sandbox.note
    finally:
        sandbox.close()
