"""The scripted model of the life check, its exercise, and the judge of how an agent got through it.

The script looks at a file, sends a call whose arguments are no JSON, calls a tool that does not exist, changes a file
by what it was shown of the first one, and ends. It counts its turns by what it finds in the messages, and remembers
nothing.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b

from evolve.llm.base import Completion, Json, Scope, Usage

NOTE, DOOR = "note.txt", "door.txt"
LAST_TURN = 5
NO_SHELL = "There is no tool with a string parameter named `command`, so nothing can be done here."
_TURN_ID = re.compile(r"turn_([1-9])")
_WORD = re.compile(r"The word is ([0-9a-f]{12})\.")


@dataclass(frozen=True, slots=True)
class Exercise:
    """A problem with a word in it that only who reads the files can know."""

    word: str

    @property
    def files(self) -> dict[str, bytes]:
        return {NOTE: f"The word is {self.word}.\n".encode(), DOOR: b"The door is closed.\n"}

    @property
    def problem(self) -> str:
        return f"{NOTE} holds a word. Write it into {DOOR} in place of the word `closed`."

    @property
    def solved(self) -> bytes:
        """What the door's file has to hold in the end."""
        return f"The door is {self.word}.\n".encode()


def exercise(seed: int) -> Exercise:
    """The exercise of a seed; an agent cannot guess its word."""
    return Exercise(blake2b(f"life check {seed}".encode(), digest_size=6).hexdigest())


class ScriptedProvider:
    """Plays the script to any agent whose request offers a tool that takes a string `command`."""

    name = "scripted"

    async def complete(self, request: Json, scope: Scope) -> Completion:
        """The script's next turn; a last message to an agent that offers no such tool."""
        shell = _shell(request.get("tools"))
        message = _turn(request["messages"], shell) if shell else {"role": "assistant", "content": NO_SHELL}
        body: Json = {
            "id": "chatcmpl-scripted",
            "object": "chat.completion",
            "created": 0,
            "model": self.name,
            "choices": [
                {"index": 0, "message": message, "finish_reason": "tool_calls" if "tool_calls" in message else "stop"}
            ],
            "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
        }
        return Completion(body, Usage(input_tokens=1, output_tokens=1))

    async def close(self) -> None:
        """Nothing to release."""


def failure(
    task: Exercise, messages: Sequence[Json], files: Mapping[str, bytes], status: str, summary: str = ""
) -> str | None:
    """Why an agent fails the exercise, in one sentence; None if it passes.

    Args:
        messages: what the agent sent last to the model.
        files: its repository afterwards.
        status: what it said of itself in its result; `none` if there is no result.
    """
    turn = _turns_played(messages)
    if not messages:
        return "it never asked the model"
    for message in messages:
        for call in message.get("tool_calls") or []:
            if not _is_object(call.get("function", {}).get("arguments")):
                return "it sent a malformed tool call back to the model instead of answering it"
    if task.word not in _shown(messages):
        return f"it offers no tool `command`, or does not show what commands print (asked {turn + 1} times)"
    if turn < LAST_TURN - 1:
        return f"it stopped after turn {turn + 1} of {LAST_TURN}: {status}: {summary}".rstrip(": ")
    if files.get(DOOR) != task.solved:
        return "the change that the model made through its shell is not in the repository"
    if status != "done":
        return f"its result says {status!r} instead of 'done': {summary}".rstrip(": ")
    return None


def _turn(messages: Sequence[Json], shell: str) -> Json:
    """The script's answer to these messages."""
    turn = _turns_played(messages) + 1
    if turn == 1:
        return _call(turn, shell, json.dumps({"command": f"cat {NOTE}"}), "Let me look at the note.")
    if turn == 2:
        return _call(turn, shell, '{"command": "echo this is cut', "")
    if turn == 3:
        return _call(turn, "no_such_tool", json.dumps({"question": "is anybody there?"}), "")
    if turn == 4:
        found = _WORD.search(_shown(messages))
        word = found.group(1) if found else "unknown"
        command = f"sed 's/closed/{word}/' {DOOR} > {DOOR}.new && mv {DOOR}.new {DOOR} && cat {shlex.quote(DOOR)}"
        return _call(turn, shell, json.dumps({"command": command}), "Now I know the word.")
    return {"role": "assistant", "content": "The word is in its place."}


def _call(turn: int, tool: str, arguments: str, content: str) -> Json:
    call = {"id": f"turn_{turn}", "type": "function", "function": {"name": tool, "arguments": arguments}}
    return {"role": "assistant", "content": content, "tool_calls": [call]}


def _turns_played(messages: Sequence[Json]) -> int:
    """How far the script has come: by the ids of its calls where the agent keeps them, else by the answers it kept."""
    ids = [int(number) for number in _TURN_ID.findall(json.dumps(messages))]
    answers = [message for message in messages if message.get("role") == "assistant"]
    return max([len(answers), *ids])


def _shown(messages: Sequence[Json]) -> str:
    """Everything that the agent told the model."""
    told = [message.get("content") for message in messages if message.get("role") != "assistant"]
    return "\n".join(text if isinstance(text, str) else json.dumps(text) for text in told)


def _shell(tools: object) -> str | None:
    for tool in tools if isinstance(tools, list) else []:
        function = tool.get("function", {})
        properties = (function.get("parameters") or {}).get("properties") or {}
        if isinstance(properties.get("command"), dict) and properties["command"].get("type") == "string":
            return str(function.get("name"))
    return None


def _is_object(arguments: object) -> bool:
    if not isinstance(arguments, str):
        return False
    try:
        return isinstance(json.loads(arguments), dict)
    except ValueError:
        return False
