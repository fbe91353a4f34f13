"""Model services on loopback that speak one wire format each, and are as strict as the real ones.

They answer 400, in the real ones' words, to a request that the real ones would refuse: unknown fields, a tool result
without its call, a call without its result, empty texts, thoughts that are not theirs or not in their place. What they
say is scripted in one neutral form (`Says`, `Fails`), so that one suite can be run against all of them.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

from aiohttp import web
from anthropic.types.message_create_params import MessageCreateParamsBase
from openai.types.chat.completion_create_params import CompletionCreateParamsBase
from openai.types.responses.response_create_params import ResponseCreateParamsBase

Json = dict[str, Any]
Failures = dict[str, tuple[int, Json]]


@dataclass(frozen=True)
class Says:
    """What the model shall say."""

    text: str | None = None
    calls: tuple[tuple[str, str, Json], ...] = ()
    """Id, name and arguments of each."""
    thought: str | None = None
    end: str = "stop"
    """`stop`, `length` or `filter`; with calls in it, the format's word for that stands in place of `stop`."""
    tokens: tuple[int, int, int, int, int] = (100, 60, 20, 10, 4)
    """Input in all, of it from the cache and written to the cache; output in all, of it reasoning."""


@dataclass(frozen=True)
class Fails:
    """How the service shall fail instead."""

    how: str
    """A key of the format's `failures`, or one of: reset, html, truncated, empty, hang."""
    headers: tuple[tuple[str, str], ...] = ()


class RefusedError(Exception):
    """The request is not one that the service takes."""


def need(condition: object, text: str) -> None:
    if not condition:
        raise RefusedError(text)


def known(value: Any, names: Any, where: str) -> None:
    need(isinstance(value, dict), f"Invalid type for '{where}': expected an object")
    unknown = sorted(set(value) - set(names))
    need(not unknown, f"Unknown parameter: '{where}.{unknown[0]}'." if unknown else "")
    empty = sorted(name for name, each in value.items() if each is None and name != "content")
    need(not empty, f"Invalid type for '{where}.{empty[0]}': got null instead." if empty else "")


def digest(*values: Any) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:32]


class Chat:
    """OpenAI's chat completions, as OpenAI serves a reasoning model (`thinking`) or DeepSeek its own (`open_model`)."""

    path = "/v1/chat/completions"
    failures: ClassVar[Failures] = {
        "rate": (429, {"error": {"message": "Rate limit reached", "type": "tokens", "code": "rate_limit_exceeded"}}),
        "overloaded": (503, {"error": {"message": "The server is overloaded", "type": "server_error"}}),
        "too_long": (400, {"error": {"message": "This model's maximum context length is 8192 tokens.",
                                     "code": "context_length_exceeded", "param": "messages"}}),
        "bad_key": (401, {"error": {"message": "Incorrect API key provided", "code": "invalid_api_key"}}),
        "no_model": (404, {"error": {"message": "The model `m` does not exist", "code": "model_not_found"}}),
        "no_money": (429, {"error": {"message": "You exceeded your current quota", "code": "insufficient_quota"}}),
        "bad_request": (400, {"error": {"message": "Invalid schema for function 'bash'", "param": "tools"}}),
    }  # fmt: skip
    finish: ClassVar[dict[str, str]] = {"stop": "stop", "length": "length", "filter": "content_filter"}

    def __init__(self, *, thinking: bool = False, open_model: bool = False) -> None:
        self.thinking = thinking
        self.open_model = open_model
        self.given: dict[str, str] = {}
        """What the model thought, by the id of the call that it thought before."""

    def thoughts(self, body: Json) -> list[str]:
        """The thoughts that stand in a request."""
        return [message["reasoning_content"] for message in body["messages"] if "reasoning_content" in message]

    def check(self, headers: dict[str, str], body: Json) -> None:
        need(headers.get("authorization", "").startswith("Bearer "), "You didn't provide an API key.")
        own = {"thinking"} if self.open_model else set()
        known(body, {*CompletionCreateParamsBase.__annotations__, "stream", *own}, "body")
        need(isinstance(body.get("model"), str) and body.get("messages"), "you must provide a model and messages")
        cap = "max_completion_tokens" if self.thinking else "max_tokens"
        need(
            set(body) & {"max_tokens", "max_completion_tokens"} <= {cap}, f"Unsupported parameter. Use '{cap}' instead."
        )
        if self.thinking:
            refused = {"temperature", "top_p", "presence_penalty", "frequency_penalty", "stop"} & body.keys()
            need(not refused, f"Unsupported parameter: {sorted(refused)} is not supported with this model.")
        need(body.get("tools") or not {"tool_choice", "parallel_tool_calls"} & body.keys(), "only allowed with tools")
        for tool in body.get("tools", ()):
            known(tool, {"type", "function"}, "tools")
            known(tool["function"], {"name", "description", "parameters", "strict"}, "tools.function")
        waiting: list[str] = []
        for message in body["messages"]:
            waiting = self._message(message, waiting)
        need(not waiting, f"these tool_call_ids did not have response messages: {waiting}")

    def _message(self, message: Json, waiting: list[str]) -> list[str]:
        """The calls without a result after a message."""
        role = message.get("role")
        if role == "tool":
            known(message, {"role", "content", "tool_call_id"}, "messages")
            id = message.get("tool_call_id")
            need(id in waiting, "messages with role 'tool' must be a response to a preceding message with 'tool_calls'")
            return [each for each in waiting if each != id]
        need(not waiting, f"these tool_call_ids did not have response messages: {waiting}")
        if role != "assistant":
            known(message, {"role", "content", "name"}, "messages")
            need(role in ("system", "developer", "user"), f"Invalid value: {role!r}")
            need(isinstance(message.get("content"), str | list), "Invalid value for 'content': expected a string")
            return []
        own = {"reasoning_content"} if self.open_model else set()
        known(message, {"role", "content", "name", "refusal", "tool_calls", *own}, "messages")
        calls = message.get("tool_calls", [])
        need(calls or isinstance(message.get("content"), str | list), "content: expected a string, got null")
        for call in calls:
            known(call, {"id", "type", "function"}, "tool_calls")
            known(call["function"], {"name", "arguments"}, "tool_calls.function")
            need(call["type"] == "function" and isinstance(call["function"]["arguments"], str), "invalid tool call")
            if self.open_model:
                thought = self.given.get(call["id"])
                text = "The `reasoning_content` in the thinking mode must be passed back to the API."
                need(thought is None or message.get("reasoning_content") == thought, text)
        return [call["id"] for call in calls]

    def answer(self, said: Says, body: Json) -> Json:
        message: Json = {"role": "assistant", "content": said.text, "refusal": None, "annotations": []}
        if said.calls:
            message["tool_calls"] = [
                {"id": id, "type": "function", "function": {"name": name, "arguments": json.dumps(arguments)}}
                for id, name, arguments in said.calls
            ]
        if said.thought is not None and self.open_model:
            message["reasoning_content"] = said.thought
            self.given |= {id: said.thought for id, _, _ in said.calls}
        sent, cached, written, output, reasoning = said.tokens
        reason = "tool_calls" if said.calls and said.end == "stop" else self.finish[said.end]
        return {
            "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m-2026-01-01",
            "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": reason}],
            "usage": {
                "prompt_tokens": sent, "completion_tokens": output, "total_tokens": sent + output,
                "prompt_tokens_details": {"cached_tokens": cached, "cache_write_tokens": written, "audio_tokens": 0},
                "completion_tokens_details": {"reasoning_tokens": reasoning, "audio_tokens": 0},
            },
        }  # fmt: skip

    def refusal(self, text: str) -> Json:
        return {"error": {"message": text, "type": "invalid_request_error", "param": None, "code": None}}


class Responses:
    """OpenAI's Responses with a reasoning model, stateless."""

    path = "/v1/responses"
    failures: ClassVar[Failures] = {
        **Chat.failures,
        "too_long": (400, {"error": {"message": "Your input exceeds the context window of this model.", "code": "x"}}),
    }
    fields: ClassVar[dict[str, set[str]]] = {
        "message": {"type", "id", "role", "content", "status", "phase"},
        "function_call": {"type", "id", "call_id", "name", "arguments", "status"},
        "function_call_output": {"type", "id", "call_id", "output", "status"},
        "reasoning": {"type", "id", "summary", "content", "encrypted_content", "status"},
    }
    parts: ClassVar[dict[str, set[str]]] = {
        "user": {"input_text", "input_image"},
        "developer": {"input_text"},
        "system": {"input_text"},
        "assistant": {"output_text", "refusal"},
    }

    def __init__(self) -> None:
        self.secret = "first"

    def thoughts(self, body: Json) -> list[str]:
        items = [item for item in body["input"] if item.get("type") == "reasoning"]
        return [item["encrypted_content"].split("|")[1] for item in items]

    def check(self, headers: dict[str, str], body: Json) -> None:
        need(headers.get("authorization", "").startswith("Bearer "), "You didn't provide an API key.")
        known(body, {*ResponseCreateParamsBase.__annotations__, "stream"}, "body")
        need(isinstance(body.get("model"), str) and isinstance(body.get("input"), list), "model and input are required")
        need(body.get("store") is False, "stored, though the house wants nothing stored")
        need(body.get("max_output_tokens", 16) >= 16, "Invalid 'max_output_tokens': expected a value >= 16")
        need(not {"temperature", "top_p"} & body.keys(), "Unsupported parameter: not supported with this model.")
        if "reasoning" in body:
            known(body["reasoning"], {"effort", "summary"}, "reasoning")
        for tool in body.get("tools", ()):
            known(tool, {"type", "name", "description", "parameters", "strict"}, "tools")
            need(tool["parameters"].get("type") == "object", "Invalid schema: schema must be of type 'object'")
            closed = tool["parameters"].get("additionalProperties") is False
            need(
                tool.get("strict") is False or closed,
                "'additionalProperties' is required to be supplied and to be false",
            )
        choice = body.get("tool_choice", "auto")
        need(choice in ("auto", "none", "required") or set(choice) == {"type", "name"}, "Invalid 'tool_choice'")
        if "text" in body:
            known(body["text"], {"format", "verbosity"}, "text")
            form = body["text"].get("format", {"type": "text"})
            need(form["type"] != "json_schema" or {"name", "schema"} <= form.keys(), "Missing: 'text.format.name'")
        need(body["input"] or body.get("instructions"), "one of input or instructions must be provided")
        self._items(body["input"])

    def _items(self, items: list[Json]) -> None:
        called: list[str] = []
        answered: list[str] = []
        for index, item in enumerate(items):
            kind = item.get("type", "message")
            need(kind in self.fields, f"Invalid value: {kind!r}")
            known(item, self.fields[kind], f"input[{index}]")
            if kind == "message":
                self._message(item, index)
            elif kind == "function_call":
                need(isinstance(item["arguments"], str) and item["call_id"], f"Missing: 'input[{index}].call_id'")
                called.append(item["call_id"])
            elif kind == "function_call_output":
                text = f"No tool call found for function call output with call_id {item['call_id']}."
                need(item["call_id"] in called, text)
                need(isinstance(item["output"], str | list), "Invalid type for 'output'")
                answered.append(item["call_id"])
            else:
                follower = items[index + 1] if index + 1 < len(items) else {}
                own = follower.get("type") == "function_call" or follower.get("role") == "assistant"
                need(own, f"Item '{item['id']}' of type 'reasoning' was provided without its required following item.")
                seal, thought, _ = (item.get("encrypted_content") or "||").split("|")
                need(seal == digest(self.secret, thought, item["id"]), "The encrypted content could not be verified.")
        missing = [each for each in called if each not in answered]
        need(not missing, f"No tool output found for function call {missing}.")

    def _message(self, item: Json, index: int) -> None:
        need(item["role"] in self.parts, f"Invalid value: {item['role']!r}")
        if isinstance(item["content"], str):
            return
        for part in item["content"]:
            need(part["type"] in self.parts[item["role"]], f"Invalid value: '{part['type']}' in input[{index}].content")
            need(part["type"] != "input_image" or part["image_url"].startswith("data:"), "Invalid 'image_url'")

    def answer(self, said: Says, body: Json) -> Json:
        output: list[Json] = []
        if said.thought is not None:
            id = f"rs_{digest(body['input'])}"
            sealed = f"{digest(self.secret, said.thought, id)}|{said.thought}|"
            output.append({"id": id, "type": "reasoning", "summary": [], "encrypted_content": sealed, "status": None})
        if said.text is not None:
            kind = {"type": "refusal", "refusal": said.text} if said.end == "filter" else {
                "type": "output_text", "text": said.text, "annotations": [], "logprobs": []}  # fmt: skip
            output.append(
                {"id": "msg_1", "type": "message", "status": "completed", "role": "assistant", "content": [kind],
                 "phase": "final_answer"}
            )  # fmt: skip
        for id, name, arguments in said.calls:
            output.append(
                {"id": f"fc_{id}", "type": "function_call", "status": "completed", "call_id": id, "name": name,
                 "arguments": json.dumps(arguments)}
            )  # fmt: skip
        sent, cached, written, tokens, reasoning = said.tokens
        cut = said.end == "length"
        return {
            "id": "resp_1", "object": "response", "created_at": 1.5, "model": "m-2026-01-01", "error": None,
            "status": "incomplete" if cut else "completed",
            "incomplete_details": {"reason": "max_output_tokens"} if cut else None,
            "output": output,
            "usage": {
                "input_tokens": sent, "output_tokens": tokens, "total_tokens": sent + tokens,
                "input_tokens_details": {"cached_tokens": cached, "cache_write_tokens": written},
                "output_tokens_details": {"reasoning_tokens": reasoning},
            },
        }  # fmt: skip

    def refusal(self, text: str) -> Json:
        return {"error": {"message": text, "type": "invalid_request_error", "param": None, "code": None}}


def error(type: str, text: str) -> Json:
    return {"type": "error", "error": {"type": type, "message": text}, "request_id": "req_1"}


class Messages:
    """Anthropic's Messages with a model that thinks, and that takes a thought back only at its own place."""

    path = "/v1/messages"
    failures: ClassVar[Failures] = {
        "rate": (429, error("rate_limit_error", "This request would exceed your rate limit")),
        "overloaded": (529, error("overloaded_error", "Overloaded")),
        "too_long": (400, error("invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum")),
        "bad_key": (401, error("authentication_error", "invalid x-api-key")),
        "no_model": (404, error("not_found_error", "model: m")),
        "no_money": (400, error("invalid_request_error", "Your credit balance is too low to access the API")),
        "bad_request": (400, error("invalid_request_error", "tools.0.input_schema: JSON schema is invalid")),
    }
    finish: ClassVar[dict[str, str]] = {"stop": "end_turn", "length": "max_tokens", "filter": "refusal"}
    fields: ClassVar[dict[str, set[str]]] = {
        "text": {"type", "text", "cache_control"},
        "image": {"type", "source", "cache_control"},
        "tool_use": {"type", "id", "name", "input", "cache_control"},
        "tool_result": {"type", "tool_use_id", "content", "is_error", "cache_control"},
        "thinking": {"type", "thinking", "signature"},
        "redacted_thinking": {"type", "data"},
    }

    def __init__(self) -> None:
        self.secret = "first"

    def thoughts(self, body: Json) -> list[str]:
        blocks = [block for message in body["messages"] for block in message["content"]]
        return [block["thinking"] for block in blocks if block["type"] == "thinking"]

    def check(self, headers: dict[str, str], body: Json) -> None:
        need("x-api-key" in headers or "authorization" in headers, "x-api-key header is required")
        need("anthropic-version" in headers, "anthropic-version: header is required")
        known(body, {*MessageCreateParamsBase.__annotations__, "stream"}, "body")
        need({"model", "messages", "max_tokens"} <= body.keys() and body["messages"], "messages: Field required")
        marks = sum(json.dumps(body.get(part, [])).count('"cache_control"') for part in ("tools", "system", "messages"))
        need(marks <= 4, f"A maximum of 4 blocks with cache_control may be provided. Found {marks}.")
        for tool in body.get("tools", ()):
            known(tool, {"name", "description", "input_schema", "cache_control"}, "tools")
            need(re.fullmatch(r"[a-zA-Z0-9_-]{1,128}", tool["name"]), "tools.0.name: String should match pattern")
            need(tool["input_schema"].get("type") == "object", "tools.0.input_schema.type: Field required")
        need(body.get("tools") or "tool_choice" not in body, "tool_choice may only be specified while providing tools")
        for block in body.get("system", ()):
            self._block(block, "system")
        self._turns(body)
        self._thinking(body)

    def _turns(self, body: Json) -> None:
        waiting: list[str] = []
        for number, turn in enumerate(body["messages"]):
            known(turn, {"role", "content"}, "messages")
            need(turn["role"] == ("user", "assistant")[number % 2], "messages: roles must alternate, the user's first")
            need(turn["content"], f"messages.{number}: all messages must have non-empty content")
            results = 0
            for index, block in enumerate(turn["content"]):
                self._block(block, f"messages.{number}.content.{index}")
                if block["type"] == "tool_result":
                    need(index == results and block["tool_use_id"] in waiting, "unexpected `tool_use_id` found")
                    waiting.remove(block["tool_use_id"])
                    results += 1
            need(not waiting, f"`tool_use` ids were found without `tool_result` blocks immediately after: {waiting}")
            waiting = [block["id"] for block in turn["content"] if block["type"] == "tool_use"]
            need(len(set(waiting)) == len(waiting), "`tool_use` ids must be unique")
            last = turn["content"][-1]["type"]
            need(last not in ("thinking", "redacted_thinking"), "The final block in a message cannot be `thinking`.")
        need(body["messages"][-1]["role"] == "user", "This model does not support assistant message prefill.")

    def _block(self, block: Json, where: str) -> None:
        need(block.get("type") in self.fields, f"{where}: Input tag {block.get('type')!r} does not match")
        known(block, self.fields[block["type"]], where)
        if block["type"] == "text":
            need(block["text"].strip(), f"{where}: text content blocks must contain non-whitespace text")
        if block["type"] == "tool_use":
            need(re.fullmatch(r"[a-zA-Z0-9_-]+", block["id"]), f"{where}.tool_use.id: String should match pattern")
            need(isinstance(block["input"], dict), f"{where}.tool_use.input: Input should be a valid dictionary")
        if block["type"] == "tool_result":
            for part in block.get("content", ()):
                self._block(part, f"{where}.content")

    def _thinking(self, body: Json) -> None:
        wish = body.get("thinking", {"type": "adaptive"})
        if wish["type"] == "enabled":
            fits = 1024 <= wish["budget_tokens"] < body["max_tokens"]
            need(fits, "`max_tokens` must be greater than `thinking.budget_tokens`")
            choice = body.get("tool_choice", {"type": "auto"})["type"]
            need(choice in ("auto", "none"), "Thinking may not be enabled when tool_choice forces tool use.")
            if len(body["messages"]) > 1 and body["messages"][-1]["content"][0]["type"] == "tool_result":
                first = body["messages"][-2]["content"][0]["type"]
                need("thinking" in first, f"Expected `thinking` or `redacted_thinking`, but found `{first}`.")
        for number, turn in enumerate(body["messages"]):
            for index, block in enumerate(turn["content"]):
                if block["type"] == "thinking":
                    seal = self._seal(body, number, block["thinking"])
                    where = f"messages.{number}.content.{index}: Invalid `signature` in `thinking` block."
                    need(block["signature"] == seal, f"{where} The block is bound to a different conversation.")

    def _seal(self, body: Json, turns: int, thought: str) -> str:
        """A thought's signature: over all that stands before it, cache marks aside."""
        plain = json.loads(
            json.dumps([body.get("system"), body.get("tools"), body["messages"][:turns]]),
            object_hook=lambda value: {name: each for name, each in value.items() if name != "cache_control"},
        )
        return digest(self.secret, plain, thought)

    def answer(self, said: Says, body: Json) -> Json:
        content: list[Json] = []
        if said.thought is not None and body.get("thinking", {}).get("type") != "disabled":
            seal = self._seal(body, len(body["messages"]), said.thought)
            content.append({"type": "thinking", "thinking": said.thought, "signature": seal})
        if said.text is not None:
            content.append({"type": "text", "text": said.text, "citations": None})
        content += [{"type": "tool_use", "id": id, "name": name, "input": given} for id, name, given in said.calls]
        sent, cached, written, output, reasoning = said.tokens
        return {
            "id": "msg_1", "type": "message", "role": "assistant", "model": "m", "stop_sequence": None,
            "stop_reason": "tool_use" if said.calls and said.end == "stop" else self.finish[said.end],
            "content": content,
            "usage": {
                "input_tokens": sent - cached - written, "cache_read_input_tokens": cached,
                "cache_creation_input_tokens": written, "output_tokens": output,
                "cache_creation": {"ephemeral_5m_input_tokens": written, "ephemeral_1h_input_tokens": 0},
                "output_tokens_details": {"thinking_tokens": reasoning}, "service_tier": "standard",
            },
        }  # fmt: skip

    def refusal(self, text: str) -> Json:
        return error("invalid_request_error", text)


@dataclass
class Service:
    """A real HTTP server in a thread that speaks one format; it says its script in turn, the last again and again."""

    wire: Chat | Responses | Messages
    script: list[Says | Fails] = field(default_factory=lambda: [Says("hello")])
    bodies: list[Json] = field(default_factory=list)
    """The requests that were taken."""
    refused: list[str] = field(default_factory=list)
    """Why others were not."""

    def __post_init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._runner = asyncio.run_coroutine_threadsafe(self._start(), self._loop).result()

    @property
    def url(self) -> str:
        """The base URL, with the version."""
        return f"http://127.0.0.1:{self._runner.addresses[0][1]}/v1"

    def says(self, *script: Says | Fails) -> None:
        self.script = list(script)

    def close(self) -> None:
        asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _start(self) -> web.ServerRunner:
        runner = web.ServerRunner(web.Server(self._answer, access_log=None), shutdown_timeout=0.5)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return runner

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.path != self.wire.path:
            return self._json(404, self.wire.refusal(f"Invalid URL (POST {request.path})"))
        body = json.loads(await request.content.read())
        try:
            self.wire.check({name.lower(): value for name, value in request.headers.items()}, body)
        except RefusedError as refusal:
            self.refused.append(str(refusal))
            return self._json(400, self.wire.refusal(str(refusal)))
        self.bodies.append(body)
        said = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        if isinstance(said, Says):
            return self._json(200, self.wire.answer(said, body))
        if said.how in self.wire.failures:
            status, failure = self.wire.failures[said.how]
            return self._json(status, failure, dict(said.headers))
        return await self._broken(said.how, request, body)

    async def _broken(self, how: str, request: web.BaseRequest, body: Json) -> web.StreamResponse:
        whole = json.dumps(self.wire.answer(Says("hello"), body)).encode()
        if how == "reset":
            assert request.transport is not None
            request.transport.abort()
        if how == "hang":
            await asyncio.sleep(3600)
        shapes: dict[str, Callable[[], web.Response]] = {
            "html": lambda: web.Response(
                body=b"<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>",
                status=502,
                content_type="text/html",
            ),
            "truncated": lambda: web.Response(body=whole[: len(whole) // 2], content_type="application/json"),
            "empty": lambda: web.Response(body=b"", content_type="application/json"),
            "reset": lambda: web.Response(),
        }
        return shapes[how]()

    def _json(self, status: int, body: Json, headers: dict[str, str] | None = None) -> web.Response:
        return web.Response(
            body=json.dumps(body).encode(), status=status, headers=headers, content_type="application/json"
        )
