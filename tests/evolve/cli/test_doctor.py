"""`clade doctor`: what it says, and that it never says a key."""

from __future__ import annotations

import importlib
import io
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from click.testing import CliRunner
from rich.console import Console

from evolve.cli import main
from evolve.cli.doctor import BackEnd, Report, Service, doctor, examine, show
from evolve.llm import ProviderSettings
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
    services = {each["name"]: each for each in report["services"]}
    assert services["openai"]["key_env"] == "OPENAI_API_KEY" and services["openai"]["key_set"] is True
    assert services["anthropic"]["key_set"] is False
    assert services["local"]["key_env"] == ""
    assert all(each["answers"] == "" for each in services.values()), "nobody is asked without --online"
    assert KEY not in result.output
    assert {"python", "cores", "memory", "user"} <= report["machine"].keys()


def test_the_first_that_works_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    try:
        Bwrap().close()
    except SandboxError as error:
        pytest.skip(f"CANNOT RUN HERE: {error}")
    monkeypatch.setattr(MODULE, "_BACK_ENDS", {"docker": refused, "bwrap": Bwrap})
    report = examine({})
    assert report.chosen == "bwrap"
    assert {probe.name for probe in report.back_ends[1].probes} >= {"network", "time-out", "fork bomb"}


def test_eighty_columns() -> None:
    probes = (Probe("network", True, "blocked"), Probe("disk bomb", False, "a very long detail " * 12))
    report = Report(
        {"python": "3"}, (BackEnd("bwrap", "bwrap-1", "", probes),), (Service("mine", "A_KEY", True),), "bwrap"
    )
    out = io.StringIO()
    show(report, Console(file=out, width=120, highlight=False))
    lines = out.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    assert any("takes bwrap (bwrap-1)" in line for line in lines)


@pytest.mark.parametrize(
    ("status", "key", "says"),
    [(200, KEY, "answers"), (401, KEY, "answers, and refuses the key"), (401, "", "answers, and wants a key"),
     (404, KEY, "answers with status 404")],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["openai", "anthropic"])
def test_services_are_asked_on_demand(
    nothing_works: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: str, status: int, key: str, says: str
) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("MY_KEY", key)
    heard: list[tuple[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            heard.append((self.path, str(self.headers.get("x-api-key") or self.headers.get("authorization"))))
            self.send_response(status)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    known = {
        "mine": ProviderSettings.model_validate(
            {"kind": kind, "url": f"http://127.0.0.1:{server.server_port}", "key_env": "MY_KEY"}
        )
    }
    try:
        (service,) = examine(known, online=True).services
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    assert (service.answers, service.key_set) == (says, bool(key))
    ((path, sent),) = heard
    assert path == ("/v1/models" if kind == "anthropic" else "/models") and (KEY in sent) == bool(key)
    (down,) = examine(known, online=True).services
    assert down.answers.startswith("does not answer")


def test_a_wrong_run_gets_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_text("[providers.offline]\nkind = 'local'\n")
    result = CliRunner().invoke(main, ["doctor", str(tmp_path)])
    assert result.exit_code == 2 and "offline has no settings" in result.output
