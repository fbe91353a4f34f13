"""The scripted model and its judge: the script against agents of many habits, and what it says about each."""

from __future__ import annotations

import asyncio
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from evolve.llm import Json, Scope
from evolve.llm.scripted import DOOR, Exercise, ScriptedProvider, exercise, failure

TOOLS = [
    {"type": "function", "function": {"name": "look", "parameters": {"properties": {"path": {"type": "string"}}}}},
    {"type": "function", "function": {"name": "sh", "parameters": {"properties": {"command": {"type": "string"}}}}},
]


def ask(messages: list[Json], tools: list[Json] | None = None) -> Json:
    request = {"model": "exercise", "messages": messages, "tools": TOOLS if tools is None else tools}
    completion = asyncio.run(ScriptedProvider().complete(request, Scope("life")))
    message: Json = completion.body["choices"][0]["message"]
    return message


class Agent:
    """A plain agent; its faults are given by name."""

    def __init__(self, folder: Path, *faults: str) -> None:
        self.folder, self.faults = folder, faults
        self.sent: list[Json] = []

    def work(self, task: Exercise) -> str | None:
        for name, content in task.files.items():
            (self.folder / name).write_bytes(content)
        history: list[Json] = [{"role": "user", "content": task.problem}]
        status = "done"
        for _ in range(8):
            self.sent = json.loads(json.dumps(history))
            message = ask(history)
            if "tool_calls" not in message:
                break
            history += self.turn(message)
            if "stops early" in self.faults:
                status = "gave_up"
                break
        if "says error" in self.faults:
            status = "error"
        files = {path.name: path.read_bytes() for path in self.folder.iterdir()}
        return failure(task, self.sent, files, status, "so it went")

    def turn(self, message: Json) -> list[Json]:
        call = message["tool_calls"][0]
        try:
            arguments = json.loads(call["function"]["arguments"])
        except ValueError:
            arguments = None
            if "replays" not in self.faults:
                call["function"]["arguments"] = "{}"
        text = "error"
        if arguments and call["function"]["name"] == "sh" and "does nothing" not in self.faults:
            command = arguments["command"]
            if "edits nothing" not in self.faults or "sed" not in command:
                done = subprocess.run(
                    ["sh", "-c", command], cwd=self.folder, capture_output=True, text=True, check=False
                )
                text = done.stdout + done.stderr
        if "hides output" in self.faults:
            text = "done"
        if "new ids" in self.faults:
            call["id"] = "x"
        if "tells as user" in self.faults:
            return [{"role": "assistant", "content": "calling"}, {"role": "user", "content": f"It printed: {text}"}]
        return [message, {"role": "tool", "tool_call_id": call["id"], "content": text}]


@pytest.mark.parametrize("habit", ["", "new ids", "tells as user"])
def test_agents_of_all_good_habits_pass(tmp_path: Path, habit: str) -> None:
    assert Agent(tmp_path, habit).work(exercise(7)) is None


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        ("hides output", "does not show what commands print"),
        ("does nothing", "does not show what commands print"),
        ("edits nothing", "is not in the repository"),
        ("replays", "sent a malformed tool call back"),
        ("stops early", "does not show what"),
        ("says error", "its result says 'error' instead of 'done': so it went"),
    ],
)
def test_each_fault_is_named(tmp_path: Path, fault: str, why: str) -> None:
    verdict = Agent(tmp_path, fault).work(exercise(7))
    assert verdict is not None
    assert why in verdict


def test_an_agent_that_never_asks_fails() -> None:
    assert failure(exercise(1), [], {}, "done") == "it never asked the model"


def test_an_agent_that_stops_in_the_middle_fails() -> None:
    task = exercise(3)
    shown: list[Json] = [
        {"role": "assistant", "content": "", "tool_calls": [{"id": "turn_1", "function": {"arguments": "{}"}}]},
        {"role": "tool", "content": task.files["note.txt"].decode()},
    ]
    verdict = failure(task, shown, {DOOR: task.solved}, "gave_up", "tired")
    assert verdict == "it stopped after turn 2 of 5: gave_up: tired"


def test_the_word_is_in_the_file_alone_and_differs_from_seed_to_seed() -> None:
    assert exercise(1) == exercise(1)
    assert exercise(1).word != exercise(2).word
    assert exercise(1).word not in exercise(1).problem


@pytest.mark.parametrize("tools", [[], [TOOLS[0]]])
def test_an_agent_without_a_shell_is_sent_away(tools: list[Json]) -> None:
    messages: list[Json] = [{"role": "user", "content": "hello"}]
    assert "tool_calls" not in ask(messages, tools)
    assert "offers no tool `command`" in str(failure(exercise(1), messages, {}, "done"))


def test_the_same_messages_have_the_same_answer() -> None:
    messages: list[Any] = [{"role": "user", "content": "hello"}]
    assert ask(messages) == ask(messages)
