"""A history made fit to be sent: servers refuse whole conversations for one broken call. Pure functions.

What is sent for a message depends on that message and those before it alone, so the beginning of a conversation is sent
byte for byte the same each time, and a prompt cache finds it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from evolve.llm.base import Json
from evolve.llm.dialect.arguments import strict
from evolve.llm.dialect.shapes import call, made_id

NO_RESULT = "(no result)"
NO_ANSWER = "(no answer)"
ORPHAN = "The result of a tool call:\n"


def mended(messages: Sequence[Json]) -> tuple[list[Json], list[str]]:
    """The messages that are sent for these, and the events."""
    desk = _Desk()
    for index, message in enumerate(messages):
        if message["role"] == "tool":
            desk.result(message)
        elif message["role"] == "assistant":
            desk.answer(message, index)
        else:
            desk.close()
            desk.sent.append(message)
    desk.close()
    return desk.sent, desk.events


class _Desk:
    """Goes through a history once."""

    def __init__(self) -> None:
        self.sent: list[Json] = []
        self.events: list[str] = []
        self._open: list[tuple[str, str]] = []
        """(id as the agent has it, id as it is sent) of calls whose result is still to come."""
        self._ids: set[str] = set()

    def answer(self, message: Json, index: int) -> None:
        self.close()
        calls = message.get("tool_calls")
        if calls:
            sent = [self._call(each, index, number) for number, each in enumerate(calls)]
            self.sent.append(message if sent == calls else {**message, "tool_calls": sent})
            return
        bare = {name: value for name, value in message.items() if name != "tool_calls"}
        if not bare.get("content"):
            self.events.append("turn_filled")
            bare["content"] = NO_ANSWER
        self.sent.append(message if bare == message else bare)

    def result(self, message: Json) -> None:
        asked = message.get("tool_call_id")
        for place, (own, sent) in enumerate(self._open):
            if own == asked:
                del self._open[place]
                self.sent.append(message if own == sent else {**message, "tool_call_id": sent})
                return
        self.close()
        self.events.append("result_orphaned")
        self.sent.append({"role": "user", "content": _orphan(message.get("content"))})

    def close(self) -> None:
        """Give the calls still open a result."""
        for _, id in self._open:
            self.events.append("result_missing")
            self.sent.append({"role": "tool", "tool_call_id": id, "content": NO_RESULT})
        self._open = []

    def _call(self, asked: Json, index: int, number: int) -> Json:
        own, name, arguments = asked["id"], asked["function"]["name"], asked["function"]["arguments"]
        id = own
        if not own or own in self._ids:
            self.events.append("ids_renewed")
            id = made_id("history", index, number, own)
        self._ids.add(id)
        self._open.append((own, id))
        try:
            strict(arguments)
        except ValueError:
            self.events.append("arguments_emptied")
            arguments = "{}"
        return call(id, name, arguments)


def _orphan(content: object) -> object:
    if isinstance(content, list):
        return [{"type": "text", "text": ORPHAN}, *content]
    return ORPHAN + str(content or NO_RESULT)


def texts(content: object) -> Iterable[str]:
    """The text parts of a message's content."""
    if isinstance(content, str):
        yield content
    elif isinstance(content, list):
        yield from (part["text"] for part in content if part.get("type") == "text")
