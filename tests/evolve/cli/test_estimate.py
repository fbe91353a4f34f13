"""`clade estimate` on real archives: past runs, other prices, a real pilot."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from archive import Archive, Outcome
from evolve.cli.estimate import estimate, estimate_line
from evolve.llm import Ledger, Usage
from evolve.llm.tallies import Worst
from evolve.settings import load, parse

Invoke = Callable[..., Result]

TOML = """
seed = {seed}
[budget]
evaluations = {evaluations}
{budget}
[policy]
name = "hgm"
[models]
solve = "up:{model}"
improve = "up:{model}"
diagnose = "up:{model}"
[providers.up]
kind = "openai"
url = "http://127.0.0.1:9/v1"
key_env = "A_KEY_THAT_NO_ESTIMATE_ASKS_FOR"
[providers.up.prices]
m = {{ input = {price}, output = {price} }}
dear = {{ input = 10.0, output = 10.0 }}
"""


def toml(model: str = "m", price: float = 1.0, evaluations: int = 50, budget: str = "", seed: int = 3) -> str:
    return TOML.format(model=model, price=price, evaluations=evaluations, budget=budget, seed=seed)


@pytest.fixture
def past(grown: Path, tmp_path: Path) -> Path:
    """A run of which each measured move cost a cent for 10,000 tokens."""
    folder = tmp_path / "runs" / "past"
    shutil.copytree(grown, folder)
    (folder / "run.toml").write_text(toml())
    with Archive.open(folder) as archive, Ledger(folder / "ledger.jsonl") as ledger:
        history = archive.history()
        moves = [(f"evaluation-{row.id}", "solve") for row in history.evaluations if row.outcome is not None]
        moves += [(f"expansion-{row.id}", "improve") for row in history.expansions]
        for key, role in moves:
            account = ledger.account(key)
            made = account.reserve(role, "up:m", Worst(10_000, 1000, 0.0))
            account.settle(made, Usage(9000, 0, 0, 1000), 0.01, status="ok")
    return folder


@pytest.fixture
def fresh(tmp_path: Path) -> Callable[[str], Path]:
    def make(text: str) -> Path:
        folder = tmp_path / "runs" / "fresh"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "run.toml").write_text(text)
        return folder

    return make


def told(invoke: Invoke, *arguments: object) -> Any:
    result = invoke(estimate, *arguments, "--json")
    assert result.exit_code == 0, (result.output, result.exception)
    return json.loads(result.output)


def test_a_run_like_a_past_one_costs_what_that_cost(invoke: Invoke, past: Path, fresh: Callable[[str], Path]) -> None:
    found = told(invoke, fresh(toml(budget="expansions = 0")), "--from", past)
    with Archive.open(past) as archive:
        rows = [row for row in archive.history().evaluations if row.outcome is not None]
    per_evidence = len(rows) / sum(row.outcome is not Outcome.VOID for row in rows)
    assert found["evaluations"] == 50 and found["expansions"]["high"] == 0
    assert found["usd"]["low"] <= 0.5 * per_evidence <= found["usd"]["high"] <= 0.6
    assert found["tokens"]["middle"] == pytest.approx(found["usd"]["middle"] * 1e6)
    assert found["measured"]["evaluations"] == len(rows) and found["notes"] == []


def test_another_price_scales_the_dollars(invoke: Invoke, past: Path, fresh: Callable[[str], Path]) -> None:
    plain = told(invoke, fresh(toml()), "--from", past)
    doubled = told(invoke, fresh(toml(price=2.0)), "--from", past)
    assert doubled["usd"]["middle"] == pytest.approx(2 * plain["usd"]["middle"]) and doubled["notes"] == []
    other = told(invoke, fresh(toml(model="dear")), "--from", past)
    assert other["usd"]["middle"] == pytest.approx(10 * plain["usd"]["middle"])
    assert other["tokens"] == plain["tokens"]
    assert any("solve was up:m and will be up:dear" in note for note in other["notes"])


def test_the_budget_reaches_so_far(invoke: Invoke, past: Path, fresh: Callable[[str], Path]) -> None:
    found = told(invoke, fresh(toml(budget="usd = 0.25")), "--from", past)
    assert found["endings"][0]["cap"] == "usd" and found["endings"][0]["probability"] > 0.9
    assert found["endings"][0]["evaluations"]["middle"] < 30
    text = invoke(estimate, fresh(toml(budget="usd = 0.25")), "--from", past).output
    assert "by the budget's dollars after" in text and "middle 90 %" in text


def test_a_runs_own_moves_and_what_it_used_count(invoke: Invoke, past: Path) -> None:
    (past / "run.toml").write_text(toml(evaluations=400))
    found = told(invoke, past)
    with Archive.open(past) as archive:
        history = archive.history()
    evidence = sum(row.decision is not None and (row.passed or row.failed) for row in history.evaluations)
    assert found["used"]["evaluations"] == evidence and found["evaluations"] == 400 - evidence
    assert found["used"]["agents"] == len(history.agents) and found["used"]["hours"] == 1.25


def test_the_first_line_of_a_run_looks_beside_it(past: Path, fresh: Callable[[str], Path]) -> None:
    folder = fresh(toml(budget="usd = 0.25"))
    line = estimate_line(folder, load(folder))
    assert line is not None and line.startswith("estimate: $") and str(past) in line
    assert "the budget's dollars will end it after about" in line
    (past / "ledger.jsonl").write_text("not a ledger\n")
    assert estimate_line(folder, load(folder)) is None, "an estimate is a courtesy"


def test_nothing_measured_says_what_to_do(invoke: Invoke, tmp_path: Path) -> None:
    folder = tmp_path / "alone" / "run"
    folder.mkdir(parents=True)
    (folder / "run.toml").write_text(toml())
    assert estimate_line(folder, load(folder)) is None
    assert "--pilot 5" in str(invoke(estimate, folder).exception)


@pytest.mark.usefixtures("boxes")
def test_a_pilot_is_real_and_kept_and_leaves_the_search_alone(invoke: Invoke, tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "pilot"
    folder.mkdir(parents=True)
    (folder / "run.toml").write_text("seed = 2\n[budget]\nevaluations = 20\n[rollout]\nsolve_seconds = 10\n")
    for times in (1, 2):
        result = invoke(estimate, folder, "--pilot", 2)
        assert result.exit_code == 0, (result.output, result.exception)
        with Archive.open(folder) as archive:
            rows = archive.history().evaluations
        assert len(rows) == len({row.task for row in rows}) == 2 * times, "a second pilot measures other tasks"
        assert {(row.agent, row.split, row.decision) for row in rows} == {(0, "validation", None)}
    found = told(invoke, folder)
    assert found["evaluations"] == 20, "the search has all of its budget"
    assert found["measured"] == {"evaluations": 4, "expansions": 0}
    assert any("no expansion was measured" in note for note in found["notes"])
    assert parse((folder / "run.toml").read_text()).seed == 2
