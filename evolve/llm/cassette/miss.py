"""Why a replay is not the recorded run, told so that the cause can be found: where a call differs first, or a move."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from textwrap import shorten

from evolve.llm.base import Json
from evolve.llm.cassette.likeness import alike, compared
from evolve.llm.cassette.order import Landing
from evolve.llm.redact import redact

SHOWN = 6
"""Lines of the difference that are shown."""
WIDTH = 160
"""Characters of a line that are shown."""
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")
"""What a program may print and no database holds: in an archive's row it is U+FFFD."""


@dataclass(frozen=True, slots=True)
class Spoken:
    """A request as two of them are compared: its model, all but its messages, and these."""

    model: str
    rest: Json
    likenesses: tuple[str, ...]
    message: Callable[[int], Json]
    """One of its messages, read when it is to be shown."""

    def shared(self, other: Spoken) -> int:
        """How many messages both begin with."""
        pairs = enumerate(zip(self.likenesses, other.likenesses, strict=False))
        shortest = min(len(self.likenesses), len(other.likenesses))
        return next((index for index, (mine, theirs) in pairs if mine != theirs), shortest)

    def same(self, other: Spoken) -> bool:
        mine, theirs = (self.model, self.rest, self.likenesses), (other.model, other.rest, other.likenesses)
        return mine == theirs


def nearest(asked: Spoken, recorded: Sequence[Spoken]) -> Spoken | None:
    """The recorded request that shares most with the one that is missed."""
    return max(
        recorded,
        key=lambda each: (
            asked.shared(each),
            each.model == asked.model,
            each.rest == asked.rest,
            -len(each.likenesses),
        ),
        default=None,
    )


def difference(asked: Spoken, near: Spoken) -> str:
    """In words, where the request departs from a recorded one."""
    if asked.model != near.model:
        return f"the nearest recorded call is to {near.model}"
    number = asked.shared(near)
    mine, theirs = len(asked.likenesses), len(near.likenesses)
    if number < min(mine, theirs):
        here = asked.message(number)
        lines = _lines(near.message(number), here)
        return f"message {number + 1} of {mine} ({here.get('role')}) differs from the recorded one:\n{lines}"
    if mine != theirs:
        return f"it has {mine} messages, the nearest recorded one {theirs}, of which the first {number} are the same"
    fields = sorted(name for name in {*asked.rest, *near.rest} if asked.rest.get(name, ...) != near.rest.get(name, ...))
    if fields:
        name = fields[0]
        was, now = near.rest.get(name, "nothing"), asked.rest.get(name, "nothing")
        return f"its field {name!r} was {_short(was)} and is {_short(now)}"
    return "the same call is recorded, but was made less often, or by another move"


def departure(now: Landing, then: Landing) -> str | None:
    """In words, how a move ended otherwise than it was recorded; None if it did not.

    What is recorded has no keys in it, and a reason may quote a program: its meaningless words do not count.
    """
    if (now.outcome, _compared(now.reason)) != (then.outcome, _compared(then.reason)):
        return f"recorded was {in_words(then)}; here it is {in_words(now)}"
    if now.child != then.child:
        return f"recorded was {then.outcome}; here it is too, but the child's code is not the same"
    return None


def _compared(reason: str) -> str:
    return _UNSTORABLE.sub("\ufffd", alike(redact(reason)))


def in_words(landing: Landing) -> str:
    """An outcome and its reason, fit for a terminal."""
    reason = _safe(landing.reason[:WIDTH]) + (" …" if len(landing.reason) > WIDTH else "")
    return f"{landing.outcome} ({reason})" if reason else landing.outcome


def _lines(before: Json, now: Json) -> str:
    """The first lines that differ, in the manner of a diff, as they are compared."""
    was, is_now = (_text(compared(message)).split("\n") for message in (before, now))
    changes = list(difflib.unified_diff(was, is_now, lineterm="", n=0))[2:]
    found = [line for line in changes if not line.startswith("@@")]
    start = _start(found)
    shown = [f"    {_cut(line, start)}" for line in found[:SHOWN]]
    more = len(found) - len(shown)
    return "\n".join([*shown, *([f"    … {more} more lines"] if more > 0 else [])])


def _start(found: Sequence[str]) -> int:
    """From which character on lines are shown: a long one may differ far behind its beginning."""
    was = next((line[1:] for line in found if line.startswith("-")), "")
    now = next((line[1:] for line in found if line.startswith("+")), "")
    pairs = enumerate(zip(was, now, strict=False))
    same = next((at for at, (mine, theirs) in pairs if mine != theirs), min(len(was), len(now)))
    return same - WIDTH // 4 if same > WIDTH // 2 else 0


def _cut(line: str, start: int) -> str:
    """What an agent or a model wrote, fit for a terminal."""
    text = ("… " if start else "") + line[1 + start :]
    return line[0] + _safe(text[:WIDTH]) + (" …" if len(text) > WIDTH else "")


def _safe(text: str) -> str:
    return "".join(each if each.isprintable() else repr(each)[1:-1] for each in text)


def _text(message: Json) -> str:
    """A message in lines: its role, what it says, its calls, and whatever else is in it."""
    content = message.get("content")
    told = content if isinstance(content, str) else "" if content is None else str(content)
    calls = [_call(call) for call in message.get("tool_calls") or ()]
    others = sorted(message.keys() - {"role", "content", "tool_calls"})
    return "\n".join([f"{message.get('role')}:", told, *calls, *(f"{name}: {message[name]}" for name in others)])


def _call(call: Json) -> str:
    function = call.get("function", {})
    return f"{function.get('name')}({function.get('arguments')}) as {call.get('id')}"


def _short(value: object) -> str:
    return shorten(str(value), 120, placeholder=" …")
