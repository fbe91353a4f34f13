"""The great table: resumable, whoever has more seeds, and Markdown whose figures are those of the runs."""

import importlib.util
import sys
from pathlib import Path

import pytest

from evolve.settings import SettingsError
from evolve.simulate import Estimate

SCRIPT = Path(__file__).parents[3] / "examples" / "bench" / "table.py"


@pytest.fixture(scope="module")
def great():
    spec = importlib.util.spec_from_file_location("great_table", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules["great_table"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def made(great, tmp_path, capsys):
    """Runs it on a few small runs; what it printed."""

    def run(*options):
        great.main(["--out", str(tmp_path), "--evaluations", "12", "--jobs", "1", *map(str, options)])
        return capsys.readouterr()

    return run


def cells(text, policy):
    """The row of a policy in each table of a page."""
    rows = (line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("|"))
    return [row for row in rows if row[0] == policy]


def test_every_world_has_its_section_and_every_policy_its_row(made):
    page = made("--worlds", "flat,swe", "--policies", "kin,hgm-paper,greedy", "--seeds", 3).out
    heads = [line for line in page.splitlines() if line.startswith("#")]
    assert [head.split(":")[0] for head in heads] == [
        "## kin in every world", "## Worlds like a benchmark", "### swe", "## Worlds that mislead", "### flat"
    ]  # fmt: skip
    tables = [part.splitlines() for part in page.split("\n\n") if part.startswith("|")]
    assert len(tables) == 5
    for lines in tables:
        assert len({line.count("|") for line in lines}) == 1
    assert len(cells(page, "greedy")) == 4 and len(cells(page, "swe")) == 1
    for row in cells(page, "hgm-paper"):
        assert "–" in row, "it is not compared with itself"
    assert all("(" in row[7] for row in cells(page, "kin")[:1]), "the best other is named"
    assert "in 0 of 1" in page or "in 1 of 1" in page


def test_what_is_there_is_not_simulated_again_and_seeds_may_differ(made, tmp_path):
    first = made("--worlds", "swe", "--policies", "uniform,hgm", "--seeds", 3)
    assert "6 of 6 runs" in first.err
    files = {path: path.read_text() for path in tmp_path.rglob("*.jsonl")}
    again = made("--worlds", "swe", "--policies", "uniform,hgm", "--seeds", 3)
    assert again.out == first.out and again.err == ""
    assert {path: path.read_text() for path in files} == files
    made("--worlds", "swe", "--policies", "uniform,greedy", "--seeds", 5)
    shown = made("--worlds", "swe", "--policies", "uniform,hgm,dgm", "--show").out
    assert cells(shown, "uniform")[0][1] == "5" and cells(shown, "hgm")[0][1] == "3"
    assert not cells(shown, "dgm"), "there is nothing of it yet"


def test_other_runs_are_refused(made):
    made("--worlds", "swe", "--policies", "uniform,hgm", "--seeds", 1)
    with pytest.raises(SettingsError, match="another world, policy, plan"):
        made("--worlds", "swe", "--policies", "uniform,hgm", "--seeds", 1, "--evaluations", 13)
    with pytest.raises(SettingsError, match="does not hold runs of two policies"):
        made("--worlds", "flat", "--policies", "uniform,hgm", "--show")


def test_figures_as_they_are_written(great):
    sure, open_above, wide = Estimate(0.05, 0.01, 0.09), Estimate(300.0, 250.4, None), Estimate(-0.01, -0.03, 0.01)
    assert great.signed(sure) == "**+5.0 (+1.0 to +9.0)**"
    assert great.signed(wide) == "-1.0 (-3.0 to +1.0)"
    assert [great.decided(each) for each in (sure, wide, Estimate(-0.2, -0.3, -0.1), None)] == [1, 0, -1, 0]
    assert great.between(open_above) == "300 (250 to never)"
    assert great.between(None) == "never"
    assert great.share(Estimate(400.0, 380.0, 420.0), 800) == "50 (48 to 52) %"
    assert great.plus_minus(Estimate(0.5, 0.48, 0.52)) == "50.0 ± 2.0"
    assert great.span(59) == "1 min" and great.span(7260) == "2 h 01 min"
