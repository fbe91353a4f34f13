"""What a diagnosis is told of an evaluation: hidden tests only if the user has set that, answers never."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from archive import Evaluation
from benchmarks import Benchmark
from evolve.jobs import Evidence
from evolve.llm import ModelError, parse_transcript, render
from evolve.prompts import MAX_TRANSCRIPT
from sandbox import Tree


def evidence_of(row: Evaluation, folder: Path, benchmark: Benchmark, *, hidden: bool = False) -> Evidence:
    """A closed evaluation, its papers in `folder`, as a diagnosis may see it; `hidden` if the user lets it see more."""
    facts = verdict(folder)
    grading = facts.get("grading") or {}
    return Evidence(
        task=row.task,
        problem=benchmark.task(row.task).problem,
        outcome=str(row.outcome),
        account=str(facts.get("agent", {}).get("account", "")),
        transcript=transcript(folder / "transcript.jsonl"),
        patch=text(folder / "patch.diff"),
        visible_failure=str(grading.get("visible_failure", "")),
        hidden_tests=shown(benchmark.hidden_tests(row.task)) if hidden else "",
    )


def shown(files: Tree) -> str:
    """Files one after the other."""
    return "\n\n".join(f"--- {path}\n{file.content.decode('utf-8', 'replace')}" for path, file in files.items())


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
