"""Where control groups may be made, on a folder that looks like one; the real ones are in the conformance tests."""

from __future__ import annotations

from pathlib import Path

from sandbox import cgroup


def version_2(root: Path, group: str, controllers: str) -> Path:
    place = root / group
    place.mkdir(parents=True, exist_ok=True)
    (root / "cgroup.controllers").write_text("cpu memory pids")
    (place / "cgroup.subtree_control").write_text(controllers)
    return place


def test_version_2_takes_the_group_above_one_that_holds_processes(tmp_path: Path) -> None:
    above = version_2(tmp_path, "user.slice/app.slice", "memory pids")
    version_2(tmp_path, "user.slice/app.slice/run.scope", "")
    found = cgroup._version_2(tmp_path, "/user.slice/app.slice/run.scope")
    assert found == [cgroup.Parents(2, above, above)]


def test_version_2_without_the_controllers(tmp_path: Path) -> None:
    version_2(tmp_path, "a/b", "cpu")
    assert cgroup.find(tmp_path, own="0::/a/b\n") is None


def test_in_a_container_the_group_is_the_root_that_it_sees(tmp_path: Path) -> None:
    for controller in ("memory", "pids"):
        (tmp_path / controller).mkdir()
    found = cgroup._version_1(tmp_path, {"memory": "/docker/abc", "pids": "/docker/abc"})
    assert found == [cgroup.Parents(1, tmp_path / "memory", tmp_path / "pids")]


def test_nothing_at_all(tmp_path: Path) -> None:
    assert cgroup.find(tmp_path, own="") is None
