"""`clade models`: lists, prices, real exchanges with a service on loopback, and counts."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from evolve.cli import main
from evolve.cli.exchange import MAX_TOKENS
from evolve.llm import Ledger, Usage, price_table
from evolve.llm.ledger import Worst

KEY = "host-secret-0815-for-the-models-test"
Answer = Callable[[dict[str, Any]], tuple[int, dict[str, Any]]]


def said(message: dict[str, Any], finish: str = "stop") -> tuple[int, dict[str, Any]]:
    usage = {
        "prompt_tokens": 200,
        "completion_tokens": 20,
        "total_tokens": 220,
        "prompt_tokens_details": {"cached_tokens": 64},
        "completion_tokens_details": {"reasoning_tokens": 12},
    }
    choice = {"index": 0, "message": {"role": "assistant", "content": None, **message}, "finish_reason": finish}
    return 200, {
        "id": "1",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [choice],
        "usage": usage,
    }


def call(arguments: str, id: str = "call_1") -> tuple[int, dict[str, Any]]:
    function = {"name": "bash", "arguments": arguments}
    return said({"tool_calls": [{"id": id, "type": "function", "function": function}]}, "tool_calls")


def good(request: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    """A model that calls the tool and reads its result."""
    last = request["messages"][-1]
    if last["role"] == "tool":
        return said({"content": f"It is {last['content'].strip()}."})
    return call('{"command": "cat number.txt"}')


def fenced(request: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    """A model that writes commands into blocks."""
    assert "tools" not in request
    text = str(request["messages"][-1]["content"])
    digits = "".join(character for character in text if character.isdigit())
    return said({"content": f"It is {digits}" if len(request["messages"]) > 2 else "```bash\ncat number.txt\n```"})


class Service:
    """A model service on loopback that answers as it is told."""

    def __init__(self) -> None:
        self.answer: Answer = good
        self.requests: list[dict[str, Any]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                outer.requests.append(body)
                status, answer = outer.answer(body)
                raw = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)

            def log_message(self, format: str, *arguments: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")
    monkeypatch.setenv("MY_KEY", KEY)
    service = Service()
    yield service
    service.close()


@pytest.fixture
def run(service: Service, tmp_path: Path) -> Path:
    """A run whose roles use the service; two of them the same model."""
    write(tmp_path, service)
    return tmp_path


def write(folder: Path, service: Service, more: str = "", input: float = 1.0, output: float = 2.0) -> None:
    url = f"http://127.0.0.1:{service.server.server_port}/v1"
    (folder / "run.toml").write_text(
        '[models]\nsolve = "mine:m"\nimprove = "mine:m"\ndiagnose = "offline"\n'
        f'[providers.mine]\nkind = "openai"\nurl = "{url}"\nkey_env = "MY_KEY"\n'
        f"requests_per_minute = 600\n[providers.mine.prices.m]\ninput = {input}\noutput = {output}\n{more}"
    )


def clade(*arguments: object, code: int = 0, typed: str | None = None) -> Result:
    result = CliRunner(env={"COLUMNS": "80"}).invoke(main, ["models", *map(str, arguments)], input=typed)
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output and KEY not in result.output
    return result


class TestList:
    def test_services_keys_and_roles(self, run: Path, service: Service) -> None:
        facts = json.loads(clade("list", run, "--json").stdout)
        services = {each["service"]: each for each in facts["services"]}
        assert {"openai", "anthropic", "openrouter", "local", "mine"} <= services.keys()
        assert services["mine"]["key_set"] is True and services["mine"]["used"] is True
        assert services["mine"]["limits"] == {"requests_per_minute": 600.0}
        assert services["openai"]["used"] is False and services["local"]["key_set"] is None
        assert [each["role"] for each in facts["roles"]] == ["solve", "improve", "diagnose"]
        assert facts["roles"][0]["model"] == "mine:m" and facts["roles"][0]["protocol"] == "tools"
        text = clade("list", run).stdout
        assert "MY_KEY" in text and "requests_per_minute = 600" in text and "mine:m" in text
        assert max(map(len, text.splitlines())) <= 80
        url = f"http://127.0.0.1:{service.server.server_port}/v1"
        assert {"https://openrouter.ai/api/v1", url} <= set(text.split()), "addresses are whole"

    def test_without_a_run_it_names_the_services(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("OPENAI_API_KEY", raising=False)
        assert "OPENAI_API_KEY" in clade("list").stdout

    def test_no_key_is_needed(self, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("MY_KEY")
        assert "NO" in clade("list", run).stdout

    @pytest.mark.parametrize(
        ("toml", "says"),
        [
            ('[models]\nsolve = "opnai:m"', "opnai"),
            ('[models]\nsolve = "openai:gpt-99"', "the price of openai:gpt-99 is not known"),
            ("[modles]\n", "did you mean `models`?"),
            ("nonsense", "is not TOML"),
        ],
    )
    def test_a_wrong_setting_gets_one_sentence(self, tmp_path: Path, toml: str, says: str) -> None:
        (tmp_path / "run.toml").write_text(toml)
        assert says in clade("list", tmp_path, code=2).output
        clade("list", tmp_path / "none", code=2)


class TestPrice:
    def test_the_table_has_every_price_with_date_and_source(self) -> None:
        facts = json.loads(clade("price", "--json").stdout)
        assert facts["version"] == price_table().version
        assert len(facts["models"]) == sum(map(len, price_table().entries.values()))
        for row in facts["models"]:
            assert row["origin"] == "built-in" and row["source"].startswith("https://")
            date.fromisoformat(row["checked"])
        text = clade("price").stdout
        assert all(row["model"] in text for row in facts["models"]), "names are whole"
        assert "above 272,000 tokens" in text

    def test_a_runs_own_prices_and_those_of_its_roles(self, run: Path) -> None:
        rows = json.loads(clade("price", run, "openai:gpt-5-mini", "--json").stdout)["models"]
        assert [(row["model"], row["origin"]) for row in rows] == [
            ("mine:m", "run.toml"),
            ("offline:repair", "free"),
            ("openai:gpt-5-mini", "built-in"),
        ]
        assert (rows[0]["input"], rows[0]["output"]) == (1.0, 2.0)

    def test_old_prices_are_told(self, monkeypatch: pytest.MonkeyPatch) -> None:
        import importlib

        module = importlib.import_module("evolve.cli.models")
        monkeypatch.setattr(module, "today", lambda: date(2028, 1, 1))
        result = clade("price", "openai:gpt-5-mini")
        assert "(old)" in result.stdout and "1 price older than 90 days" in result.stderr
        monkeypatch.setattr(module, "today", lambda: date(2026, 9, 6))
        assert "older" not in clade("price", "openai:gpt-5-mini").output

    @pytest.mark.parametrize(
        ("name", "label"),
        [
            ("gpt-5-mini", "openai:gpt-5-mini"),
            ("claude-haiku-4-5-20251001", "anthropic:claude-haiku-4-5-20251001"),
            ("m", "mine:m"),
            ("offline", "offline:repair"),
        ],
    )
    def test_a_bare_name_that_only_one_service_has(self, run: Path, name: str, label: str) -> None:
        assert json.loads(clade("price", run, name, "--json").stdout)["models"][-1]["model"] == label

    def test_a_bare_name_of_several_services_needs_the_service(self, run: Path, service: Service) -> None:
        write(run, service, "[providers.openrouter.prices.m]\ninput = 2.0\noutput = 3.0\n")
        assert "name one of mine:m, openrouter:m" in clade("price", run, "m", code=2).stderr
        (_, _, row) = json.loads(clade("price", run, "openrouter:m", "--json").stdout)["models"]
        assert (row["model"], row["input"]) == ("openrouter:m", 2.0)

    @pytest.mark.parametrize(
        ("name", "says"),
        [
            ("openai:gpt-99", "[providers.openai.prices.'gpt-99']"),
            ("gpt-5-mni", "did you mean openai:gpt-5-mini"),
            ("opnai:m", "there is no service 'opnai'; there are anthropic"),
            ("openai:", "no model with a known price"),
            ("no/such/folder", "is no run's folder"),
        ],
    )
    def test_what_has_no_price_gets_one_sentence(self, name: str, says: str) -> None:
        assert says in clade("price", name, code=2).stderr

    def test_it_fits_a_terminal_of_80_columns(self) -> None:
        lines = clade("price").stdout.splitlines()
        rows = [line for line in lines if not line.startswith("built-in prices")]
        assert max(map(len, rows)) <= 80
        assert not [line for line in rows if line.strip() == "(old)"], "no cell is folded"


class TestTest:
    def test_each_role_has_one_real_exchange(self, run: Path, service: Service) -> None:
        roles = json.loads(clade("test", run, "--json").stdout)["roles"]
        assert [(each["role"], each["ok"]) for each in roles] == [
            ("solve", True),
            ("improve", True),
            ("diagnose", True),
        ]
        mine = roles[0]
        assert (mine["input_tokens"], mine["cached_tokens"], mine["output_tokens"]) == (400, 128, 40)
        assert mine["reasoning_tokens"] == 24 and len(mine["seconds"]) == 2
        assert mine["usd"] == pytest.approx((400 * 1.0 + 40 * 2.0) / 1e6)
        assert len(service.requests) == 4 and all(each["max_tokens"] <= MAX_TOKENS for each in service.requests)
        assert not (run / "ledger.jsonl").exists(), "it is not the run's money"
        text = clade("test", run).stdout
        assert (
            "solve: mine:m works: protocol tools" in text and "400 tokens in (128 cached), 40 out (24 thought)" in text
        )

    def test_the_plain_text_protocol(self, run: Path, service: Service) -> None:
        write(run, service, '[providers.mine.models.m]\nprotocol = "fenced"\n')
        service.answer = fenced
        (solve,) = json.loads(clade("test", run, "--role", "solve", "--json").stdout)["roles"]
        assert solve["ok"] and solve["protocol"] == "fenced"

    @pytest.mark.parametrize(
        ("answer", "says"),
        [
            (lambda request: said({"content": "It is 42."}), "without calling the tool"),
            (lambda request: call('{"com'), "do not fit the tool"),
            (lambda request: call('{"path": "number.txt"}'), "do not fit the tool"),
            (
                lambda request: said({"content": "42"}) if len(request["messages"]) > 1 else good(request),
                "did not say the number that the tool printed",
            ),
            (lambda request: said({"content": "hm"}, "length"), "tokens were not enough"),
            (lambda request: (401, {"error": {"message": f"wrong key {KEY}"}}), "MY_KEY"),
            (lambda request: (404, {"error": {"message": "no model m"}}), "no model m"),
        ],
    )
    def test_a_model_that_does_not_work_gets_one_sentence_with_the_cure(
        self, run: Path, service: Service, answer: Answer, says: str
    ) -> None:
        service.answer = answer
        result = clade("test", run, "--role", "solve", code=1)
        (line,) = [line for line in result.stderr.splitlines() if line.startswith("clade: ")]
        assert line.startswith("clade: solve: mine:m: ") and says in line

    def test_a_missing_key_is_that_roles_failure_alone(self, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("MY_KEY")
        result = clade("test", run, "--json", code=1)
        roles = json.loads(result.stdout)["roles"]
        assert [each["ok"] for each in roles] == [False, False, True]
        assert "MY_KEY" in roles[0]["problem"]

    def test_it_asks_before_it_spends_more_than_five_cents(self, run: Path, service: Service) -> None:
        write(run, service, input=10.0, output=50.0)
        refused = clade("test", run, code=1, typed="n\n")
        assert "may cost up to $" in refused.output and service.requests == []
        clade("test", run, typed="y\n")
        assert len(service.requests) == 4
        clade("test", run, "--yes")
        assert len(service.requests) == 8


class TestStats:
    def test_calls_and_events_by_model(self, tmp_path: Path) -> None:
        with Ledger(tmp_path / "ledger.jsonl") as ledger:
            account = ledger.account("evaluation-1")
            for status in ("ok", "ok", "unavailable"):
                account.settle(account.reserve("solve", "mine:m", Worst(1, 1, 0.0)), Usage(), 0.0, status=status)
            account.note("mine:m", ["call_leaked", "id_made"])
            account.note("mine:m", ["call_leaked"])
        facts = json.loads(clade("stats", tmp_path, "--json").stdout)["models"]
        assert facts == {"mine:m": {"calls": {"ok": 2, "unavailable": 1}, "events": {"call_leaked": 2, "id_made": 1}}}
        text = clade("stats", tmp_path).stdout
        assert "mine:m: 2 ok, 1 unavailable" in text and "was left in the answer's text" in text

    def test_a_run_that_asked_nobody(self, tmp_path: Path) -> None:
        assert "no model has been asked yet" in clade("stats", tmp_path).stdout

    def test_what_is_no_ledger_is_told(self, tmp_path: Path) -> None:
        (tmp_path / "ledger.jsonl").write_text("nonsense\n")
        assert "line 1 of" in clade("stats", tmp_path, code=1).output
