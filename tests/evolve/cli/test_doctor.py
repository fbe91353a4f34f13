"""`clade doctor`: what it says, and that it never says a key."""

from __future__ import annotations

import importlib
import io
import json

import pytest
from click.testing import CliRunner
from rich.console import Console

from evolve.cli.doctor import BackEnd, Report, doctor, examine, show
from sandbox import Bwrap, Probe, Sandbox, SandboxError

MODULE = importlib.import_module("evolve.cli.doctor")  # `evolve.cli.doctor` is the command of that name
KEY = "sk-canary-5b1f0f7c"


def refused() -> Sandbox:
    raise SandboxError("no engine [here]; start it")


@pytest.fixture
def nothing_works(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MODULE, "_BACK_ENDS", {"docker": refused, "bwrap": refused})


def test_without_a_sandbox_it_fails_and_says_what_to_do(nothing_works: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    result = CliRunner().invoke(doctor, [])
    assert result.exit_code == 1
    assert "no engine [here]; start it" in result.output
    assert "No sandbox works" in result.output
    assert "OPENAI_API_KEY" in result.output
    assert KEY not in result.output


def test_json_has_the_same_and_no_key(nothing_works: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    result = CliRunner().invoke(doctor, ["--json"])
    report = json.loads(result.output)
    assert result.exit_code == 1
    assert report["chosen"] == ""
    assert [each["problem"] for each in report["back_ends"]] == ["no engine [here]; start it"] * 2
    assert report["keys"]["OPENAI_API_KEY"] is True
    assert report["keys"]["ANTHROPIC_API_KEY"] is False
    assert KEY not in result.output
    assert {"python", "cores", "memory", "user"} <= report["machine"].keys()


def test_the_first_that_works_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    try:
        Bwrap().close()
    except SandboxError as error:
        pytest.skip(f"CANNOT RUN HERE: {error}")
    monkeypatch.setattr(MODULE, "_BACK_ENDS", {"docker": refused, "bwrap": Bwrap})
    report = examine()
    assert report.chosen == "bwrap"
    assert {probe.name for probe in report.back_ends[1].probes} >= {"network", "time-out", "fork bomb"}


def test_eighty_columns() -> None:
    probes = (Probe("network", True, "blocked"), Probe("disk bomb", False, "a very long detail " * 12))
    report = Report({"python": "3"}, (BackEnd("bwrap", "bwrap-1", "", probes),), {"A_KEY": True}, "bwrap")
    out = io.StringIO()
    show(report, Console(file=out, width=120, highlight=False))
    lines = out.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    assert any("takes bwrap (bwrap-1)" in line for line in lines)
