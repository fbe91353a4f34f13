"""An issue for an agent's source, written from what a run of it left behind, by the words that both have in common."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from evolve.llm.offline.chance import gumbel
from evolve.llm.offline.checks import is_test
from evolve.llm.offline.localise import line_scores, stem, words

FILE_HEADER = re.compile(r"^[-#=*` ]*([\w./-]+\.py)[-#=*`: ]*$")
PART = re.compile(r"^(?:={3,}|```|~~~)")
ACCOUNT = re.compile(r"\baccount\b|\bsummary\b|\bresult\b", re.IGNORECASE)
CLAUSE = re.compile(r"(?<=[.!?])\s+|; |\\n|[()\n]|(?<=[a-z_]{4}): ")
TELLING = frozenset(
    words(
        "stopped limit budget spent crashed error failed timed out killed cut left shortened dropped malformed "
        "exceeded refused exhausted gave up calls answers attempts too long traceback"
    )
)
"""Stems of words that people look for first in a log."""
ACCOUNTED = 1.5
"""Log-weight of a line that is said to be the agent's account of itself."""
OWN_REPORT = 2.5
"""Log-weight of a clause that the agent's source has words for: what an agent reports itself tells most about it."""
LATER = 1.0
"""Log-weight that the end of the evidence has over its beginning: how a run ended says more than how it began."""
PLACES = 3
"""Places in the source that an issue names."""
ADVICE = {
    "limit": "Raise the limit, or get more out of each step.",
    "steps": "Make a change and run the tests in one command.",
    "calls": "Do several things in one answer where they do not depend on each other.",
    "observations": "Keep more of what was seen, or make it shorter from the start.",
    "cut": "Let more through, or cut in a better place.",
    "turns": "Keep what was tried in mind for longer.",
    "time": "Give it more time, or stop earlier.",
    "edit": "Look at the lines again before changing them.",
}
"""What people try first when they read such a word."""
SETTING = re.compile(r"^[A-Z_]+ = (?:True|False|[-\d.]+)$")
"""A line that sets a number or a switch: what can be turned without rewriting anything."""


class Symptom(NamedTuple):
    """A clause of the evidence and how telling it is."""

    text: str
    weight: float


def diagnose(messages: Sequence[dict[str, object]], seed: int, temperature: float) -> str:
    """The text of an issue: what was seen, where in the source it may come from, what could be changed there."""
    text = "\n".join(str(message.get("content") or "") for message in messages if message.get("role") == "user")
    sources, evidence = split(text)
    found = symptoms(evidence, sources)
    found.sort(key=lambda symptom: -symptom.weight - temperature * gumbel(seed, symptom.text))
    if not found:
        return "The runs of this agent show nothing that tells what to mend. Look at its limits and its prompts."
    main, others = found[0], [symptom.text for symptom in found[1:3]]
    places = suspects(sources, main.text, seed, temperature)
    lines = [
        f"{main.text[0].upper()}{main.text[1:]}",
        "",
        "Seen in a run that did not solve its task:",
        f"> {main.text}",
    ]
    if others:
        lines += [f"> {other}" for other in others]
    if places:
        lines += ["", "Where to look:", *(f"- `{code}` in {path}" for path, code in places)]
    advice = [text for word, text in ADVICE.items() if stem(word) in words(main.text)]
    lines += ["", *advice[:2]]
    return "\n".join(lines)


def split(text: str) -> tuple[dict[str, str], str]:
    """Take the agent's source files apart from everything else that was said.

    A file begins after a line that holds nothing but its name (`--- agent/tools.py`, `### tools.py`) and ends at the
    next such line, at a closing fence, or at a line of the kind that parts of a text are set off with.
    """
    sources: dict[str, list[str]] = {}
    evidence: list[str] = []
    current: list[str] | None = None
    for line in text.split("\n"):
        header = FILE_HEADER.match(line)
        if header:
            current = sources.setdefault(header.group(1), [])
        elif current is not None and PART.match(line):
            if not line.startswith("```python"):
                current = None
        elif current is not None:
            current.append(line)
        else:
            evidence.append(line)
    return {path: "\n".join(lines) for path, lines in sources.items()}, "\n".join(evidence)


def symptoms(evidence: str, sources: Mapping[str, str]) -> list[Symptom]:
    """The clauses of the evidence that use telling words."""
    vocabulary = [set(words(line)) for text in sources.values() for line in text.split("\n")]
    clauses = [(clause.strip(" \t\"',:>[]{}-"), line) for line in evidence.split("\n") for clause in _clauses(line)]
    seen: dict[str, float] = {}
    for i, (clause, line) in enumerate(clauses):
        said = set(words(clause))
        if 12 <= len(clause) <= 200 and said & TELLING and not clause.startswith("#"):
            reported = max((len(said & known) / len(said) for known in vocabulary), default=0.0)
            weight = 0.5 * min(len(said & TELLING), 3) + OWN_REPORT * reported + LATER * i / len(clauses)
            seen[clause] = max(seen.get(clause, 0.0), weight + (ACCOUNTED if ACCOUNT.search(line) else 0.0))
    return [Symptom(clause, weight) for clause, weight in seen.items()]


def _clauses(line: str) -> list[str]:
    """A line's clauses; of a line that is JSON, those of the texts in it."""
    try:
        value = json.loads(line)
    except ValueError:
        return CLAUSE.split(line)
    return [clause for text in _texts(value) for clause in CLAUSE.split(text)]


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for part in value:
            yield from _texts(part)
    elif isinstance(value, dict):
        for name, part in value.items():
            if name not in ("id", "tool_call_id", "role", "name", "type", "arguments"):
                yield from _texts(part)


def suspects(sources: dict[str, str], symptom: str, seed: int, temperature: float) -> list[tuple[str, str]]:
    """Files and lines of code that share the symptom's rare words, one line for each place."""
    scores = line_scores(sources, symptom)
    ranked = []
    for (path, number), score in scores.items():
        code = sources[path].split("\n")[number - 1].split("  #")[0].strip()
        if (
            score > 0
            and re.match(r"[A-Za-z_]", code)
            and not code.startswith(("import ", "from ", "class ", "def "))
            and not is_test(path)
        ):
            weight = 5 * score + bool(SETTING.match(code)) - ('= "' in code)
            ranked.append((weight + temperature * gumbel(seed, path, number), path, code))
    ranked.sort(reverse=True)
    return [(path, code.rstrip(":")) for _, path, code in ranked[:PLACES]]
