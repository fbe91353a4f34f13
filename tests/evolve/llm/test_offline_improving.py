"""The offline model on an agent's own source: what it makes of a run's remains, and where it then changes what."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from evolve.llm import Json
from evolve.llm.offline.diagnosis import diagnose, split, symptoms
from evolve.llm.offline.improvement import next_improvement
from evolve.llm.offline.localise import line_scores, stem, words
from evolve.llm.offline.notes import told_problem
from evolve.llm.offline.provider import answer

# A program of no relation to any agent here: nothing about where its faults lie can have been told beforehand.
BAKERY = '''"""Bakes bread."""

OVEN_MINUTES = 20  # how long a loaf stays in the oven
LOAVES_A_BATCH = 6


def bake(dough):
    minutes = 0
    while not dough.brown:
        if minutes >= OVEN_MINUTES:
            return "Taken out of the oven at the limit of %d minutes, still pale." % minutes
        minutes += 1
    return "Done."
'''
SHOP = '''"""Sells bread."""

OPENING_HOUR = 7
CLOSING_HOUR = 18


def greet(name):
    return "Good morning, %s, what can I do for you?" % name
'''
SOURCES = {"bakery.py": BAKERY, "shop.py": SHOP}


def material(marker: str) -> list[Json]:
    fence = "```" if marker == "###" else ""
    source = "\n".join(
        f"{marker} {path}\n{fence}{'python' if fence else ''}\n{text}{fence}" for path, text in SOURCES.items()
    )
    evidence = (
        "Good morning, Ann, what can I do for you?\nTaken out of the oven at the limit of 20 minutes, still pale."
    )
    text = f"{source}\n===== what happened =====\n{evidence}\n===== end =====\nWrite the issue."
    return [{"role": "system", "content": "Find the fault."}, {"role": "user", "content": text}]


def test_source_and_evidence_are_told_apart() -> None:
    for marker in ("---", "###"):
        sources, evidence = split(str(material(marker)[1]["content"]))
        assert list(sources) == ["bakery.py", "shop.py"]
        assert "OVEN_MINUTES = 20" in sources["bakery.py"]
        assert "OVEN_MINUTES" not in evidence
        assert "still pale" in evidence


def test_the_telling_symptom_is_the_one_that_the_program_reports() -> None:
    found = symptoms(
        "All is well.\nTaken out of the oven at the limit of 20 minutes, still pale\nbread is left over", SOURCES
    )
    assert max(found, key=lambda symptom: symptom.weight).text.startswith("Taken out of the oven")


def test_an_issue_quotes_the_symptom_and_names_the_place() -> None:
    issue = diagnose(material("---"), 0, 0.0)
    assert "> Taken out of the oven at the limit of 20 minutes, still pale." in issue
    assert "`OVEN_MINUTES = 20` in bakery.py" in issue


def test_a_diagnosis_is_what_a_request_without_tools_gets() -> None:
    body = answer({"messages": material("---")}, 3).body
    assert "oven" in body["choices"][0]["message"]["content"]


def test_evidence_without_anything_telling_is_admitted() -> None:
    assert "nothing that tells" in diagnose([{"role": "user", "content": "All is well."}], 0, 1.0)


def test_lines_are_found_by_their_rare_words_and_along_their_names() -> None:
    scores = line_scores(SOURCES, "It was taken out of the oven still pale.")
    ranked = sorted(scores, key=lambda place: -scores[place])
    assert all(place.path == "bakery.py" for place in ranked[:4])
    lines = BAKERY.split("\n")
    assert any("OVEN_MINUTES = 20" in lines[place.line - 1] for place in ranked[:5])


def test_words_are_stems_of_the_parts_of_names() -> None:
    assert words("MAX_LoavesBaked") == ("max", "loav", stem("baked"))
    assert stem("stopped") == stem("stop")
    assert stem("limits") == stem("limit")


def test_a_limit_that_was_reached_is_raised() -> None:
    issue = diagnose(material("---"), 0, 0.0)
    edit = next_improvement(SOURCES, issue, set(), 0, 0.0)
    assert edit is not None
    assert edit.path == "bakery.py"
    assert "OVEN_MINUTES = 20 " in edit.old
    assert int(edit.new.split("=")[1].split("#")[0]) > 20


def test_the_issue_is_read_without_what_stands_around_it() -> None:
    text = "You are in a shop.\n\n# Issue\nThe bread is pale.\n## Cause\nThe oven.\n\n# Rules\nBe quick."
    assert told_problem(text) == "The bread is pale.\n## Cause\nThe oven."
    assert told_problem("No headings.") == "No headings."


def test_what_breaks_the_check_is_taken_back(tmp_path: Path) -> None:
    """In a real conversation: the check fails for whatever touches the limit, so something else is changed."""
    for path, text in SOURCES.items():
        (tmp_path / path).write_text(text)
    (tmp_path / "check.py").write_text(
        "import bakery, shop, sys\nsys.exit(bakery.OVEN_MINUTES != 20 or shop.OPENING_HOUR != 7)\n"
    )
    issue = diagnose(material("---"), 0, 0.0)
    shell = {"name": "bash", "parameters": {"properties": {"command": {"type": "string"}}}}
    messages: list[Json] = [{"role": "user", "content": f"{issue}\nRun `python3 check.py` after each change."}]
    for _ in range(80):
        request: Json = {"messages": messages, "tools": [{"type": "function", "function": shell}], "temperature": 0.0}
        message = answer(request, 1).body["choices"][0]["message"]
        messages.append(message)
        if "tool_calls" not in message:
            break
        for call in message["tool_calls"]:
            command = json.loads(call["function"]["arguments"])["command"]
            done = subprocess.run(
                ["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=False,
                env={"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1"},
            )  # fmt: skip
            messages.append({"role": "tool", "tool_call_id": call["id"], "content": done.stdout + done.stderr})
    assert "The changes are made." in message["content"]
    assert subprocess.run([sys.executable, "check.py"], cwd=tmp_path, check=False).returncode == 0
    assert "OVEN_MINUTES = 20 " in (tmp_path / "bakery.py").read_text()
    assert (tmp_path / "bakery.py").read_text() != BAKERY
