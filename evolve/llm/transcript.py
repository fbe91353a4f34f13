"""The transcript that is believed: what went through the gateway, written by the gateway.

JSON lines, one a call, in the order in which calls ended. A line holds only what the call added to the messages of the
line before (`kept` says how many of those it shares), so a rollout of a hundred steps does not store its first prompt a
hundred times. An agent's own log is only its word; this is the evidence.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from archive import Call
from evolve.llm.base import Json, ModelError
from evolve.llm.jsontext import dumps, loads
from evolve.llm.redact import redact

NAME = "transcript.jsonl"
SIZE_LIMIT = 64 * 1024 * 1024
"""Bytes of a file after which messages are no longer stored: an agent must not be able to fill the host's disk."""


@dataclass(frozen=True, slots=True)
class Event:
    """One model call as it was made."""

    number: int
    """1 for the first call of its writer."""
    at: str
    """ISO time when it ended, UTC."""
    messages: tuple[Json, ...]
    """Everything that was sent, the earlier part included."""
    new: int
    """Index of the first message that the line before did not have."""
    parameters: Json
    """The request's other fields."""
    answer: Json | None
    """The model's message; None if there was none."""
    finish_reason: str | None
    call: Call
    error: str | None
    retried: tuple[str, ...]
    """Why earlier tries failed."""


class Writer:
    """Appends one rollout's calls to `transcript.jsonl` of a folder. One writer a file at a time; not thread-safe."""

    def __init__(self, folder: Path | None) -> None:
        self._path = None if folder is None else folder / NAME
        self._file: BinaryIO | None = None
        self._messages: Sequence[Json] = ()
        self._parameters: Json = {}
        self._number = 0
        self._size = 0

    def write(
        self,
        request: Mapping[str, Any],
        completion: Mapping[str, Any] | None,
        call: Call,
        *,
        at: str,
        error: str | None = None,
        retried: Sequence[str] = (),
    ) -> None:
        if self._path is None:
            return
        messages: list[Json] = request["messages"]
        parameters = {name: value for name, value in request.items() if name not in ("messages", "model")}
        kept = _shared(self._messages, messages)
        self._number += 1
        line: Json = {"event": "call", "number": self._number, "at": at, "kept": kept, "messages": messages[kept:]}
        if self._size > SIZE_LIMIT:
            kept, messages = 0, []
            line |= {"kept": 0, "messages": [], "cut": True}
        if parameters != self._parameters or self._number == 1:
            line["parameters"] = parameters
        choice = completion["choices"][0] if completion else {}
        line["answer"] = choice.get("message")
        line["finish_reason"] = choice.get("finish_reason")
        line["call"] = {name: getattr(call, name) for name in _CALL}
        line |= {"error": error} if error else {}
        line |= {"retried": list(retried)} if retried else {}
        self._append(line)
        self._messages, self._parameters = messages, parameters

    def close(self) -> None:
        """Close the file. Safe to call twice."""
        if self._file is not None:
            with contextlib.suppress(OSError):  # a full disk was told when the line was written
                self._file.close()
            self._file = None

    def _append(self, line: Json) -> None:
        assert self._path is not None
        if self._file is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._path.open("ab")
        self._size += self._file.write(redact(dumps(line).decode()).encode() + b"\n")
        self._file.flush()


def read_transcript(path: Path) -> list[Event]:
    """The calls of a transcript file, their messages made whole again; a torn last line is left out.

    Raises: `ModelError` if there is no such file or another line is not a transcript's.
    """
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(f"the transcript {path} cannot be read: {error}", kind="refused") from None
    return parse_transcript(lines, str(path))


def parse_transcript(lines: Sequence[str], where: str = "transcript") -> list[Event]:
    """As `read_transcript`, from the file's lines (its text split at newlines)."""
    events: list[Event] = []
    messages: tuple[Json, ...] = ()
    parameters: Json = {}
    for number, line in enumerate(lines[:-1], start=1):
        try:
            event = loads(line)
            messages = (*messages[: event["kept"]], *event["messages"])
            parameters = event.get("parameters", parameters)
            events.append(_event(event, messages, parameters))
        except (ValueError, KeyError, TypeError) as error:
            text = f"line {number} of {where} is not a line of a transcript: {error!r}"
            raise ModelError(text, kind="refused") from None
    return events


def render(events: Sequence[Event], limit: int = 20_000) -> str:
    """The calls as plain text for people and models, at most about `limit` characters: the head and the tail are kept.

    Long single messages are cut in their middle first, so that many short ones stay whole.
    """
    share = max(200, limit // 8)
    blocks: list[str] = []
    for event in events:
        # The model's own messages were shown as answers when it gave them.
        told = [message for message in event.messages[event.new :] if message["role"] != "assistant"]
        blocks += [_block(message, share) for message in told]
        blocks.append(f"--- call {event.number}: {_account(event)}")
        if event.answer is not None:
            blocks.append(_block({"role": "assistant", **event.answer}, share))
        elif event.error:
            blocks.append(f"[error] {event.error}")
    return clip("\n\n".join(blocks), limit)


def clip(text: str, limit: int) -> str:
    """`text` with its middle left out if it is longer than `limit` characters."""
    if len(text) <= limit:
        return text
    head = limit // 2
    return f"{text[:head]}\n[… {len(text) - limit} characters left out …]\n{text[len(text) - (limit - head) :]}"


_CALL = ("role", "model", "input_tokens", "cached_tokens", "output_tokens", "usd", "seconds", "retries", "status")


def _event(line: Json, messages: tuple[Json, ...], parameters: Json) -> Event:
    return Event(
        number=line["number"],
        at=line["at"],
        messages=messages,
        new=line["kept"],
        parameters=parameters,
        answer=line["answer"],
        finish_reason=line["finish_reason"],
        call=Call(**line["call"]),
        error=line.get("error"),
        retried=tuple(line.get("retried", ())),
    )


def _shared(before: Sequence[Json], now: Sequence[Json]) -> int:
    shared = 0
    for old, new in zip(before, now, strict=False):
        if old != new:
            break
        shared += 1
    return shared


def _account(event: Event) -> str:
    """What a call was, without its time and retries: a diagnosis reads this, and it must be the same in another run."""
    call = event.call
    status = "ok" if call.status == "replayed" else call.status
    return f"{call.role} on {call.model}, {call.input_tokens} + {call.output_tokens} tokens, ${call.usd:.4f}, {status}"


def _block(message: Mapping[str, Any], share: int) -> str:
    parts = []
    content = message.get("content")
    if isinstance(content, list):
        content = "\n".join(part["text"] if part["type"] == "text" else "[image]" for part in content)
    if content:
        parts.append(clip(content, share))
    for call in message.get("tool_calls") or ():
        function = call["function"]
        parts.append(f"-> {function['name']}({clip(function['arguments'], share)})")
    return f"[{message['role']}] " + "\n".join(parts)
