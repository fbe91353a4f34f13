"""`clade cost` on a real archive with a real ledger: dollars add up, whoever asks and whatever died."""

from __future__ import annotations

import csv
import io
import json
import math
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from archive import Archive
from evolve.cli.cost import cost
from evolve.llm import Caps, Ledger, Usage
from evolve.llm.spending import BYS, read_book, teller
from evolve.llm.tallies import Worst

DAYS = (1_700_000_000.0, 1_700_086_400.0)

Invoke = Callable[..., Result]


@pytest.fixture
def run(grown: Path, tmp_path: Path) -> Iterator[Path]:
    """A grown run and a ledger with calls of some of its moves; one call is under way, one was told by a cassette."""
    folder = tmp_path / "run"
    shutil.copytree(grown, folder)
    now = [DAYS[0]]
    with Ledger(folder / "ledger.jsonl", Caps(usd=100.0), clock=lambda: now[0]) as ledger:

        def call(scope: str, role: str, usd: float | None, move: str = "", status: str = "ok") -> None:
            account = ledger.account(scope, move=move)
            usage = None if usd is None else Usage(100, 40, 0, 20, reasoning_tokens=5)
            made = account.reserve(role, f"up:{role}", Worst(200, 50, 0.5))
            account.settle(made, usage, usd or 0.0, status=status)

        call("evaluation-1", "solve", 0.1)
        call("evaluation-2", "solve", 0.2)
        call("expansion-3", "diagnose", 0.03)
        now[0] = DAYS[1]
        call("expansion-3-life", "improve", 0.04, move="expansion-3")
        call("evaluation-2", "solve", None)
        call("evaluation-1", "solve", 0.7, status="replayed")
        call("bench", "solve", 0.005)
        ledger.account("evaluation-1").note("up:solve", ["leaked_call"])
        ledger.account("evaluation-5").reserve("solve", "up:solve", Worst(300, 60, 0.25))
        shutil.copy(folder / "ledger.jsonl", tmp_path / "copy.jsonl")
    shutil.copy(tmp_path / "copy.jsonl", folder / "ledger.jsonl")
    yield folder


def told(invoke: Invoke, run: Path, *options: str) -> Any:
    result = invoke(cost, run, *options, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.output)


def test_every_view_adds_up_to_the_ledger(invoke: Invoke, run: Path) -> None:
    found = told(invoke, run, *(option for by in BYS for option in ("--by", by)))
    with Ledger(run / "ledger.jsonl") as ledger:  # opened after its process died: as `cost` must have counted
        spent = ledger.spent()
    whole = found["paid"]["usd"]
    assert whole + found["replayed"]["usd"] == pytest.approx(spent.settled.usd, abs=1e-12)
    assert whole == pytest.approx(0.1 + 0.2 + 0.03 + 0.04 + 0.5 + 0.005 + 0.25)
    for groups in found["by"].values():
        assert math.fsum(each["usd"] for each in groups) == pytest.approx(whole, abs=1e-12)
        assert sum(each["calls"] for each in groups) == found["paid"]["calls"] == 7
        assert math.fsum(each["share"] for each in groups) == pytest.approx(1.0)
    assert (found["paid"]["lost_calls"], found["paid"]["unmeasured_calls"]) == (1, 2)
    assert found["replayed"]["calls"] == 1 and found["events"] == {"up:solve": {"leaked_call": 1}}
    assert found["paid"]["reasoning_tokens"] == 5 * 5


def test_calls_are_told_by_the_archives_rows(invoke: Invoke, run: Path) -> None:
    with Archive.open(run) as archive:
        history = archive.history()
    found = told(invoke, run, "--by", "agent", "--by", "task", "--by", "move", "--by", "day")
    moves = {each["move"]: each["usd"] for each in found["by"]["move"]}
    assert moves["expansion-3"] == pytest.approx(0.07), "the life check is a part of its move"
    expansion = next(row for row in history.expansions if row.id == 3)
    tasks = {each["task"]: each["usd"] for each in found["by"]["task"]}
    assert tasks[f"expansion for {expansion.entry}"] == pytest.approx(0.07)
    assert tasks["–"] == pytest.approx(0.005), "no row of the archive"
    agents = {each["agent"] for each in found["by"]["agent"]}
    assert {"–", str(expansion.parent), str(history.evaluations[0].agent)} <= agents
    assert {each["day"] for each in found["by"]["day"]} == {"2023-11-14", "2023-11-15"}
    assert teller("role", history)(read_book(run / "ledger.jsonl").entries[0]) == "solve"


def test_a_run_under_way_is_read_without_its_lock(invoke: Invoke, run: Path) -> None:
    with Ledger(run / "ledger.jsonl") as ledger, Archive.open(run, write=True):
        before = told(invoke, run)
        account = ledger.account("evaluation-6")
        account.reserve("solve", "up:solve", Worst(10, 5, 0.125))
        found = told(invoke, run)
    assert found["paid"] == before["paid"]
    assert found["under_way"] == {"calls": 1, "usd_at_most": 0.125}


def test_csv_is_one_table_that_no_spreadsheet_runs(invoke: Invoke, run: Path) -> None:
    with Ledger(run / "ledger.jsonl") as ledger:
        account = ledger.account("x")
        made = account.reserve("=1+1", "a:b", Worst(1, 1, 0.1))
        account.settle(made, Usage(1, 0, 0, 1), 0.1, status="ok")
    result = invoke(cost, run, "--by", "role", "--csv")
    rows = list(csv.DictReader(io.StringIO(result.output)))
    assert {row["role"] for row in rows} == {"solve", "improve", "diagnose", "'=1+1"}
    assert math.fsum(float(row["usd"]) for row in rows) == pytest.approx(told(invoke, run)["paid"]["usd"])
    assert invoke(cost, run, "--csv").exit_code == 2


def test_what_is_printed(invoke: Invoke, run: Path) -> None:
    text = invoke(cost, run).output
    for part in ("solve", "up:improve", "paid ", "replayed", "not paid", "2 calls charged", "1 leaked call"):
        assert part in text, part
    assert invoke(cost, run, "--by", "task").exit_code == 0


def test_no_ledger_no_cost_and_a_foreign_line_is_named(invoke: Invoke, grown: Path, run: Path) -> None:
    assert told(invoke, grown)["paid"]["calls"] == 0
    with (run / "ledger.jsonl").open("a") as file:
        file.write('{"event":"settle","id":1,"inp')
    assert told(invoke, run)["paid"]["calls"] == 7, "a line that is being written"
    with (run / "ledger.jsonl").open("a") as file:
        file.write("\n")
    number = len((run / "ledger.jsonl").read_text().splitlines())
    assert f"line {number} of" in str(invoke(cost, run).exception)
