"""Which change to make to a program that passes its checks, for an issue told in words."""

from __future__ import annotations

import re
from collections.abc import Mapping

from evolve.llm.offline.candidates import Edit, as_edit, mutations
from evolve.llm.offline.chance import gumbel, uniform
from evolve.llm.offline.localise import Place, line_scores, words
from evolve.llm.offline.mutation import Mutation

PLACES = 40
"""Lines looked at: those that have most in common with the issue."""
FOCUS = 6.0
"""How much a line's likeness to the issue weighs: log-weight between no likeness and the greatest."""
PRIOR: Mapping[str, float] = {
    "scale": 2.5, "switch": 2.5, "text": 0.8, "constant": 0.5, "compare": 0.0, "boolean": 0.0, "arithmetic": 0.0,
    "negate": -0.5, "swap": -2.0, "move": -1.0, "subscript": -0.5, "delete": -2.0, "call": -1.0, "order": -1.0,
    "insert": -1.0, "offset": -1.0, "name": -1.5, "duplicate": -3.0,
}  # fmt: skip
MORE = frozenset(
    words("limit stopped short few cut exhausted timed out raise more increase longer larger ended early left")
)
LESS = frozenset(words("slow many waste lower fewer reduce decrease expensive repeated noise random vary varied"))
ORDERS = frozenset(words("make run do use try look keep test read change write avoid prefer stop begin start"))
"""Verbs that begin an instruction."""
DIRECTION = 1.2
"""Log-weight for a number that changes in the direction in which the issue points."""


def edits_wanted(seed: int) -> int:
    """How many changes one improvement holds: one, two or three."""
    return 1 + sum(uniform(seed, "edits wanted") > bound for bound in (0.5, 0.8))


def next_improvement(
    texts: Mapping[str, str], issue: str, tried: set[Edit], seed: int, temperature: float
) -> Edit | None:
    """The untried change that ranks first; None if there is none left."""
    scores = line_scores(texts, issue)
    places = dict(sorted(scores.items(), key=lambda entry: -entry[1])[:PLACES])
    addition = sentence_for_prompt(issue, seed)
    told = words(issue)
    direction = sum(word in MORE for word in told) - sum(word in LESS for word in told)
    ranked: list[tuple[float, str, Mutation]] = []
    for path, text in texts.items():
        if not any(place.path == path for place in places):
            continue
        for mutation in mutations(text, addition):
            if Place(path, mutation.line) not in places:
                continue
            weight = PRIOR[mutation.kind] + FOCUS * places[Place(path, mutation.line)]
            if mutation.grows is not None and direction:
                weight += DIRECTION if mutation.grows == (direction > 0) else -DIRECTION
            noise = gumbel(seed, path, mutation.line, mutation.kind, mutation.text, mutation.start)
            ranked.append((weight + temperature * noise, path, mutation))
    ranked.sort(key=lambda entry: -entry[0])
    for _, path, mutation in ranked:
        edit = as_edit(path, texts[path], mutation)
        if edit is not None and edit not in tried:
            return edit
    return None


def sentence_for_prompt(issue: str, seed: int) -> str:
    """A sentence of the issue that tells somebody what to do, fit for any string literal or template."""
    sentences = re.findall(r"(?:^|[.:!?] |\n)([A-Z][a-z]+ [A-Za-z0-9 ,;-]{15,120}\.)", issue)
    orders = [sentence for sentence in sentences if words(sentence)[:1] and words(sentence)[0] in ORDERS]
    return max(orders, key=lambda sentence: uniform(seed, sentence), default="")
