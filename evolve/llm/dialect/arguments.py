"""Arguments of tool calls: JSON as models write it, read without guessing. Pure functions.

Mended is only what can mean one thing: Python's literals and quotes, trailing commas, raw line ends inside a text, a
backslash that JSON would have doubled, a code fence around everything, JSON inside a JSON text, closing brackets too
many. A text or bracket that is never closed stays broken: completed by us, half a command would become a whole one.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from evolve.llm.base import Json

DEPTH_LIMIT = 64

_FENCE = re.compile(r"\A```[a-z]*\s*\n(?P<body>.*?)\n?```\s*\Z", re.DOTALL | re.IGNORECASE)
_TAIL = re.compile(r"(?:\s|\}|\]|</?tool_call>|</function>|<\|[a-z_]+\|>|<｜[^<>｜]+｜>|```)*\Z")
"""What may follow a whole object: brackets too many, and a family's own closing marks."""
_SPACE = re.compile(r"\s*")
_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?(?![\w.])")
_WORD = re.compile(r"[A-Za-z_$][\w$-]*")
_WORDS = {"true": True, "True": True, "false": False, "False": False, "null": None, "None": None}
_PLAIN = {"'": re.compile(r"[^'\\]*"), '"': re.compile(r'[^"\\]*')}
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "/": "/", "\\": "\\", '"': '"', "'": "'"}
_BARE_APOSTROPHE = re.compile(r"(?<!\\)(?:\\\\)*'")
_SURROGATE = re.compile("[\ud800-\udfff]")
_HEX = re.compile(r"[0-9a-fA-F]{4}")


@dataclass(frozen=True, slots=True)
class Arguments:
    """What a call's arguments say."""

    value: Json
    repaired: bool
    """Whether they were no JSON object as they stood."""


def parse(text: str) -> Arguments:
    """The arguments in a text. Raises: `ValueError`, with the reason in words for the model."""
    try:
        value = strict(text)
    except ValueError as error:
        reason = str(error)
    else:
        return Arguments(value, repaired=False)
    try:
        return Arguments(_mended(text), repaired=True)
    except ValueError:
        raise ValueError(reason) from None


def strict(text: str) -> Json:
    """The JSON object that a text is. Raises: `ValueError`."""
    try:
        value = json.loads(text, parse_constant=_no_constant)
    except RecursionError:
        raise ValueError("nested too deep") from None
    if not isinstance(value, dict):
        raise ValueError(f"a JSON object is needed, this is a {type(value).__name__}")
    return value


def scan(text: str, position: int) -> tuple[object, int]:
    """The JSON value at a position, read leniently, and where it ends. Raises: `ValueError`."""
    return _value(text, _skip(text, position), 0)


def _mended(text: str) -> Json:
    text = text.strip()
    fence = _FENCE.match(text)
    text = fence["body"] if fence else text
    if text in ("", "null", "None"):
        return {}
    value, end = scan(text, 0)
    if not _TAIL.match(text, end):
        raise ValueError("something follows the object")
    if isinstance(value, str):  # JSON inside a JSON text
        value, end = scan(value, 0)
    if not isinstance(value, dict):
        raise ValueError("not an object")
    return value


def _value(text: str, at: int, depth: int) -> tuple[object, int]:
    if depth > DEPTH_LIMIT:
        raise ValueError("nested too deep")
    first = text[at : at + 1]
    if first == "{":
        return _object(text, at + 1, depth)
    if first == "[":
        return _array(text, at + 1, depth)
    if first in ('"', "'") and first:
        return _string(text, at)
    if number := _NUMBER.match(text, at):
        return json.loads(number[0]), number.end()
    if (word := _WORD.match(text, at)) and word[0] in _WORDS:
        return _WORDS[word[0]], word.end()
    raise ValueError(f"no value at character {at}")


def _object(text: str, at: int, depth: int) -> tuple[Json, int]:
    found: Json = {}
    while True:
        at = _skip(text, at)
        if text[at : at + 1] == "}":
            return found, at + 1
        key, at = _key(text, at)
        at = _skip(text, at)
        if text[at : at + 1] != ":":
            raise ValueError(f"a colon is missing at character {at}")
        found[key], at = _value(text, _skip(text, at + 1), depth + 1)
        at = _separator(text, at, "}")


def _array(text: str, at: int, depth: int) -> tuple[list[object], int]:
    found: list[object] = []
    while True:
        at = _skip(text, at)
        if text[at : at + 1] == "]":
            return found, at + 1
        value, at = _value(text, at, depth + 1)
        found.append(value)
        at = _separator(text, at, "]")


def _separator(text: str, at: int, closing: str) -> int:
    """Behind the comma, or at the closing bracket; a trailing comma is allowed."""
    at = _skip(text, at)
    if text[at : at + 1] == ",":
        return at + 1
    if text[at : at + 1] == closing:
        return at
    raise ValueError(f"a comma or {closing} is missing at character {at}")


def _key(text: str, at: int) -> tuple[str, int]:
    if text[at : at + 1] in ('"', "'"):
        return _string(text, at)
    if word := _WORD.match(text, at):
        return word[0], word.end()
    raise ValueError(f"no name at character {at}")


def _string(text: str, at: int) -> tuple[str, int]:
    """A quoted text. A backslash before a character that JSON does not escape stays: nobody writes `\\d` for a d."""
    quote, start = text[at], at + 1
    parts: list[str] = []
    at = start
    while True:
        plain = _PLAIN[quote].match(text, at)
        assert plain is not None  # it may be empty
        parts.append(plain[0])
        at = plain.end()
        if at >= len(text):
            raise ValueError("a text is never closed")
        if text[at] == quote:
            _check_quotes(text[start:at], quote)
            return _whole("".join(parts)), at + 1
        escape = text[at + 1 : at + 2]
        if escape == "u" and _HEX.match(text, at + 2):
            parts.append(chr(int(text[at + 2 : at + 6], 16)))
            at += 6
            continue
        if escape == "x":  # one character in Python, four in a shell
            raise ValueError("\\x may mean two things")
        parts.append(_ESCAPES.get(escape, "\\" + escape))
        at += 2


def _check_quotes(raw: str, quote: str) -> None:
    """Beside bare apostrophes an escaped one may be the shell's own `'\\''`. Raises: `ValueError`."""
    if quote == '"' and "\\'" in raw and _BARE_APOSTROPHE.search(raw):
        raise ValueError("\\' may mean two things")


def _whole(text: str) -> str:
    """The text with surrogate pairs joined, as JSON's reader does, and lone ones replaced."""
    if _SURROGATE.search(text) is None:
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _skip(text: str, at: int) -> int:
    space = _SPACE.match(text, at)
    return space.end() if space else at


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")
