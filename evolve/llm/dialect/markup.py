"""Tool calls left in an answer's text: found, read, and told from talk about tool calls. Pure functions.

A call is taken only where little else is possible: outside quotations, at the start of a line (or behind a special
token), complete, for a tool that was offered, with fields that fit, and with nothing behind it but closing marks, as a
model stops when it has called. What seems to be a call and is not taken is named, so that it is asked for once more.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from evolve.llm.base import Json
from evolve.llm.dialect.arguments import scan
from evolve.llm.dialect.formats import (
    ANCHORS,
    CALL_END,
    CLOSINGS,
    FORMATS,
    INVENTED,
    SIGNS,
    SPECIAL_SUSPECT,
    SUSPECTS,
    Format,
    Written,
    json_written,
)
from evolve.llm.dialect.quoting import Quotations
from evolve.llm.dialect.tools import Tool, misfit, named, typed

MOST_TRIED = 16
"""Openings that are looked at in one text: some models repeat a tag until they are cut off."""

_WORDS = re.compile(r"\w")
_CHANNEL = re.compile(
    r"(?:<\|start\|>assistant)?<\|channel\|>(?:analysis|commentary)(?P<head>[^<]*)<\|message\|>.*?(?:<\|end\|>|\Z)",
    re.DOTALL,
)
_HEAD = re.compile(r"(?:<\|start\|>)?\s*(?:assistant)?\s*(?:<\|channel\|>)?\s*(?:commentary|analysis)?\s*\Z")
_TOKENS = re.compile(r"<\|[\w/]+\|>|<｜[^<>｜]+｜>")
_FENCED = re.compile(r"\A```(?:json|tool_call|tool_code)?\s*\n(?P<body>.*?)\n?```\s*\Z", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Found:
    """Calls that were left in a text."""

    calls: Sequence[tuple[str, str]]
    """Names and arguments, as JSON text."""
    before: str
    """The text before them."""
    invented: bool
    """Whether the model went on to write a result itself."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A call seems to be there."""

    why: str


def find(text: str, tools: Mapping[str, Tool]) -> Found | Unreadable | None:
    """The calls left in a text; None if it is only text."""
    if not tools:
        return None
    if bare := _bare(text, tools):
        return bare
    if not any(sign in text for sign in SIGNS):
        return None
    quotations = Quotations(text)
    why: str | None = None
    for match, form in _openings(text, quotations):
        try:
            written, behind, invented = _run(text, match, form)
            calls = [_fit(each, tools) for each in written]
        except ValueError as error:
            if not _talk(text, match.start()):
                why = why or str(error)
            continue
        if behind < len(text) and not invented:
            why = why or "text follows the call"
        elif not form.special and not _starts_line(text, match.start()):
            why = why or "the call stands in the middle of a line"
        else:
            before = text[: match.start()]
            if match[0].startswith("to=functions."):
                before = _final(before)
            return Found(calls, before.strip(), invented)
    why = why or _suspicion(text, quotations)
    return Unreadable(why) if why else None


def _openings(text: str, quotations: Quotations) -> Iterator[tuple[re.Match[str], Format]]:
    """The first places outside quotations where a call may begin; at one place the longest opening first."""
    places = (anchor.start() for anchor in ANCHORS.finditer(text))
    outside = (place for place in places if not quotations.covers(place))
    found = ([(match, form) for form in FORMATS if (match := form.opening.match(text, place))] for place in outside)
    for openings in islice((each for each in found if each), MOST_TRIED):
        yield from sorted(openings, key=lambda pair: -pair[0].end())


def _run(text: str, match: re.Match[str], form: Format) -> tuple[list[Written], int, bool]:
    """The calls from an opening on, where they end, and whether an invented turn follows. Raises: `ValueError`."""
    written: list[Written] = []
    while True:
        more, end = form.read(text, match)
        written += more
        closing = CLOSINGS.match(text, end)
        end = closing.end() if closing else end
        following = ((each.opening.match(text, end), each) for each in FORMATS)
        again = next(((next_match, each) for next_match, each in following if next_match), None)
        if again is None:
            return written, end, INVENTED.match(text, end) is not None
        match, form = again


def _fit(written: Written, tools: Mapping[str, Tool]) -> tuple[str, str]:
    """Raises: `ValueError` for a tool that was not offered and for fields that it does not have."""
    tool = named(tools, written.name)
    if tool is None:
        raise ValueError(f"there is no tool {written.name!r}")
    arguments: Json = {**written.arguments, **typed(tool, written.texts)}
    if reason := misfit(tool, arguments):
        raise ValueError(reason)
    return tool.name, json.dumps(arguments, ensure_ascii=False)


def _bare(text: str, tools: Mapping[str, Tool]) -> Found | None:
    """A text that is nothing but calls in JSON, as some servers leave it when they drop the marks around it."""
    body = text.strip()
    fence = _FENCED.match(body)
    body = fence["body"].strip() if fence else body
    if not body.startswith(("{", "[")):
        return None
    try:
        value, end = scan(body, 0)
        closing = CLOSINGS.match(body, end)
        if closing is None or closing.end() < len(body):
            return None
        return Found([_fit(each, tools) for each in json_written(value)], "", invented=False)
    except ValueError:
        return None


def _suspicion(text: str, quotations: Quotations) -> str | None:
    """Why a text without a readable call still seems to hold one."""
    outside = (match for match in SUSPECTS.finditer(text) if not quotations.covers(match.start()))
    for match in islice(outside, MOST_TRIED):
        begins = SPECIAL_SUSPECT.match(match[0]) or _starts_line(text, match.start())
        if begins and not _talk(text, match.start()):
            return "it is not complete, or in a form that nobody reads"
    return None


def _talk(text: str, start: int) -> bool:
    """Whether what begins there ends, and is followed by words alone: a text about calls, not a call."""
    end = start
    for closing in CALL_END.finditer(text, start):
        end = closing.end()
    return end > start and _WORDS.search(text, end) is not None and SUSPECTS.search(text, end) is None


def _starts_line(text: str, at: int) -> bool:
    return not text[text.rfind("\n", 0, at) + 1 : at].strip()


def _final(before: str) -> str:
    """What harmony says to the user: without its other channels and its special tokens."""
    return _TOKENS.sub("", _HEAD.sub("", _CHANNEL.sub("", before)))
