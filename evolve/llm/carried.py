"""What a model thought, kept on the host between the calls of a rollout and put back where the agent replays the turn.

Agents speak plain chat completions: they never see hidden reasoning and cannot return it. Models want it back all the
same: Anthropic's with their tool calls, OpenAI's as items with encrypted content, DeepSeek's and other open models' as
`reasoning_content` or `reasoning`, OpenRouter's as `reasoning_details`, Gemini's as a signature on a call. So a
provider leaves it in the message of its answer, in one of the fields `HIDDEN`; here it is taken off before the agent
gets the message, and put on again when the same message of the same model stands in a history. It is part of the
request then: its size is reserved for, and a recorded call replays with it.

Some services accept what they gave only at the very place where they gave it, and refuse the whole request otherwise
(Anthropic signs a thinking block together with all that stands before it). Such a thing says so (`carried.bound`), and
is put back only where everything before it is as it was. DeepSeek, on the other hand, refuses a history in which the
words before a call are missing, so those come back with the call, whatever an agent has changed besides.
"""

from __future__ import annotations

import json
import re
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any

from evolve.llm.base import Json, ModelError
from evolve.llm.jsontext import dumps

WORDS = ("reasoning", "reasoning_content", "reasoning_details", "thinking_blocks")
"""Fields of an assistant's message in which services with chat completions tell what the model thought."""
HIDDEN = ("carried", *WORDS)
"""Fields that agents do not see. `carried` is ours: what has no place in chat completions."""
BYTES = 16 * 1024 * 1024
"""What one rollout keeps; what was kept or used longest ago goes first."""
BLAMED = re.compile(r"reasoning|thinking|thought|signature|encrypted.content", re.IGNORECASE)
"""In a service's refusal: it may be about what we put back."""


class Carried:
    """One rollout's hidden reasoning. Belongs to one event loop."""

    def __init__(self, limit: int = BYTES) -> None:
        self._limit = limit
        self._kept: OrderedDict[str, tuple[Json, int]] = OrderedDict()
        self._size = 0
        self._bound = False
        """Whether anything bound to its place was ever kept; only then is it worth its time to compute places."""

    def restored(self, request: Json, label: str) -> Json:
        """The request with what `label`'s model thought put back into its messages."""
        if not self._kept:
            return request
        place = _Place(request) if self._bound else None
        messages: list[Json] = []
        for message in request["messages"]:
            if message.get("role") == "assistant":
                message = {**message, **self._of(message, label, place)}
            messages.append(message)
            if place is not None:
                place.passed(message)
        return {**request, "messages": messages}

    def keep(self, request: Json, label: str, message: Mapping[str, Any]) -> None:
        """Remember what is hidden in an answer to `request`, which is the request as it was sent."""
        words = {name: message[name] for name in WORDS if message.get(name) is not None}
        if "reasoning_details" in words:
            words.pop("reasoning", None)  # the same once more, as OpenRouter shows it to people
        if words:
            self._put(_turn(message, label), words)
        carried = message.get("carried")
        if carried is None:
            return
        digest = ""
        if carried.get("bound"):
            self._bound = True
            place = _Place(request)
            for each in request["messages"]:
                place.passed(each)
            digest = place.digest
        self._put(_exact_turn(message, label, digest), {"carried": carried})

    def _put(self, key: str, hidden: Json) -> None:
        self._drop(key)
        self._kept[key] = hidden, len(dumps(hidden))
        self._size += self._kept[key][1]
        while self._size > self._limit:
            self._drop(next(iter(self._kept)))

    def _of(self, message: Json, label: str, place: _Place | None) -> Json:
        keys = [_turn(message, label), _exact_turn(message, label, "")]
        if place is not None:
            keys.append(_exact_turn(message, label, place.digest))
        hidden: Json = {}
        for key in keys:
            if key in self._kept:
                self._kept.move_to_end(key)
                hidden |= self._kept[key][0]
        return hidden

    def _drop(self, key: str) -> None:
        if key in self._kept:
            self._size -= self._kept.pop(key)[1]


def visible(body: Json) -> Json:
    """An answer's body as the agent gets it."""
    choice = body["choices"][0]
    if not any(name in choice["message"] for name in HIDDEN):
        return body
    return {**body, "choices": [{**choice, "message": _bare(choice["message"])}, *body["choices"][1:]]}


def bare(request: Json) -> Json:
    """A request without anything hidden in its messages."""
    return {**request, "messages": [_bare(message) for message in request["messages"]]}


def is_blamed(error: ModelError, request: Json) -> bool:
    """Whether a refusal may be about the hidden things in `request`: then it is worth asking without them."""
    if error.kind != "refused" or error.status not in (400, 404, 422) or not BLAMED.search(str(error)):
        return False
    return any(name in message for message in request["messages"] for name in HIDDEN)


class _Place:
    """A running digest of everything that stands before a turn."""

    def __init__(self, request: Json) -> None:
        # System messages wherever they stand: a format may have one place for all of them, before everything else.
        system = [message for message in request["messages"] if message["role"] in ("system", "developer")]
        self._hash = blake2b(dumps([request.get("tools"), system]), digest_size=16)

    @property
    def digest(self) -> str:
        return self._hash.hexdigest()

    def passed(self, message: Json) -> None:
        self._hash.update(dumps(message))


def _bare(message: Json) -> Json:
    return {name: value for name, value in message.items() if name not in HIDDEN}


def _turn(message: Mapping[str, Any], label: str) -> str:
    """A turn is the same if its calls are, whatever has become of its words; without calls it is known by its words."""
    ids = [call["id"] for call in message.get("tool_calls") or ()]
    return blake2b(dumps([label, ids or _text(message.get("content"))]), digest_size=16).hexdigest()


def _exact_turn(message: Mapping[str, Any], label: str, place: str) -> str:
    """What comes back in place of a turn must say the same; that its arguments were written anew does not matter."""
    calls: Sequence[Json] = message.get("tool_calls") or ()
    said = [[call["id"], call["function"]["name"], _arguments(call["function"]["arguments"])] for call in calls]
    turn = dumps([label, place, _text(message.get("content")), said])
    return blake2b(turn, digest_size=16).hexdigest()


def _text(content: object) -> str:
    if isinstance(content, list):
        return "".join(str(part.get("text", "")) for part in content if isinstance(part, dict)).strip()
    return content.strip() if isinstance(content, str) else ""


def _arguments(text: str) -> str:
    try:
        return json.dumps(json.loads(text), sort_keys=True)
    except (ValueError, RecursionError):
        return text
