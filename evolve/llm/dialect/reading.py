"""Answers of services that have tool calls of their own: checked, mended where that is safe, or found broken."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from evolve.llm.base import Json
from evolve.llm.dialect.arguments import parse
from evolve.llm.dialect.markup import Found, Unreadable, find
from evolve.llm.dialect.quoting import Quotations
from evolve.llm.dialect.shapes import Reading, call, made_id, used_ids, with_message
from evolve.llm.dialect.tools import Tool, misfit, named, offered

_THOUGHT_END = re.compile(r"^[ \t]*</think>|</think>[ \t]*$", re.MULTILINE)


def read_tools(body: Json, request: Mapping[str, Any]) -> Reading:
    """The reading of an answer to a request with (or without) tools."""
    choice = body["choices"][0]
    if choice["message"].get("tool_calls"):
        return _with_calls(body, request)
    return _text_only(body, request)


def _with_calls(body: Json, request: Mapping[str, Any]) -> Reading:
    """Each call with an id of its own, the name of its tool, and arguments that are a JSON object."""
    choice = body["choices"][0]
    tools = offered(request)
    used = used_ids(request["messages"])
    events: list[str] = []
    calls: list[Json] = []
    broken: str | None = None
    for number, asked in enumerate(choice["message"]["tool_calls"]):
        name, arguments = asked["function"]["name"], asked["function"]["arguments"]
        tool = named(tools, name)
        if tool is not None and tool.name != name:
            events.append("name_repaired")
            name = tool.name
        try:
            arguments, repaired = arguments_of(arguments, tool)
            if repaired:
                events.append("arguments_repaired")
        except ValueError as error:
            if choice.get("finish_reason") == "length":
                events.append("answer_cut")
            else:
                events.append("arguments_broken")
                broken = broken or f"the arguments of its call of {name} are not a JSON object that fits ({error})"
        id = asked.get("id")
        if not isinstance(id, str) or not id or id in used:
            events.append("id_made")
            id = made_id("answer", len(request["messages"]), number)
        used.add(id)
        calls.append(call(id, name, arguments))
    message = {**choice["message"], "tool_calls": calls}
    return Reading(with_message(body, message, choice.get("finish_reason")), tuple(events), broken)


def arguments_of(text: str, tool: Tool | None) -> tuple[str, bool]:
    """Arguments as JSON text, and whether they had to be repaired. Raises: `ValueError`."""
    found = parse(text)
    if not found.repaired:
        return text, False
    if tool is not None and (reason := misfit(tool, found.value)):
        raise ValueError(reason)
    return json.dumps(found.value, ensure_ascii=False), True


def _text_only(body: Json, request: Mapping[str, Any]) -> Reading:
    """An answer without calls: a last message, calls left in the text, or nothing at all."""
    choice = body["choices"][0]
    message = choice["message"]
    cut = choice.get("finish_reason") == "length"
    thought, said = split(message.get("content") or "")
    tools = offered(request)
    found = find(said, tools)
    if isinstance(found, Found):
        return recovered(body, request, found, "call_leaked")
    if isinstance(found, Unreadable):
        if cut:
            return Reading(body, ("answer_cut",))
        return Reading(
            unread(body), ("call_unreadable",), f"it holds the text of a tool call that cannot be taken: {found.why}"
        )
    if said.strip() and tools and choice.get("finish_reason") == "tool_calls":
        return Reading(body, ("call_unreadable",), "it ended for a tool call, and there is none")
    if said.strip() or message.get("refusal") or choice.get("finish_reason") == "content_filter":
        return Reading(body, ("answer_cut",) if cut else ())
    for place in (thought, message.get("reasoning"), message.get("reasoning_content")):
        found = find(place, tools) if isinstance(place, str) else None
        if isinstance(found, Found):
            return recovered(body, request, found, "call_leaked_in_reasoning")
    if cut:
        return Reading(body, ("answer_cut",))
    return Reading(body, ("answer_empty",), "it was empty")


def recovered(body: Json, request: Mapping[str, Any], found: Found, event: str) -> Reading:
    """The answer with calls that were left in its text."""
    message = body["choices"][0]["message"]
    start = len(request["messages"])
    calls = [call(made_id("answer", start, i), *each) for i, each in enumerate(found.calls)]
    content = found.before if event == "call_leaked" else ""
    events = (event, "result_invented") if found.invented else (event,)
    return Reading(with_message(body, {**message, "content": content, "tool_calls": calls}, "tool_calls"), events)


def unread(body: Json) -> Json:
    """The answer as the agent gets it if nothing better comes: it ended for a call, and there is none."""
    return with_message(body, body["choices"][0]["message"], "tool_calls")


def split(content: str) -> tuple[str, str]:
    """Thinking that was left in the content, and what was said after it.

    Some servers leave only the closing tag, as their template opens the thinking; a tag that is quoted is no end.
    """
    thinks = content.lstrip().startswith("<think>")
    if "</think>" not in content:  # nearly always: to look for quotations takes longer than all the rest
        return (content.lstrip().removeprefix("<think>"), "") if thinks else ("", content)
    quoted = None if thinks else Quotations(content)
    for end in _THOUGHT_END.finditer(content):
        if quoted is None or not quoted.covers(end.start()):
            return content[: end.start()].replace("<think>", "", 1), content[end.end() :]
    return (content.lstrip().removeprefix("<think>"), "") if thinks else ("", content)
