"""Chat completions to Anthropic's Messages and back. Pure functions over the SDK's types.

What differs: system messages are a field of their own; tool calls and tool results are blocks of a turn's content; all
results of one turn must stand in one user turn; turns of one role in a row are one turn; no text may be empty; the
prompt cache works up to marked blocks. Thinking blocks are not shown to agents, and come back exactly as they were in
the turn that they were a part of (see `carried`), which the service demands. There is no sampling to set: since version
2026-10-21 the service refuses `temperature` and its kin, so an agent's wish for one is left out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, cast

from anthropic.types import (
    ImageBlockParam,
    Message,
    RedactedThinkingBlockParam,
    TextBlockParam,
    ThinkingBlockParam,
    ToolChoiceParam,
    ToolParam,
    ToolResultBlockParam,
    ToolUseBlockParam,
)
from anthropic.types.message_create_params import MessageCreateParamsNonStreaming

from evolve.llm.base import Json, ModelError, Usage
from evolve.llm.parameters import LEAST_THINKING

Block = (
    TextBlockParam
    | ImageBlockParam
    | ToolUseBlockParam
    | ToolResultBlockParam
    | ThinkingBlockParam
    | RedactedThinkingBlockParam
)
Turn = tuple[Literal["user", "assistant"], list[Block]]

DATA_URL = re.compile(r"data:(image/(?:jpeg|png|gif|webp));base64,([A-Za-z0-9+/=\s]+)")
HERE: Literal["ephemeral"] = "ephemeral"
EMPTY = "(empty)"
"""Stands for a turn without content, which the Messages format does not allow."""

FINISH_REASONS = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
PASSED_ON = frozenset({"output_config", "metadata", "service_tier"})
"""Fields of the Messages format that the settings may set for a model."""
TRANSLATED = frozenset(
    {"max_tokens", "parallel_tool_calls", "reasoning_effort", "response_format", "stop", "thinking", "tool_choice"}
)
"""Fields that have a counterpart, besides messages and tools; `thinking` is the format's own."""
THOUGHTS = frozenset({"thinking", "redacted_thinking"})
"""Types of blocks that the model thought in."""
EFFORTS = {"none": "low", "minimal": "low"}
"""OpenAI's words for efforts that this service does not know; the others are the same."""


def to_messages(request: Mapping[str, Any]) -> MessageCreateParamsNonStreaming:
    """The Messages request for a chat-completions request. Raises: `ModelError` for what has no counterpart."""
    system, turns = _conversation(request["messages"])
    thinking = _thinking(request, turns)
    params: dict[str, Any] = {
        "model": request["model"],
        "max_tokens": request["max_tokens"],
        "messages": [{"role": role, "content": blocks} for role, blocks in _marked(turns)],
    }
    if system:
        # One mark here covers tools and system, which stay the same for a whole rollout.
        params["system"] = [*system[:-1], {**system[-1], "cache_control": {"type": HERE}}]
    params |= {name: request[name] for name in PASSED_ON if name in request}
    params |= {"thinking": thinking} if thinking is not None else {}
    if "stop" in request:
        params["stop_sequences"] = [request["stop"]] if isinstance(request["stop"], str) else request["stop"]
    if request.get("tools"):
        params["tools"] = [_tool(tool["function"]) for tool in request["tools"]]
        params["tool_choice"] = _tool_choice(request.get("tool_choice"), request.get("parallel_tool_calls"))
    output_config = {**params.get("output_config", {}), **_output_config(request)}
    if output_config:
        params["output_config"] = output_config
    return cast(MessageCreateParamsNonStreaming, params)


def from_message(message: Message) -> Json:
    """The chat-completions answer for a Messages answer."""
    texts = [block.text for block in message.content if block.type == "text"]
    calls = [
        {"id": block.id, "type": "function", "function": {"name": block.name, "arguments": json.dumps(block.input)}}
        for block in message.content
        if block.type == "tool_use"
    ]
    answer: Json = {"role": "assistant", "content": "".join(texts) or None}
    if calls:
        answer["tool_calls"] = calls
    if not calls and not texts:
        answer["content"] = ""
    blocks = _blocks_of(message)
    if any(block["type"] in THOUGHTS for block in blocks) and blocks[-1]["type"] not in THOUGHTS:
        # A turn that ends with a thought, cut off by the cap on output, cannot be sent again.
        answer["carried"] = {"kind": "anthropic", "bound": True, "blocks": blocks}
    usage = usage_of(message)
    return {
        "id": message.id,
        "object": "chat.completion",
        "created": 0,
        "model": message.model,
        "choices": [
            {
                "index": 0,
                "message": answer,
                "finish_reason": FINISH_REASONS.get(message.stop_reason or "end_turn", "stop"),
            }
        ],
        "usage": {
            "prompt_tokens": usage.input_tokens,
            "completion_tokens": usage.output_tokens,
            "total_tokens": usage.input_tokens + usage.output_tokens,
            "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
            "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        },
    }


def usage_of(message: Message) -> Usage:
    """Token counts; Anthropic's `input_tokens` leaves out what was read from or written to the cache, ours does not.

    What was written for five minutes and for an hour is counted together: only the former is ever asked for here.
    """
    told = message.usage
    read, written = told.cache_read_input_tokens or 0, told.cache_creation_input_tokens or 0
    if told.cache_creation is not None:
        by_life = told.cache_creation.ephemeral_5m_input_tokens + told.cache_creation.ephemeral_1h_input_tokens
        written = max(written, by_life)
    thought = told.output_tokens_details.thinking_tokens if told.output_tokens_details is not None else 0
    sent, said = told.input_tokens + read + written, told.output_tokens
    return Usage(sent, read, written, said, min(thought, said))


def _blocks_of(message: Message) -> list[Json]:
    """A turn's blocks as they are sent back: in their order, with nothing that only answers have."""
    blocks: list[Json] = []
    for block in message.content:
        if block.type == "thinking":
            blocks.append({"type": "thinking", "thinking": block.thinking, "signature": block.signature})
        elif block.type == "redacted_thinking":
            blocks.append({"type": "redacted_thinking", "data": block.data})
        elif block.type == "text" and block.text.strip():
            blocks.append({"type": "text", "text": block.text})
        elif block.type == "tool_use":
            blocks.append({"type": "tool_use", "id": block.id, "name": block.name, "input": block.input})
    return blocks


def _conversation(messages: Iterable[Mapping[str, Any]]) -> tuple[list[TextBlockParam], list[Turn]]:
    """System blocks, and turns that alternate between user and assistant."""
    system: list[TextBlockParam] = []
    turns: list[Turn] = []
    for message in messages:
        if message["role"] in ("system", "developer"):
            system += [block for block in _content(message.get("content")) if block["type"] == "text"]
            continue
        role: Literal["user", "assistant"] = "assistant" if message["role"] == "assistant" else "user"
        if not turns or turns[-1][0] != role:
            turns.append((role, []))
        turns[-1][1].extend(_blocks(message))
    if turns and turns[0][0] == "assistant":
        turns.insert(0, ("user", []))
    return system, [(role, _results_first(blocks)) for role, blocks in turns]


def _blocks(message: Mapping[str, Any]) -> list[Block]:
    if message["role"] == "tool":
        if not isinstance(message.get("tool_call_id"), str):
            raise ModelError("a tool message needs its tool_call_id", kind="refused", status=400)
        result: ToolResultBlockParam = {"type": "tool_result", "tool_use_id": message["tool_call_id"]}
        if content := _content(message.get("content")):
            result["content"] = content
        return [result]
    carried = message.get("carried")
    if isinstance(carried, dict) and carried.get("kind") == "anthropic":
        return cast(list[Block], list(carried["blocks"]))
    blocks: list[Block] = [*_content(message.get("content"))]
    for call in message.get("tool_calls") or ():
        function = call["function"]
        blocks.append(
            {"type": "tool_use", "id": call["id"], "name": function["name"], "input": _arguments(function["arguments"])}
        )
    return blocks


def _content(content: object) -> list[TextBlockParam | ImageBlockParam]:
    if isinstance(content, str):
        return [{"type": "text", "text": content}] if content.strip() else []
    blocks: list[TextBlockParam | ImageBlockParam] = []
    for part in content if isinstance(content, list) else []:
        if part["type"] == "text":
            blocks += _content(part["text"])
        else:
            blocks.append(_image(part["image_url"]["url"]))
    return blocks


def _image(url: str) -> ImageBlockParam:
    match = DATA_URL.fullmatch(url)
    if match is None:
        text = "an image must be a base64 data: URL of type jpeg, png, gif or webp"
        raise ModelError(text, kind="refused", status=400)
    media = cast(Literal["image/jpeg", "image/png", "image/gif", "image/webp"], match[1])
    return {"type": "image", "source": {"type": "base64", "media_type": media, "data": match[2]}}


def _arguments(text: str) -> dict[str, object]:
    """A tool call's input. Text that is not a JSON object cannot be said in this format; its own words are kept."""
    try:
        value = json.loads(text)
    except ValueError:
        return {"malformed_arguments": text}
    return value if isinstance(value, dict) else {"malformed_arguments": text}


def _results_first(blocks: Sequence[Block]) -> list[Block]:
    """A turn's blocks in the order the format demands: results of tools before anything else, and never nothing."""
    results = [block for block in blocks if block["type"] == "tool_result"]
    rest = [block for block in blocks if block["type"] != "tool_result"]
    return [*results, *rest] or [{"type": "text", "text": EMPTY}]


def _marked(turns: Sequence[Turn]) -> list[Turn]:
    """The turns with cache marks at the end of the last one and of the last one by the user before it.

    The next call of the rollout starts with all of them, so the last block is where it will look. The service looks for
    what it has cached at most 20 blocks before a mark, and a turn with many calls and their results has more: so the
    place where the call before had its last mark gets one again.
    """
    ends = [number for number, (role, _) in enumerate(turns) if role == "user"]
    places = {len(turns) - 1, *(number for number in ends[-2:] if number >= len(turns) - 3)} if turns else set()
    return [(role, _with_mark(blocks) if number in places else blocks) for number, (role, blocks) in enumerate(turns)]


def _with_mark(blocks: Sequence[Block]) -> list[Block]:
    if blocks[-1]["type"] in THOUGHTS:
        return list(blocks)  # these take no mark
    return [*blocks[:-1], cast(Block, {**blocks[-1], "cache_control": {"type": HERE}})]


def _thinking(request: Mapping[str, Any], turns: Sequence[Turn]) -> Json | None:
    """The settings' wish for thinking, as far as this request can have it; only a fixed budget can be in the way.

    It must be smaller than the cap on output, forbids a forced choice of tools, and demands that a turn that goes on
    after tool results begins with its thinking, which is lost where an agent has changed its history.
    """
    wish: Json | None = request.get("thinking")
    if wish is None or wish.get("type") != "enabled":
        return wish
    budget = min(int(wish.get("budget_tokens", LEAST_THINKING)), request["max_tokens"] - 1)
    choice = request.get("tool_choice") if request.get("tools") else None
    if budget < LEAST_THINKING or choice not in (None, "none", "auto") or _goes_on_without_thinking(turns):
        return None
    return {**wish, "budget_tokens": budget}


def _goes_on_without_thinking(turns: Sequence[Turn]) -> bool:
    if len(turns) < 2 or turns[-1][1][0]["type"] != "tool_result":
        return False
    return turns[-2][1][0]["type"] not in THOUGHTS


def _tool(function: Mapping[str, Any]) -> ToolParam:
    schema = {"type": "object", "properties": {}, **(function.get("parameters") or {})}
    tool: ToolParam = {"name": function["name"], "input_schema": schema}
    if function.get("description"):
        tool["description"] = function["description"]
    return tool


def _tool_choice(choice: object, parallel: object) -> ToolChoiceParam:
    if choice == "none":
        return {"type": "none"}
    single = {"disable_parallel_tool_use": True} if parallel is False else {}
    if isinstance(choice, dict):
        return cast(ToolChoiceParam, {"type": "tool", "name": choice["function"]["name"], **single})
    return cast(ToolChoiceParam, {"type": "any" if choice == "required" else "auto", **single})


def _output_config(request: Mapping[str, Any]) -> Json:
    config: Json = {}
    wanted = request.get("response_format") or {"type": "text"}
    if wanted.get("type") == "json_schema":
        config["format"] = {"type": "json_schema", "schema": wanted["json_schema"]["schema"]}
    elif wanted.get("type") != "text":
        text = f"response_format {wanted.get('type')!r} is not possible here: use json_schema or ask for JSON in words"
        raise ModelError(text, kind="refused", status=400)
    if "reasoning_effort" in request:
        config["effort"] = EFFORTS.get(request["reasoning_effort"], request["reasoning_effort"])
    return config
