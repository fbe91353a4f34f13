"""`clade audit`: what the judge wrote down, by line."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from archive import Archive, Outcome
from evolve.cli.audit import audit

Invoke = Callable[..., Result]
HOSTILE = "a\x1b[31m.py"


@pytest.fixture
def marked(grown: Path, tmp_path: Path) -> Path:
    """The grown run, agent 9 caught at the judge and agent 6 with dropped hunks, some papers torn."""
    run = tmp_path / "run"
    shutil.copytree(grown, run)
    with Archive.open(run, write=True) as archive:
        archive.void_open()
        for number in range(12):
            row = archive.open_evaluation(
                None, agent=9, benchmark="repair", split="validation", task=f"v{number}", attempt=0, seed=1
            )
            facts = {"dropped": {}, "grading": {"evidence": {"guards": ["passed", "failed"]}, "dropped": {}}}
            (archive.folder_of(row) / "verdict.json").write_text(json.dumps(facts))
            archive.close_evaluation(row.id, Outcome.TAMPERED, reason="")
        for number, text in enumerate((json.dumps({"dropped": {HOSTILE: "a test"}, "grading": None}), '{"torn', "[]")):
            row = archive.open_evaluation(
                None, agent=6, benchmark="repair", split="validation", task=f"v{number}", attempt=0, seed=1
            )
            (archive.folder_of(row) / "verdict.json").write_text(text)
            archive.close_evaluation(row.id, Outcome.UNRESOLVED, reason="")
    return run


def test_it_says_where_marks_begin_and_which_are_beyond_chance(marked: Path, invoke: Invoke) -> None:
    facts = json.loads(invoke(audit, marked, "--json").stdout)
    agents = {each["agent"]: each for each in facts["agents"]}
    marks = {mark["name"]: mark for mark in agents[9]["marks"]}
    assert (marks["tampered"]["count"], marks["tampered"]["new"], marks["tampered"]["suspicious"]) == (12, True, True)
    assert marks["guards"]["count"] == 12
    assert agents[9]["lineage"] == [0, 1, 3, 7, 9]
    assert agents[9]["suspicious"]
    six = {mark["name"]: mark for mark in agents[6]["marks"]}
    assert (six["dropped"]["count"], six["dropped"]["suspicious"]) == (1, False)
    assert [each["agent"] for each in facts["agents"] if each["suspicious"]] == [9]
    gap = agents[11]["gaps"][0]
    assert (gap["split"], gap["held_out"], gap["held_out_tasks"]) == ("sealed", 0.8, 10)
    assert gap["low"] < gap["mean"] < gap["high"]
    assert facts["papers_lost"] > 0
    text = invoke(audit, marked).stdout
    assert "0 → 1 → 3 → 7 → 9" in text
    assert "12*" in text
    assert "agent 11: search " in text
    assert "look at agents 9" in text
    assert "\x1b" not in text


def test_an_agent_without_marks_is_counted_and_shown_if_asked(marked: Path, invoke: Invoke) -> None:
    short, whole = invoke(audit, marked).stdout, invoke(audit, marked, "--all").stdout
    assert "0 → 1 → 3  " not in short
    assert "14 measured agents, 10 without a mark or held-out result" in short
    assert "14 measured agents, 10 without a mark or held-out result" in whole
    assert "0 → 1 → 3  " in whole


def test_a_clean_run(grown: Path, invoke: Invoke) -> None:
    text = invoke(audit, grown).stdout
    assert "nothing that chance does not explain" in text
    assert "the judge's papers of" in text
