"""An exported agent is a folder that works by itself and says where it comes from."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from archive import Archive
from evolve.cli import export as module
from evolve.cli.export import export, without_passwords

Invoke = Callable[..., Result]


def run(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *map(str, arguments)], cwd=cwd, capture_output=True, text=True, timeout=60, check=False
    )


def test_it_runs_from_anywhere(grown: Path, invoke: Invoke, tmp_path: Path) -> None:
    out = tmp_path / "best agent.v1"
    result = invoke(export, grown, "11", out)
    assert result.exit_code == 0, result.output
    for cwd in (tmp_path, Path("/")):
        checked = run(out, "--selfcheck", cwd=cwd)
        assert (checked.returncode, checked.stderr) == (0, "")
    assert run("-m", "agent", "--selfcheck", cwd=out).returncode == 0
    assert run(out, "--no-such-option", cwd=tmp_path).returncode != 0


def test_the_agent_itself_is_not_altered(grown: Path, invoke: Invoke, tmp_path: Path) -> None:
    invoke(export, grown, "11", tmp_path / "out")
    folder = tmp_path / "out" / "agent"
    with Archive.open(grown) as archive:
        files = archive.files(11)
    assert {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.*")} == files
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["__main__.py", "agent", "provenance.json"]


def test_its_provenance_is_complete(grown: Path, invoke: Invoke, tmp_path: Path) -> None:
    facts = json.loads(invoke(export, grown, "11", tmp_path / "out", "--json").stdout)
    assert facts["agent"] == 11
    record = json.loads((tmp_path / "out" / "provenance.json").read_text(encoding="utf-8"))
    assert [step["agent"] for step in record["lineage"]] == [0, 1, 3, 7, 11]
    seed, *steps = record["lineage"]
    assert (seed["diff"], seed["outcome"], seed["entry"]) == (None, None, None)
    for step in steps:
        assert f"+# improvement {step['agent']}" in step["diff"]
        assert step["outcome"] == "BORN"
        assert step["issue"].startswith("Give the model")
        assert len(step["commit"]) == len(step["tree"]) == 40
        assert step["seed"] is not None
    assert record["commit"] == facts["commit"] == steps[-1]["commit"]
    score = record["search_score"]
    assert score["low"] < score["mean"] < score["high"]
    assert record["scores_on_request"] == {"repair/sealed": {"passed": 8, "failed": 2}}
    assert sum(row["for_the_search"] for row in record["evaluations"]) == score["passed"] + score["failed"]
    assert record["models"] == ["offline:repair"]
    assert "[policy]" in record["notes"]["settings"]
    assert record["versions"].keys() == {"clade-evolve", "python"}
    assert "Apache-2.0" in record["license"]


def test_nothing_is_overwritten(grown: Path, invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("precious")
    (tmp_path / "file").write_text("precious")
    for place in ("full", "file"):
        refused = invoke(export, grown, "11", tmp_path / place)
        assert refused.exit_code == 2
        assert "exists already" in refused.output
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["mine"]
    (tmp_path / "empty").mkdir()
    assert invoke(export, grown, "11", tmp_path / "empty").exit_code == 0
    assert invoke(export, grown, "99", tmp_path / "other").exit_code == 2
    assert not (tmp_path / "other").exists()


def test_a_failure_half_way_leaves_nothing(
    grown: Path, invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The launcher is written after the agent's files; text that cannot be encoded makes its writing fail.
    monkeypatch.setattr(module, "LAUNCHER", "\ud800")
    result = invoke(export, grown, "11", tmp_path / "out")
    assert isinstance(result.exception, UnicodeEncodeError)
    assert list(tmp_path.iterdir()) == []


def test_passwords_do_not_travel() -> None:
    text = 'database = "postgresql://me:s3cret@host/db"\nurl = "http://127.0.0.1:8000/v1"\n'
    assert without_passwords(text) == text.replace("s3cret", "***")
