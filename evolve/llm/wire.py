"""The wire format at an agent's socket: what a request may say, and how answers and errors are written.

Everything a request says is allowed by name or refused by name. That matters beyond tidiness: a tool of another type
than `function`, a remote URL or an unknown field could make the *provider* act on the agent's behalf (search the web,
fetch an address, run code), and a box without a network would have one after all. Pure functions.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from evolve.llm.base import Json
from evolve.llm.jsontext import dumps, loads

BODY_LIMIT = 16 * 1024 * 1024
DEPTH_LIMIT = 64
"""Nesting of a request's JSON: deep enough for every schema seen in practice, shallow enough to walk."""

BYTES_PER_TOKEN = 3.0
"""What the estimate of a prompt starts from: English and code have about four, few texts less than three."""
TEMPLATE_TOKENS = 32
"""What a service's chat template puts around a conversation's own words."""
TOOL_PROMPT_TOKENS = 600
"""What a service tells a model of tools at large, once any are offered: Anthropic documents up to 530 tokens."""
IMAGE_TOKENS = 5000
"""Estimate for one image of any size: above what OpenAI's and Anthropic's models count for their largest ones."""

_PLAIN = frozenset(
    {"frequency_penalty", "parallel_tool_calls", "presence_penalty", "reasoning_effort", "response_format", "seed",
     "stop", "temperature", "tool_choice", "top_p"}
)  # fmt: skip
"""Fields handed to the provider as they are."""
_HANDLED = frozenset(
    {"model", "messages", "tools", "max_tokens", "max_completion_tokens", "n", "stream", "stream_options"}
)
"""Fields the gateway understands itself."""
_ROLES = frozenset({"system", "developer", "user", "assistant", "tool"})
_MESSAGE = frozenset({"role", "content", "name", "tool_calls", "tool_call_id"})
_ECHOED = frozenset({"annotations", "audio", "function_call"})
"""Fields of an answer that client libraries send back, empty, as part of the history."""
_DROPPED = frozenset({"refusal", "reasoning", "reasoning_content"})
"""Words about a turn that stay behind: what a model has really thought is put back by the gateway (`carried`)."""

_LONE_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


class RequestError(ValueError):
    """A request that is answered with an error without being sent anywhere."""

    def __init__(self, status: int, text: str, *, code: str, param: str | None = None) -> None:
        super().__init__(text)
        self.status = status
        self.code = code
        self.param = param

    @property
    def body(self) -> Json:
        return error_body(str(self), type="invalid_request_error", code=self.code, param=self.param)


def parse(raw: bytes) -> Json:
    """The request's JSON object. Raises: `RequestError` for anything else, and for what nests too deep."""
    try:
        body = loads(raw)
    except (ValueError, RecursionError) as error:
        reason = "nested too deep" if isinstance(error, RecursionError) else str(error)
        raise RequestError(400, f"the body is not valid JSON: {reason}", code="invalid_json") from None
    if not isinstance(body, dict):
        raise RequestError(400, "the body must be a JSON object", code="invalid_json")
    if raw.count(b"{") + raw.count(b"[") > DEPTH_LIMIT and _depth(body) > DEPTH_LIMIT:
        raise RequestError(400, f"the body is nested deeper than {DEPTH_LIMIT} levels", code="invalid_json")
    return _mended(body) if b"\\u" in raw and _LONE_SURROGATE.search(raw) else body


def clean(body: Mapping[str, Any], max_output_tokens: int) -> Json:
    """What of a request goes to a provider: everything but `model`, which the caller sets, and streaming, which we do.

    Raises: `RequestError` for a field, tool, role or URL that is not allowed.
    """
    for name in body:
        if name not in _PLAIN and name not in _HANDLED:
            text = f"the field {name!r} is not supported here: leave it out"
            raise RequestError(400, text, code="unknown_field", param=name)
    request: Json = {"messages": _messages(body.get("messages"))}
    request |= {name: body[name] for name in sorted(_PLAIN & body.keys()) if body[name] is not None}
    if body.get("tools"):
        request["tools"] = _tools(body["tools"])
    _check_tool_choice(body.get("tool_choice"))
    asked = [body[name] for name in ("max_tokens", "max_completion_tokens") if body.get(name) is not None]
    for value in asked:
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise _invalid("max_tokens must be a whole number above 0", "max_tokens")
    request["max_tokens"] = min([max_output_tokens, *asked])
    return request


def estimate(request: Mapping[str, Any], bytes_per_token: float = BYTES_PER_TOKEN) -> int:
    """Tokens of a cleaned request's prompt, rounded up: an estimate on the safe side, images counted flat."""
    images = 0
    size = 0
    for message in request["messages"]:
        content = message.get("content")
        if isinstance(content, list):
            pictures = [part for part in content if part["type"] == "image_url"]
            images += len(pictures)
            rest = {**message, "content": [part for part in content if part["type"] != "image_url"]}
            size += len(dumps(rest))
        else:
            size += len(dumps(message))
    for name in ("tools", "response_format"):
        if name in request:
            size += len(dumps(request[name]))
    return int(size / bytes_per_token) + 1 + added_by_service(request) + images * IMAGE_TOKENS


def added_by_service(request: Mapping[str, Any]) -> int:
    """Tokens of an estimate that stand for what no message says, however dense the messages are."""
    return TEMPLATE_TOKENS + (TOOL_PROMPT_TOKENS if request.get("tools") else 0)


def error_body(text: str, *, type: str, code: str | None = None, param: str | None = None) -> Json:
    """An error in OpenAI's shape."""
    return {"error": {"message": text, "type": type, "param": param, "code": code}}


def answer_body(completion: Mapping[str, Any], role: str) -> Json:
    """What an agent gets to see of a completion: one choice, usage, and its role as the model's name."""
    choice = completion["choices"][0]
    reason = choice.get("finish_reason") or "stop"
    body: Json = {
        "id": str(completion.get("id") or "chatcmpl-0"),
        "object": "chat.completion",
        "created": int(completion.get("created") or 0),
        "model": role,
        "choices": [{"index": 0, "message": choice["message"], "logprobs": None, "finish_reason": reason}],
    }
    if isinstance(completion.get("usage"), dict):
        body["usage"] = completion["usage"]
    return body


def stream_of(body: Mapping[str, Any], *, include_usage: bool) -> bytes:
    """A whole answer as the server-sent events that a client in streaming mode expects.

    The answer is complete when it comes: providers are asked without streaming, because nearly all known faults of
    tool-call parsers are in their streaming paths, and because a call must be metered in full.
    """
    choice = body["choices"][0]
    message = choice["message"]
    delta = {name: value for name, value in message.items() if name not in ("role", "tool_calls") and value is not None}
    deltas: list[Json] = [{"role": "assistant", "content": ""}]
    if delta:
        deltas.append(delta)
    for index, call in enumerate(message.get("tool_calls") or ()):
        deltas.append({"tool_calls": [{**call, "index": index}]})
    head = {"id": body["id"], "object": "chat.completion.chunk", "created": body["created"], "model": body["model"]}
    chunks = [{**head, "choices": [{"index": 0, "delta": each, "finish_reason": None}]} for each in deltas]
    chunks.append({**head, "choices": [{"index": 0, "delta": {}, "finish_reason": choice["finish_reason"]}]})
    if include_usage and "usage" in body:
        chunks.append({**head, "choices": [], "usage": body["usage"]})
    events = [f"data: {json.dumps(chunk)}\n\n" for chunk in chunks]
    return "".join([*events, "data: [DONE]\n\n"]).encode()


def _invalid(text: str, param: str) -> RequestError:
    return RequestError(400, text, code="invalid_value", param=param)


def _depth(value: object) -> int:
    deepest, stack = 0, [(value, 1)]
    while stack:
        node, depth = stack.pop()
        deepest = max(deepest, depth)
        if depth <= DEPTH_LIMIT and isinstance(node, dict | list):
            stack += [(child, depth + 1) for child in (node.values() if isinstance(node, dict) else node)]
    return deepest


def _mended(value: Any) -> Any:
    """The same JSON with lone surrogates replaced: they are legal in JSON but cannot be sent on as UTF-8."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [_mended(each) for each in value]
    if isinstance(value, dict):
        return {_mended(name): _mended(each) for name, each in value.items()}
    return value


def _messages(messages: object) -> list[Json]:
    if not isinstance(messages, list) or not messages:
        raise _invalid("messages must be a list with at least one message", "messages")
    return [_message(message, f"messages[{index}]") for index, message in enumerate(messages)]


def _message(message: object, where: str) -> Json:
    if not isinstance(message, dict) or message.get("role") not in _ROLES:
        raise _invalid(f"{where} must be an object whose role is one of {', '.join(sorted(_ROLES))}", where)
    for name, value in message.items():
        if name not in _MESSAGE and name not in _DROPPED and not (name in _ECHOED and not value):
            raise RequestError(400, f"{where} has an unsupported field {name!r}", code="unknown_field", param=where)
    kept = {name: value for name, value in message.items() if name in _MESSAGE}
    content = kept.get("content")
    if isinstance(content, list):
        kept["content"] = [_part(part, f"{where}.content[{index}]") for index, part in enumerate(content)]
    elif content is not None and not isinstance(content, str):
        raise _invalid(f"{where}.content must be a text or a list", where)
    if kept.get("tool_calls") is not None:
        kept["tool_calls"] = _each(kept["tool_calls"], f"{where}.tool_calls", _tool_call)
    return kept


def _part(part: object, where: str) -> Json:
    if isinstance(part, dict) and part.get("type") == "text" and isinstance(part.get("text"), str):
        return {"type": "text", "text": part["text"]}
    if isinstance(part, dict) and part.get("type") == "image_url" and isinstance(image := part.get("image_url"), dict):
        url = image.get("url")
        if not isinstance(url, str) or not url.startswith("data:image/"):
            text = f"{where} must be a data: URL of an image: nothing is fetched from addresses"
            raise RequestError(400, text, code="remote_url", param=where)
        return {"type": "image_url", "image_url": {"url": url}}
    raise _invalid(f"{where} must be of type text or image_url", where)


def _tool_call(call: object, where: str) -> Json:
    """One tool call of the history. Its arguments stay as they are, valid JSON or not: they are the model's words."""
    function = call.get("function") if isinstance(call, dict) else None
    if isinstance(call, dict) and call.get("type", "function") == "function" and isinstance(function, dict):
        id, name, arguments = call.get("id"), function.get("name"), function.get("arguments")
        if isinstance(id, str) and isinstance(name, str) and isinstance(arguments, str):
            return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}
    raise _invalid(f"{where} must have id, type function, and function with name and arguments as texts", where)


def _tools(tools: object) -> list[Json]:
    return _each(tools, "tools", _tool)


def _tool(tool: object, where: str) -> Json:
    if not isinstance(tool, dict) or tool.get("type") != "function" or not isinstance(tool.get("function"), dict):
        text = f"{where} must be of type function: no other tools are allowed"
        raise RequestError(400, text, code="tool_type", param=where)
    function = {name: value for name, value in tool["function"].items() if value is not None}
    unknown = (tool.keys() - {"type", "function"}) | (function.keys() - {"name", "description", "parameters", "strict"})
    if unknown:
        raise RequestError(400, f"{where} has an unsupported field {min(unknown)!r}", code="unknown_field", param=where)
    if not isinstance(function.get("name"), str) or not isinstance(function.get("parameters", {}), dict):
        raise _invalid(f"{where} needs a name, and parameters as a JSON schema", where)
    return {"type": "function", "function": function}


def _check_tool_choice(choice: object) -> None:
    if choice in (None, "none", "auto", "required"):
        return
    if isinstance(choice, dict) and choice.keys() == {"type", "function"} and choice["type"] == "function":
        function = choice["function"]
        if isinstance(function, dict) and function.keys() == {"name"} and isinstance(function["name"], str):
            return
    raise _invalid("tool_choice must be none, auto, required or one function by name", "tool_choice")


def _each(values: object, where: str, check: Callable[[object, str], Json]) -> list[Json]:
    if not isinstance(values, list):
        raise _invalid(f"{where} must be a list", where)
    return [check(value, f"{where}[{index}]") for index, value in enumerate(values)]
