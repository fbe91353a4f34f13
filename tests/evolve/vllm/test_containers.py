"""Fleets in real containers, of an image in which the stand-in is called vllm."""

from __future__ import annotations

import io
import os
import signal
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import docker
import docker.errors
import pytest

import sandbox
from evolve.vllm import FleetError, Plan, checked, read_fleet, start, stop, supervised, tail_of
from evolve.vllm.container import CACHE, LABEL
from evolve.vllm.process import alive
from evolve.vllm.registry import read_supervisor

pytestmark = pytest.mark.docker
STAND_IN = Path(__file__).with_name("stand_in.py")
IMAGE = "clade-vllm-stand-in:test"


@pytest.fixture(scope="module")
def engine() -> Iterator[docker.DockerClient]:
    """A Docker engine with the image."""
    try:
        client = docker.DockerClient.from_env()
        client.images.get(sandbox.IMAGE)
    except docker.errors.DockerException as error:
        pytest.skip(f"no fleet was started in docker: {error}")
    files = {
        "Dockerfile": f"FROM {sandbox.IMAGE}\nCOPY vllm /usr/local/bin/vllm\n".encode(),
        "vllm": b"#!/usr/bin/env python3\n" + STAND_IN.read_bytes(),
    }
    context = io.BytesIO()
    with tarfile.open(fileobj=context, mode="w") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o755
            tar.addfile(entry, io.BytesIO(content))
    context.seek(0)
    volumes = {volume.name for volume in client.volumes.list()}
    client.images.build(fileobj=context, custom_context=True, tag=IMAGE, rm=True)
    yield client
    client.images.remove(IMAGE, force=True)
    if CACHE not in volumes:
        client.volumes.get(CACHE).remove()
    client.close()


@pytest.fixture
def boxed(plan: Plan, engine: docker.DockerClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Plan:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "weights"))
    return checked(replace(plan, engine="docker", program=IMAGE))


def containers_of(engine: docker.DockerClient, plan: Plan) -> list[object]:
    return engine.containers.list(all=True, filters={"label": f"{LABEL}={plan.folder}"})


def quiet(_: str) -> None:
    """Says nothing."""


def test_a_fleet_of_containers_lives_and_ends(boxed, engine, lab):
    start(replace(boxed, replicas=2))
    fleet = lab.ready()
    assert [lab.ask(fleet, replica=index) for index in (0, 1)] == [200, 200]
    assert lab.ask(fleet, key="wrong") == 401
    found = containers_of(engine, boxed)
    assert {each.id for each in found} == {each.handle.container for each in fleet.replicas}
    for container in found:
        assert [port["HostIp"] for port in container.ports["8000/tcp"]] == ["127.0.0.1"]
        assert fleet.key not in " ".join(container.attrs["Config"]["Cmd"])
        assert container.attrs["HostConfig"]["DeviceRequests"] in (None, [])
        assert container.attrs["HostConfig"]["IpcMode"] == "host"
    stop("demo", quiet)
    assert containers_of(engine, boxed) == []
    assert read_fleet("demo") is None


def test_a_container_that_ends_is_started_again_and_its_log_is_kept(boxed, engine, lab):
    start(boxed)
    first = lab.ready().replicas[0].handle
    lab.ask(read_fleet("demo"), "/misbehave/exit")
    after = lab.ready(restarts=1).replicas[0]
    assert after.handle != first
    assert [each.id for each in containers_of(engine, boxed)] == [after.handle.container]
    told = "\n".join(tail_of("demo", 0, 100))
    assert "RuntimeError: CUDA error" in told
    assert told.index("CUDA error") < told.rindex("=== container")
    assert "it exited with 3: RuntimeError: CUDA error" in "\n".join(tail_of("demo", None, 50))


def test_containers_are_taken_over_or_cleared_away_after_a_crash(boxed, engine, lab):
    start(boxed)
    fleet = lab.ready()
    for end in (start, stop):
        supervisor = read_supervisor("demo")
        os.kill(supervisor.pid, signal.SIGKILL)
        lab.eventually(lambda supervisor=supervisor: not alive(supervisor))
        if end is start:
            start(boxed)
            assert lab.ready().replicas[0].handle == fleet.replicas[0].handle
            assert supervised("demo")
    stop("demo", quiet)
    assert containers_of(engine, boxed) == []


def test_other_people_s_containers_are_left_alone(boxed, engine, lab):
    other = engine.containers.run(
        IMAGE, ["sleep", "60"], entrypoint=[], detach=True, labels={LABEL: "/somewhere/else"}, network_mode="none"
    )
    try:
        start(boxed)
        lab.ready()
        stop("demo", quiet)
        other.reload()
        assert other.status == "running"
    finally:
        other.remove(force=True)


def test_gpus_are_asked_of_the_engine(boxed, engine, lab):
    """Here there are none, and the engine says so in its own words; the fleet in one sentence."""
    if any("nvidia" in name for name in engine.info().get("Runtimes", {})):
        pytest.skip("this engine has GPUs to give")
    start(replace(boxed, gpus=((0,),)))
    try:
        lab.eventually(lambda: not supervised("demo"))
        assert "the container engine could not start a replica" in read_fleet("demo").replicas[0].why
        assert containers_of(engine, boxed) == []
    finally:
        stop("demo", quiet)


def test_an_image_that_nobody_has_is_refused_in_one_sentence(plan, engine):
    with pytest.raises(FleetError, match="the container engine could not fetch clade/no-such-image:1"):
        checked(replace(plan, engine="docker", program="clade/no-such-image:1"))
