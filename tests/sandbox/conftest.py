"""The back ends that this machine can run; elsewhere their tests skip, on CI they fail."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import NoReturn

import pytest

from sandbox import Box, Bwrap, Docker, Limits, Sandbox, SandboxError, started

SMALL = Limits(memory_mb=256, processes=48, disk_mb=16, output_bytes=20_000)


def cannot(reason: str) -> NoReturn:
    if os.environ.get("CI") == "true":
        pytest.fail(f"must run on CI: {reason}")
    pytest.skip(f"CANNOT RUN HERE: {reason}")


@pytest.fixture(scope="session", params=["bwrap", pytest.param("docker", marks=pytest.mark.docker)])
def sandbox(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    makers: dict[str, Callable[[], Sandbox]] = {"bwrap": Bwrap, "docker": Docker}
    try:
        sandbox = started(makers[request.param]())
    except SandboxError as error:
        cannot(str(error))
    yield sandbox
    sandbox.close()


@pytest.fixture(scope="session")
def bwrap() -> Iterator[Bwrap]:
    try:
        sandbox = Bwrap()
        started(sandbox)
    except SandboxError as error:
        cannot(str(error))
    yield sandbox
    sandbox.close()


@pytest.fixture
def box(sandbox: Sandbox) -> Iterator[Box]:
    with sandbox.open(limits=SMALL) as box:
        yield box
