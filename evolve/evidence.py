"""What a move's log folder tells a diagnosis: never hidden tests, answers or scores."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from archive import Evaluation
from evolve.jobs import Evidence
from evolve.llm import ModelError, parse_transcript, render
from evolve.prompts import MAX_TRANSCRIPT


def evidence_of(row: Evaluation, folder: Path, problem: str) -> Evidence:
    """A closed evaluation, its papers in `folder`, as a diagnosis may see it."""
    facts = verdict(folder)
    grading = facts.get("grading") or {}
    return Evidence(
        task=row.task,
        problem=problem,
        outcome=str(row.outcome),
        account=str(facts.get("agent", {}).get("account", "")),
        transcript=transcript(folder / "transcript.jsonl"),
        patch=text(folder / "patch.diff"),
        visible_failure=str(grading.get("visible_failure", "")),
    )


def transcript(path: Path) -> str:
    """A transcript as readable text. Papers that somebody tidied away do not end a run of days."""
    try:
        return render(parse_transcript(text(path).split("\n"), str(path)), MAX_TRANSCRIPT)
    except ModelError as error:
        return f"({error})"


def overflowed(folder: Path) -> bool:
    """Whether the model's context overflowed during the evaluation with this log folder."""
    return bool(verdict(folder).get("agent", {}).get("overflowed"))


def verdict(folder: Path) -> dict[str, Any]:
    path = folder / "verdict.json"
    facts = json.loads(path.read_text()) if path.exists() else {}
    return facts if isinstance(facts, dict) else {}


def text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
