"""What the dialect's files hand to each other: requests and answers as they were mended, and calls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b

from evolve.llm.base import Json

ID_LENGTH = 9
"""Characters of an id that we make: nine letters or digits are what every service takes, Mistral's included."""
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True, slots=True)
class Prepared:
    """A request as it is sent."""

    request: Json
    events: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Reading:
    """An answer as the agent shall get it."""

    body: Json
    events: tuple[str, ...] = ()
    broken: str | None = None
    """Why the answer cannot be used as it stands, in a few words; it is asked for once more."""


def call(id: str, name: str, arguments: str) -> Json:
    """A tool call as it stands in a message."""
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}


def made_id(*parts: object) -> str:
    """An id made of what it is for: equal parts give equal ids, so a history is sent the same way each time."""
    number = int.from_bytes(blake2b(repr(parts).encode(errors="replace"), digest_size=8).digest())
    digits = []
    for _ in range(ID_LENGTH):
        number, digit = divmod(number, len(_DIGITS))
        digits.append(_DIGITS[digit])
    return "".join(digits)


def used_ids(messages: Sequence[Mapping[str, object]]) -> set[str]:
    """Ids of all calls of a history."""
    found: set[str] = set()
    for message in messages:
        calls = message.get("tool_calls")
        for each in calls if isinstance(calls, list) else ():
            found.add(each["id"])
    return found


def with_message(body: Json, message: Json, finish_reason: str | None) -> Json:
    """An answer's body with another message in its first choice."""
    first, *rest = body["choices"]
    return {**body, "choices": [{**first, "message": message, "finish_reason": finish_reason}, *rest]}
