"""The registry: what is written is read, at any moment as a whole, and what cannot be read says so."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import pytest

from evolve.vllm import Fleet, FleetError, Handle, Load, Replica, fleets, folder_of, names, read_fleet
from evolve.vllm.registry import read_supervisor, write_fleet, write_supervisor, write_whole

LOAD = Load(3, 1, 0.5, 120.5, None, 1_700_000_000.0)
FLEET = Fleet(
    name="demo",
    model="owner/model",
    served_name="demo",
    key="secret",
    context_length=4096,
    replicas=(
        Replica(0, "http://localhost", "/s", "ready", LOAD, Handle(42, 7, "boot"), 5.0, 2, 1000),
        Replica(1, "", state="dead", why="it exited with 1"),
    ),
    tool_parser="hermes",
)


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    folder = folder_of("demo")
    folder.mkdir(parents=True)
    write_whole(folder / "key", "secret\n")
    return folder


def test_a_fleet_is_read_as_it_was_written(folder: Path) -> None:
    assert read_fleet("demo") is None
    assert names() == ["demo"]
    assert fleets() == []
    write_fleet(FLEET)
    assert read_fleet("demo") == FLEET
    assert fleets() == [FLEET]
    assert "secret" not in (folder / "fleet.json").read_text()
    assert (folder / "fleet.json").stat().st_mode & 0o777 == 0o600


def test_without_a_folder_there_are_no_fleets(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert names() == []
    assert read_fleet("demo") is None


def test_without_xdg_it_is_in_the_home_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert folder_of("demo") == tmp_path / ".local" / "state" / "clade" / "vllm" / "demo"


def test_a_reader_never_sees_half_a_file(folder: Path) -> None:
    write_fleet(FLEET)
    stop = threading.Event()

    def write() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            write_fleet(replace(FLEET, model="m" * (number % 20_000)))

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(500):
            fleet = read_fleet("demo")
            assert fleet is not None
            assert fleet.replicas == FLEET.replicas
    finally:
        stop.set()
        writer.join()
    assert sorted(path.name for path in folder.iterdir()) == ["fleet.json", "key"]


@pytest.mark.parametrize(
    "text",
    ["", "[]", '{"name": "demo"}', '{"replicas": [{"index": 0}]}', '{"replicas": [{"state": "well", "load": null}]}'],
)
def test_a_damaged_file_is_named_with_the_way_out(folder: Path, text: str) -> None:
    (folder / "fleet.json").write_text(text)
    with pytest.raises(FleetError, match=r"fleet\.json is damaged \(.*\); end the fleet with `clade vllm down demo`"):
        read_fleet("demo")


def test_the_protocol_follows_from_the_parser() -> None:
    assert FLEET.protocol == "tools"
    assert replace(FLEET, tool_parser=None).protocol == "fenced"


def test_the_supervisor_is_read_as_it_was_written(folder: Path) -> None:
    assert read_supervisor("demo") is None
    write_supervisor("demo", Handle(42, 7, "boot"))
    assert read_supervisor("demo") == Handle(42, 7, "boot")
    (folder / "supervisor.json").write_text("x")
    with pytest.raises(FleetError, match="the supervisor of the fleet demo cannot be read"):
        read_supervisor("demo")
