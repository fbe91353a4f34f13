"""Chat completions to OpenAI's Responses and back. Pure functions over plain JSON.

What differs: the history is a list of items, in which calls and their results stand by themselves; system messages at
the start are `instructions`; a tool's schema is strict unless it says otherwise; nothing is stored at the service, so
its reasoning comes back encrypted and is sent again with the turn that it belongs to (see `carried`). There is no
`stop`, no `seed` and no penalty here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from evolve.llm.base import Json, ModelError, Usage

LEAST_OUTPUT = 16
"""Tokens that the service allows as a cap on output at least."""
PASSED_ON = frozenset(
    {"metadata", "parallel_tool_calls", "prompt_cache_key", "prompt_cache_options", "prompt_cache_retention",
     "safety_identifier", "service_tier", "temperature", "top_p", "truncation"}
)  # fmt: skip
"""Fields that both formats, or this one alone, have, and that are sent as they are."""
TRANSLATED = frozenset(
    {"max_tokens", "reasoning", "reasoning_effort", "response_format", "text", "tool_choice", "verbosity"}
)
"""Fields with a counterpart, besides messages and tools; `reasoning` and `text` are the format's own."""
LEFT_OUT = frozenset({"frequency_penalty", "presence_penalty", "seed", "stop"})
"""Fields of chat completions that have none."""

REPLAYED = {
    "reasoning": ("id", "summary", "content", "encrypted_content"),
    "message": ("id", "role", "content", "status", "phase"),
    "function_call": ("id", "call_id", "name", "arguments", "status"),
}
"""The types of items that an answer may have here, and their fields that a request takes back."""
FAILURES = {"rate_limit_exceeded": 429, "server_error": 500, "vector_store_timeout": 504}
"""Codes of answers that failed, as the status that such a failure usually has. All others are 400."""


def to_responses(request: Mapping[str, Any]) -> Json:
    """The Responses request for a chat-completions request. Raises: `ModelError` for what has no counterpart."""
    if request["max_tokens"] < LEAST_OUTPUT:
        text = f"max_tokens must be at least {LEAST_OUTPUT} with this model, not {request['max_tokens']}"
        raise ModelError(text, kind="refused", status=400)
    instructions, rest = _instructions(request["messages"])
    body: Json = {
        "model": request["model"],
        "input": [item for message in rest for item in _items(message)],
        "max_output_tokens": request["max_tokens"],
        "store": False,
        "include": ["reasoning.encrypted_content"],
    }
    if instructions:
        body["instructions"] = instructions
    body |= {name: request[name] for name in sorted(PASSED_ON & request.keys())}
    if request.get("tools"):
        body["tools"] = [_tool(tool["function"]) for tool in request["tools"]]
        if request.get("tool_choice") is not None:
            body["tool_choice"] = _tool_choice(request["tool_choice"])
    else:
        body.pop("parallel_tool_calls", None)
    effort = {"effort": request["reasoning_effort"]} if "reasoning_effort" in request else {}
    if reasoning := {**request.get("reasoning", {}), **effort}:
        body["reasoning"] = reasoning
    if config := {**request.get("text", {}), **_text_config(request)}:
        body["text"] = config
    return body


def from_response(response: Mapping[str, Any]) -> Json:
    """The chat-completions answer for a response. Raises: `ModelError` if it failed; `ValueError` if it is none."""
    if response.get("status") in ("failed", "cancelled"):
        raise _failure(response)
    items = response["output"]
    texts, refusals, calls = _said(items)
    message: Json = {"role": "assistant", "content": "".join(texts) or None}
    if calls:
        message["tool_calls"] = calls
    elif not texts:
        message["content"] = "".join(refusals)
    if any(item.get("type") == "reasoning" for item in items) and (calls or texts):
        message["carried"] = {"kind": "responses", "items": _replayed(items)}
    return {
        "id": response.get("id"),
        "object": "chat.completion",
        "created": int(response.get("created_at") or 0),
        "model": response.get("model"),
        "choices": [{"index": 0, "message": message, "finish_reason": _finish_reason(response, calls, refusals)}],
        "usage": _usage_body(usage_of(response.get("usage"))),
    }


def usage_of(usage: object) -> Usage:
    """Token counts of a response; all zero if it tells none."""
    if not isinstance(usage, dict):
        return Usage()
    sent, said = _count(usage, "input_tokens"), _count(usage, "output_tokens")
    cached = min(sent, _count(usage.get("input_tokens_details"), "cached_tokens"))
    written = min(sent - cached, _count(usage.get("input_tokens_details"), "cache_write_tokens"))
    reasoning = min(said, _count(usage.get("output_tokens_details"), "reasoning_tokens"))
    return Usage(sent, cached, written, said, reasoning)


def _usage_body(usage: Usage) -> Json | None:
    if usage == Usage():
        return None
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
    }


def _count(counts: object, name: str) -> int:
    value = counts.get(name) if isinstance(counts, dict) else None
    return value if isinstance(value, int) and value > 0 else 0


def _instructions(messages: list[Json]) -> tuple[str, list[Json]]:
    """The system messages that a conversation starts with, and the rest."""
    start = next((n for n, message in enumerate(messages) if message["role"] not in ("system", "developer")), None)
    head = messages if start is None else messages[:start]
    text = "\n\n".join(text for message in head if (text := _plain(message.get("content"))))
    return text, [] if start is None else messages[start:]


def _items(message: Mapping[str, Any]) -> list[Json]:
    role, content = message["role"], message.get("content")
    if role == "tool":
        if not isinstance(message.get("tool_call_id"), str):
            raise ModelError("a tool message needs its tool_call_id", kind="refused", status=400)
        output = _parts(content) if isinstance(content, list) else content or ""
        return [{"type": "function_call_output", "call_id": message["tool_call_id"], "output": output}]
    if role != "assistant":
        # System messages in the middle of a conversation stay where they are: what was cached before them still is.
        role = "developer" if role == "system" else role
        return [{"role": role, "content": _parts(content) if isinstance(content, list) else content or ""}]
    carried = message.get("carried")
    if isinstance(carried, dict) and carried.get("kind") == "responses":
        return list(carried["items"])
    items: list[Json] = [{"role": "assistant", "content": text}] if (text := _plain(content)) else []
    for call in message.get("tool_calls") or ():
        function = call["function"]
        named = {"name": function["name"], "arguments": function["arguments"]}
        items.append({"type": "function_call", "call_id": call["id"], **named})
    return items


def _plain(content: object) -> str:
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    return "".join(part["text"] for part in parts if part["type"] == "text")


def _parts(content: Iterable[Json]) -> list[Json]:
    return [
        {"type": "input_text", "text": part["text"]}
        if part["type"] == "text"
        else {"type": "input_image", "image_url": part["image_url"]["url"], "detail": "auto"}
        for part in content
    ]


def _tool(function: Mapping[str, Any]) -> Json:
    tool: Json = {
        "type": "function",
        "name": function["name"],
        "parameters": {"type": "object", "properties": {}, **(function.get("parameters") or {})},
        "strict": function.get("strict") is True,  # strict when left out, unlike in chat completions
    }
    if function.get("description"):
        tool["description"] = function["description"]
    return tool


def _tool_choice(choice: object) -> object:
    return {"type": "function", "name": choice["function"]["name"]} if isinstance(choice, dict) else choice


def _text_config(request: Mapping[str, Any]) -> Json:
    config: Json = {"verbosity": request["verbosity"]} if "verbosity" in request else {}
    wanted = request.get("response_format")
    if wanted is not None:
        schema = wanted.get("json_schema") if isinstance(wanted, dict) else None
        if isinstance(schema, dict) and isinstance(schema.get("schema"), dict):
            named = {name: schema[name] for name in ("name", "schema", "strict", "description") if name in schema}
            config["format"] = {"type": "json_schema", "name": "answer", **named}
        elif isinstance(wanted, dict) and wanted.get("type") in ("text", "json_object"):
            config["format"] = {"type": wanted["type"]}
        else:
            text = "response_format must be of type text, json_object, or json_schema with a schema"
            raise ModelError(text, kind="refused", status=400)
    return config


def _said(items: list[Json]) -> tuple[list[str], list[str], list[Json]]:
    """Texts, refusals and calls of an answer. Raises: `ValueError` for an item without what its type must have."""
    texts: list[str] = []
    refusals: list[str] = []
    calls: list[Json] = []
    try:
        for item in items:
            if item["type"] == "message":
                texts += [part["text"] for part in item["content"] if part["type"] == "output_text"]
                refusals += [part["refusal"] for part in item["content"] if part["type"] == "refusal"]
            elif item["type"] == "function_call":
                function = {"name": item["name"], "arguments": item["arguments"]}
                calls.append({"id": item["call_id"], "type": "function", "function": function})
    except (KeyError, TypeError) as error:
        raise ValueError(f"an item of the answer lacks {error}") from None
    if not all(isinstance(text, str) for text in (*texts, *refusals)):
        raise ValueError("a text of the answer is none")
    return texts, refusals, calls


def _replayed(items: list[Json]) -> list[Json]:
    """An answer's items as a request takes them back; reasoning that was not given encrypted is of no use there."""
    return [
        {"type": item["type"]} | {name: item[name] for name in REPLAYED[item["type"]] if item.get(name) is not None}
        for item in items
        if item["type"] in REPLAYED and (item["type"] != "reasoning" or item.get("encrypted_content"))
    ]


def _finish_reason(response: Mapping[str, Any], calls: list[Json], refusals: list[str]) -> str:
    details = response.get("incomplete_details")
    reason = details.get("reason") if isinstance(details, dict) else None
    if reason == "content_filter" or refusals:
        return "content_filter"
    if reason == "max_output_tokens" or response.get("status") == "incomplete":
        return "length"
    return "tool_calls" if calls else "stop"


def _failure(response: Mapping[str, Any]) -> ModelError:
    error = response.get("error")
    told: Json = error if isinstance(error, dict) else {}
    code = str(told.get("code") or response.get("status"))
    status = FAILURES.get(code, 400 if told.get("code") else 502)
    text = f"the response failed: {told.get('message') or 'no reason is told'} ({code})"
    return ModelError(text, kind="unavailable" if status in (429, 500, 502, 504) else "refused", status=status)
