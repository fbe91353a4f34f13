"""Where in a source an issue may be at home: the lines that share its rare words.

Information-retrieval fault localisation, as in Zhou, Zhang and Lo, "Where should the bugs be fixed?" (ICSE 2012). The
score is tf-idf over the words of each line (identifiers taken apart), with a share for the lines next to it and for
those to which a rare name leads.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

NEIGHBOUR = 0.35
"""Share of a line's score that the lines next to it get."""
FOLLOWED = 0.7
"""Share of a line's score that goes on to the other lines with the same rare name."""
HOPS = 2
RARE = 5
"""Names on more lines than this say little about a place."""
NAME = re.compile(r"\b[A-Za-z]+(?:_[A-Za-z0-9]+)+\b|\b[A-Z]{4,}\b")
STOP_WORDS = """
a an and are as at be been but by can did do does else false for from had has have if in into is it its none not of on
or return self so than that the their them then there these they this those to true was were when which while will
with what where who would should could may might must def class import elif try except raise
"""
STOP = frozenset(STOP_WORDS.split())
WORD = re.compile(r"[A-Za-z]+")
CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")


class Place(NamedTuple):
    """A line of a file, numbered from 1."""

    path: str
    line: int


@lru_cache(maxsize=4096)
def words(text: str) -> tuple[str, ...]:
    """The stems of a text's words, identifiers taken apart at `_` and capitals."""
    parts = (part for token in WORD.findall(text) for part in CAMEL.split(token))
    return tuple(stem(part.lower()) for part in parts if len(part) > 2 and part.lower() not in STOP)


def stem(word: str) -> str:
    """A word without the commonest English endings."""
    for ending in ("ations", "ation", "ings", "ing", "edly", "ied", "ies", "ed", "es", "s", "e"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            word = word[: -len(ending)]
            break
    return word[:-1] if len(word) > 3 and word[-1] == word[-2] else word


def line_scores(texts: Mapping[str, str], issue: str) -> dict[Place, float]:
    """How much each line has in common with an issue; the best one has 1.0.

    Words that the issue puts in backticks count threefold: its author has pointed at them.
    """
    return dict(_scores(tuple(texts.items()), issue))


@lru_cache(maxsize=64)
def _scores(texts: tuple[tuple[str, str], ...], issue: str) -> Mapping[Place, float]:
    lines = {Place(path, i): line for path, text in texts for i, line in enumerate(text.split("\n"), 1)}
    stems = {place: frozenset(words(line)) for place, line in lines.items()}
    frequency = Counter(word for line in stems.values() for word in line)
    asked = Counter(words(issue))
    for quoted in re.findall(r"`([^`\n]+)`", issue):
        for word in words(quoted):
            asked[word] += 2
    own = {}
    for place, line in stems.items():
        shared = sum((1 + math.log(asked[w])) * math.log(1 + len(lines) / frequency[w]) for w in line if w in asked)
        own[place] = shared / math.sqrt(4 + len(line))
    best = max(own.values(), default=0.0) or 1.0
    near = {place: score / best + NEIGHBOUR * _beside(own, place) / best for place, score in own.items()}
    scores = _follow_names(lines, near)
    best = max(scores.values(), default=0.0) or 1.0
    return {place: score / best for place, score in scores.items()}


def _beside(own: Mapping[Place, float], place: Place) -> float:
    above, below = Place(place.path, place.line - 1), Place(place.path, place.line + 1)
    return own.get(above, 0.0) + own.get(below, 0.0)


def _follow_names(lines: Mapping[Place, str], scores: Mapping[Place, float]) -> dict[Place, float]:
    """Hand scores on along rare names, as one goes from a message to where it is used and what is decided there."""
    users: dict[str, list[Place]] = {}
    for place, line in lines.items():
        for name in set(NAME.findall(line)):
            users.setdefault(name, []).append(place)
    groups = [places for places in users.values() if 2 <= len(places) <= RARE]
    total = dict(scores)
    reached = dict(scores)
    for _ in range(HOPS):
        following: dict[Place, float] = {}
        for places in groups:
            for place in places:
                others = max(reached.get(other, 0.0) for other in places if other != place)
                following[place] = max(following.get(place, 0.0), FOLLOWED * others)
        for place, score in following.items():
            total[place] = max(total[place], scores[place] + score)
        reached = following
    return total
