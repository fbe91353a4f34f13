"""Real-world shaped answers, and what has to be read from each: see cases.toml."""

from __future__ import annotations

import copy
import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from evolve.llm.dialect import EVENTS, read

CASES = tomllib.loads(Path(__file__).with_name("cases.toml").read_text("utf-8"))["case"]


def tool(name: str, required: list[str], **properties: str) -> dict[str, Any]:
    schema = {"type": "object", "properties": {k: {"type": v} for k, v in properties.items()}, "required": required}
    return {"type": "function", "function": {"name": name, "description": f"{name}.", "parameters": schema}}


REQUEST: dict[str, Any] = {
    "messages": [{"role": "user", "content": "Mend it."}],
    "max_tokens": 100,
    "tools": [
        tool("bash", ["command"], command="string"),
        tool("edit", ["path", "new"], path="string", new="string", old="string", first_line="integer"),
        tool("search", ["query"], query="string", limit="integer", deep="boolean", names="array"),
        tool("status", []),
    ],
}


def body_of(case: dict[str, Any]) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": case.get("content")}
    if "reasoning" in case:
        message["reasoning"] = case["reasoning"]
    if "calls" in case:
        message["tool_calls"] = [
            {"id": f"c{i}", "type": "function", "function": {"name": name, "arguments": arguments}}
            for i, (name, arguments) in enumerate(case["calls"])
        ]
    return {"id": "x", "choices": [{"index": 0, "message": message, "finish_reason": case.get("finish", "stop")}]}


def test_there_are_enough_cases_with_names_of_their_own() -> None:
    names = [case["name"] for case in CASES]
    assert len(names) >= 80 and len(set(names)) == len(names)


def test_every_event_is_in_the_documentation() -> None:
    counted = {event for case in CASES for event in case.get("events", ())}
    assert counted <= EVENTS.keys()
    told = (Path(__file__).parents[4] / "docs" / "dialect.md").read_text("utf-8")
    assert [f"| `{event}` | {meaning} |" for event, meaning in EVENTS.items()] == [
        line for line in told.splitlines() if line.startswith("| `")
    ]


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case["name"]))
def test_it_is_read_as_it_should_be(case: dict[str, Any]) -> None:
    body = body_of(case)
    before = copy.deepcopy(body)
    reading = read(body, REQUEST, case.get("protocol", "tools"))
    assert body == before, "the provider's answer is on record as it came"
    choice = reading.body["choices"][0]
    calls = choice["message"].get("tool_calls") or []
    assert [(call["function"]["name"], _plain(call["function"]["arguments"])) for call in calls] == [
        (name, _expected(wanted)) for name, wanted in case.get("want", ())
    ]
    assert sorted(reading.events) == sorted(case.get("events", ()))
    assert (reading.broken is not None) is ("broken" in case), reading.broken
    assert case.get("broken", "") in (reading.broken or "")
    if "left" in case:
        assert choice["message"]["content"] == case["left"]
    ids = [call["id"] for call in calls]
    assert all(ids) and len(set(ids)) == len(ids)


def _plain(arguments: str) -> object:
    """Arguments as an object where they are one."""
    try:
        return json.loads(arguments)
    except ValueError:
        return arguments


def _expected(wanted: Any) -> object:
    """TOML has no null."""
    if isinstance(wanted, dict):
        return {name: None if value == "null" else value for name, value in wanted.items()}
    return _plain(wanted)
