"""The offline model behind the interface of every other provider: a request comes in, an answer goes out."""

from __future__ import annotations

import asyncio
import json
from hashlib import blake2b

from evolve.llm.base import Completion, Json, ModelError, Scope, Usage
from evolve.llm.offline.diagnosis import diagnose
from evolve.llm.offline.engineer import Mood, Step, next_step
from evolve.llm.offline.hands import hands_of
from evolve.llm.offline.notes import take_notes

CONTEXT_TOKENS = 24576
"""Length of the model's context. Small, so that an agent's way with long conversations matters here too."""
CHARACTERS_A_TOKEN = 4
DEFAULT_TEMPERATURE = 1.0


class OfflineProvider:
    """A seeded program-repair model: no language model, no network, no keys.

    It reads the messages, the tools and the parameters of a request, and of the scope only the seed. It remembers
    nothing between calls; the same request with the same seed has the same answer.
    """

    name = "offline"

    async def complete(self, request: Json, scope: Scope) -> Completion:
        """Answer one request, in another thread: reading a long conversation takes some milliseconds.

        Raises: `ModelError` of the kinds `context_length` and `refused`.
        """
        return await asyncio.to_thread(answer, request, scope.seed)

    async def close(self) -> None:
        """Nothing to release."""


def answer(request: Json, seed: int) -> Completion:
    """The answer to a request, a pure function. Raises: `ModelError`."""
    messages, tools = request.get("messages"), request.get("tools") or []
    if not isinstance(messages, list) or not messages or not all(isinstance(message, dict) for message in messages):
        raise ModelError("the request holds no messages", kind="refused", status=400)
    read = tokens(messages) + tokens(tools)
    if read > CONTEXT_TOKENS:
        text = f"the messages and tools have {read} tokens, the model's context {CONTEXT_TOKENS}"
        raise ModelError(text, kind="context_length", status=400)
    temperature = request.get("temperature")
    mood = Mood(seed, float(temperature) if isinstance(temperature, int | float) else DEFAULT_TEMPERATURE)
    if tools:
        hands = hands_of(tools)
        step = next_step(take_notes(messages, hands), hands, mood)
        if request.get("parallel_tool_calls") is False:
            step = Step(step.text, step.calls[:1])
    else:
        step = Step(diagnose(messages, mood.seed, mood.temperature))
    return _completion(request, step, read)


def tokens(value: object) -> int:
    """A count that is honest and simple: a token for every four characters of the JSON text."""
    return -(-len(json.dumps(value, ensure_ascii=False)) // CHARACTERS_A_TOKEN)


def _completion(request: Json, step: Step, read: int) -> Completion:
    """The answer in the format of chat completions, cut where the request wants it cut."""
    messages = request["messages"]
    unique = blake2b(repr((len(messages), step)).encode("utf-8", "surrogatepass"), digest_size=6).hexdigest()
    calls = [
        {
            "id": f"call_{unique}_{i}",
            "type": "function",
            "function": {"name": call.name, "arguments": json.dumps(call.arguments)},
        }
        for i, call in enumerate(step.calls)
    ]
    content, written = step.text, tokens([step.text, calls])
    limit = request.get("max_completion_tokens") or request.get("max_tokens")
    finish = "tool_calls" if calls else "stop"
    if isinstance(limit, int) and written > limit:
        content, calls, written, finish = content[: limit * CHARACTERS_A_TOKEN], [], limit, "length"
    message: Json = {"role": "assistant", "content": content}
    if calls:
        message["tool_calls"] = calls
    body = {
        "id": f"chatcmpl-{unique}",
        "object": "chat.completion",
        "created": 0,
        "model": request.get("model", OfflineProvider.name),
        "choices": [{"index": 0, "message": message, "finish_reason": finish}],
        "usage": {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written},
    }
    return Completion(body, Usage(input_tokens=read, output_tokens=written))
