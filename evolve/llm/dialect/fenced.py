"""Tool calls in plain text, for models whose own tool calls fail: fenced blocks, as in Markdown. Pure functions.

A block named ``bash`` runs the tool that takes a text `command`; a block named after another tool holds its arguments.
The first such block of an answer is the call and ends it: what a weak model writes behind it are mostly results of its
own invention, or commands that it chose without having seen the first one's output. An answer without a block is a last
message.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from evolve.llm.base import Json
from evolve.llm.dialect.arguments import strict
from evolve.llm.dialect.blocks import SHELL_TAGS, Block, body_end, first_block
from evolve.llm.dialect.markup import Found, Unreadable, find
from evolve.llm.dialect.reading import arguments_of, read_tools, recovered, split, unread
from evolve.llm.dialect.shapes import Reading, call, made_id, with_message
from evolve.llm.dialect.tools import Tool, offered, typed


class Desk:
    """The tools of a request as blocks."""

    def __init__(self, tools: Mapping[str, Tool]) -> None:
        self.tools = tools
        self.shell = next((tool for tool in tools.values() if _runs_commands(tool)), None)
        """The tool that runs commands."""
        self.tags = {**({} if self.shell is None else dict.fromkeys(SHELL_TAGS, self.shell)), **tools}
        """What a block is called, for each tool."""

    def tag(self, tool: Tool) -> str:
        """The name that we give a tool's blocks."""
        return "bash" if tool is self.shell and self.tags["bash"] is tool else tool.name


def _runs_commands(tool: Tool) -> bool:
    """Whether a text `command` is all that it needs."""
    command = tool.properties.get("command")
    return isinstance(command, dict) and command.get("type") == "string" and set(tool.required) <= {"command"}


def read_fenced(body: Json, request: Mapping[str, Any]) -> Reading:
    """The reading of an answer in plain text."""
    choice = body["choices"][0]
    message = choice["message"]
    desk = Desk(offered(request))
    if message.get("tool_calls") or not desk.tools:
        return read_tools(body, request)
    cut = choice.get("finish_reason") == "length"
    _, said = split(message.get("content") or "")
    plain = with_message(body, {**message, "content": said.strip()}, choice.get("finish_reason"))
    if block := first_block(said, desk.tags):
        return _call(plain, request, desk, said, block, cut)
    found = find(said, desk.tools)
    if isinstance(found, Found):
        return recovered(plain, request, found, "call_leaked")
    if cut:
        return Reading(plain, ("answer_cut",))
    if isinstance(found, Unreadable):
        return Reading(unread(plain), ("call_unreadable",), f"it holds a tool call in another form: {found.why}")
    if not said.strip() and not message.get("refusal") and choice.get("finish_reason") != "content_filter":
        return Reading(plain, ("answer_empty",), "it was empty")
    return Reading(plain)


def _call(body: Json, request: Mapping[str, Any], desk: Desk, said: str, block: Block, cut: bool) -> Reading:
    """The answer's first block as a call; one that cannot be read goes to the agent as a malformed call."""
    tool = desk.tags[block.tag]
    events: tuple[str, ...] = ()
    broken: str | None = None
    try:
        end = body_end(said, block, here_documents=tool is desk.shell)
        text = said[block.start : end].removesuffix("\n")
        arguments, repaired = _command(text) if tool is desk.shell else _fields(text, tool)
        events = ("arguments_repaired",) if repaired else ()
        if first_block(said, desk.tags, _next_line(said, end)):
            events = (*events, "fences_dropped")
    except ValueError as error:
        arguments = said[block.place :]
        events = ("answer_cut",) if cut else ("fence_broken",)
        broken = None if cut else f"its block {block.tag!r} cannot be read ({error})"
    message = dict(body["choices"][0]["message"])
    message["content"] = said[: block.place].strip()
    message["tool_calls"] = [call(made_id("answer", len(request["messages"])), tool.name, arguments)]
    reason = "length" if broken is None and "answer_cut" in events else "tool_calls"
    return Reading(with_message(body, message, reason), events, broken)


def _next_line(text: str, at: int) -> int:
    end = text.find("\n", at)
    return len(text) if end < 0 else end + 1


def _fields(text: str, tool: Tool) -> tuple[str, bool]:
    """A block's arguments as JSON text, and whether they had to be repaired. Raises: `ValueError`."""
    if text.lstrip().startswith("{"):
        return arguments_of(text.strip(), tool)
    values: dict[str, str] = {}
    for line in text.splitlines():
        key, colon, value = line.partition(":")
        if not line.strip():
            continue
        if not colon or key.strip() not in tool.properties or key.strip() in values:
            raise ValueError("it holds neither a JSON object nor one line `field: value` for each field")
        values[key.strip()] = value.strip()
    return json.dumps(typed(tool, values), ensure_ascii=False), False


def _command(text: str) -> tuple[str, bool]:
    """A command; a model that is used to tool calls may write it as their arguments. Raises: `ValueError`."""
    if not text.strip():
        raise ValueError("it is empty")
    try:
        written = strict(text)
    except ValueError:
        written = {}
    if written.keys() == {"command"} and isinstance(written["command"], str):
        return json.dumps(written, ensure_ascii=False), True
    return json.dumps({"command": text}, ensure_ascii=False), False


def prepare_fenced(request: Mapping[str, Any]) -> Json:
    """A request whose tools and calls are plain text; its history must be in order (see `history.mended`)."""
    fields = {
        name: value for name, value in request.items() if name not in ("tools", "tool_choice", "parallel_tool_calls")
    }
    # A request that forbids its tools this time still has them described: the same beginning, for the prompt cache.
    desk = Desk(offered({**request, "tool_choice": None}))
    messages: list[Json] = []
    names: dict[str, str] = {}
    if desk.tools:
        messages.append({"role": "system", "content": instructions(desk)})
    for message in request["messages"]:
        if message["role"] in ("system", "developer") and len(messages) == 1 and messages[0]["role"] == "system":
            messages[0] = {**message, "content": _joined(message.get("content"), messages[0]["content"])}
        elif message["role"] == "assistant":
            names |= {each["id"]: each["function"]["name"] for each in message.get("tool_calls") or ()}
            messages.append(_assistant(message, desk))
        elif message["role"] == "tool":
            _add(messages, _joined(f"Result of {names[message['tool_call_id']]}:", message.get("content"), "\n"))
        elif message["role"] == "user":
            _add(messages, message.get("content"))
        else:
            messages.append(message)
    return {**fields, "messages": messages}


def _add(messages: list[Json], content: object) -> None:
    """A turn of the user, in one with the turn before if that is the user's as well: some templates insist on it."""
    if messages and messages[-1]["role"] == "user":
        content = _joined(messages.pop()["content"], content)
    messages.append({"role": "user", "content": content})


def _joined(first: object, second: object, between: str = "\n\n") -> object:
    """Two contents as one: text if both are, else a list of parts."""
    if isinstance(first, list) or isinstance(second, list):
        return [*_parts(first), *_parts(second)]
    return between.join(str(each) for each in (first, second) if each)


def _parts(content: object) -> list[object]:
    return content if isinstance(content, list) else [{"type": "text", "text": str(content or "")}]


def _assistant(message: Json, desk: Desk) -> Json:
    content = message.get("content")
    said = "".join(part["text"] for part in content if part["type"] == "text") if isinstance(content, list) else content
    blocks = [_block(each["function"], desk) for each in message.get("tool_calls") or ()]
    sent = {name: value for name, value in message.items() if name != "tool_calls"}
    return {**sent, "content": "\n\n".join(each for each in (said, *blocks) if each)}


def _block(function: Json, desk: Desk) -> str:
    """A call of the history as the model would have written it."""
    name, arguments = function["name"], function["arguments"]
    tool = desk.tools.get(name)
    if tool is not None and tool is desk.shell:
        command = strict(arguments).get("command")
        if not isinstance(command, str) or not command.strip():
            return "(a block that could not be read)"
        return fence(desk.tag(tool), command)
    return fence(name, arguments)


_BACKTICKS = re.compile(r"^ {0,3}(`+)", re.MULTILINE)


def fence(tag: str, text: str) -> str:
    """A block around any text: its fence is longer than every one in it."""
    longest = max((len(run[1]) for run in _BACKTICKS.finditer(text)), default=0)
    mark = "`" * max(3, longest + 1)
    return f"{mark}{tag}\n{text}\n{mark}"


def instructions(desk: Desk) -> str:
    """What the model is told about its tools."""
    told = ["# Tools\n\nYou use a tool by ending your answer with one block, exactly in the form shown here:"]
    for tool in desk.tools.values():
        tag = desk.tag(tool)
        if tool is desk.shell:
            told.append(f"{fence(tag, 'your command here')}\n{tool.description}".rstrip())
            continue
        example = json.dumps(dict.fromkeys(tool.required or tool.properties, "…"), ensure_ascii=False)
        fields = "\n".join(_field(name, schema, tool) for name, schema in tool.properties.items())
        told.append(f"{fence(tag, example)}\n{tool.description}\nThe block holds a JSON object:\n{fields}".rstrip())
    told.append(_RULES)
    return "\n\n".join(told)


def _field(name: str, schema: Any, tool: Tool) -> str:
    about = schema if isinstance(schema, dict) else {}
    needed = "" if name in tool.required else ", may be left out"
    return f"- {name} ({about.get('type', 'any')}{needed}): {about.get('description', '')}".rstrip(": ")


_RULES = (
    "Write a sentence on what you are about to do, then exactly one block, then stop: its result is shown to you next. "
    "Never write a result yourself. Where the text in a block has lines that begin with ```, open and close the block "
    "with ````. An answer without such a block is your last one."
)
