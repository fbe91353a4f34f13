"""The translation between chat completions and Messages."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from anthropic.types import Message
from hypothesis import given
from hypothesis import strategies as st

from evolve.llm import ModelError, Usage
from evolve.llm.anthropic_messages import EMPTY, from_message, to_messages, usage_of
from evolve.llm.carried import visible

MARK = {"cache_control": {"type": "ephemeral"}}


def request(*messages: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"model": "claude", "max_tokens": 100, "messages": list(messages), **more}


def translate(*messages: dict[str, Any], **more: Any) -> dict[str, Any]:
    return dict(to_messages(request(*messages, **more)))


def call(id: str, arguments: str = "{}", name: str = "bash") -> dict[str, Any]:
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}


SYSTEM = {"role": "system", "content": "be good"}
USER = {"role": "user", "content": "hi"}


def test_a_short_conversation() -> None:
    assert translate(SYSTEM, USER, temperature=0.5, top_p=0.9, stop="END", seed=3) == {
        "model": "claude",
        "max_tokens": 100,
        "system": [{"type": "text", "text": "be good", **MARK}],
        "messages": [{"role": "user", "content": [{"type": "text", "text": "hi", **MARK}]}],
        "stop_sequences": ["END"],
    }


def test_tool_calls_and_their_results_merge_into_single_turns() -> None:
    turns = translate(
        USER,
        {"role": "assistant", "content": "two at once", "tool_calls": [call("a", '{"command": "ls"}'), call("b")]},
        {"role": "tool", "tool_call_id": "a", "content": "a.py"},
        {"role": "tool", "tool_call_id": "b", "content": ""},
        {"role": "user", "content": "hurry"},
        {"role": "user", "content": "please"},
        {"role": "assistant", "content": "yes"},
        {"role": "assistant", "content": "done"},
    )["messages"]
    assert [turn["role"] for turn in turns] == ["user", "assistant", "user", "assistant"]
    assert turns[1]["content"] == [
        {"type": "text", "text": "two at once"},
        {"type": "tool_use", "id": "a", "name": "bash", "input": {"command": "ls"}},
        {"type": "tool_use", "id": "b", "name": "bash", "input": {}},
    ]
    assert turns[2]["content"] == [
        {"type": "tool_result", "tool_use_id": "a", "content": [{"type": "text", "text": "a.py"}]},
        {"type": "tool_result", "tool_use_id": "b"},
        {"type": "text", "text": "hurry"},
        {"type": "text", "text": "please", **MARK},
    ]
    assert turns[3]["content"] == [{"type": "text", "text": "yes"}, {"type": "text", "text": "done", **MARK}]


def test_results_come_first_in_their_turn() -> None:
    turns = translate(
        USER,
        {"role": "assistant", "content": None, "tool_calls": [call("a")]},
        {"role": "user", "content": "wait"},
        {"role": "tool", "tool_call_id": "a", "content": "late"},
    )["messages"]
    assert [block["type"] for block in turns[2]["content"]] == ["tool_result", "text"]


@pytest.mark.parametrize("text", ["", "  \n", None])
def test_nothing_is_empty(text: str | None) -> None:
    turns = translate({"role": "user", "content": text}, {"role": "assistant", "content": text})["messages"]
    assert [turn["content"][0]["text"] for turn in turns] == [EMPTY, EMPTY]


def test_a_conversation_starts_with_the_user() -> None:
    turns = translate({"role": "assistant", "content": "I begin"}, USER)["messages"]
    assert [turn["role"] for turn in turns] == ["user", "assistant", "user"]


def picture(url: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}}


def test_images_as_data_urls() -> None:
    content = [{"type": "text", "text": "see"}, picture("data:image/png;base64,iVBORw0KGgo=")]
    turns = translate({"role": "user", "content": content})["messages"]
    assert turns[0]["content"][1] == {
        "type": "image",
        "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="},
        **MARK,
    }


@pytest.mark.parametrize(
    "body",
    [
        request({"role": "user", "content": [picture("data:image/svg+xml;base64,AA==")]}),
        request({"role": "user", "content": [picture("data:image/png,plain")]}),
        request({"role": "tool", "content": "of which call?"}),
        request(USER, response_format={"type": "json_object"}),
    ],
)
def test_what_has_no_counterpart_is_the_agents_matter(body: dict[str, Any]) -> None:
    with pytest.raises(ModelError) as caught:
        to_messages(body)
    assert (caught.value.kind, caught.value.status) == ("refused", 400)


@pytest.mark.parametrize("arguments", ['{"command": ', "[1]", '"ls"', ""])
def test_malformed_arguments_of_the_history_keep_their_words(arguments: str) -> None:
    turns = translate(USER, {"role": "assistant", "content": None, "tool_calls": [call("a", arguments)]})["messages"]
    assert turns[1]["content"][0]["input"] == {"malformed_arguments": arguments}


def test_tools_and_their_choice() -> None:
    tools = [
        {"type": "function", "function": {"name": "a", "description": "d", "parameters": {"properties": {"x": {}}}}},
        {"type": "function", "function": {"name": "b"}},
    ]
    params = translate(USER, tools=tools)
    assert params["tools"] == [
        {"name": "a", "description": "d", "input_schema": {"type": "object", "properties": {"x": {}}}},
        {"name": "b", "input_schema": {"type": "object", "properties": {}}},
    ]
    one = {"type": "function", "function": {"name": "a"}}
    choices: list[tuple[dict[str, Any], dict[str, Any]]] = [
        ({}, {"type": "auto"}),
        ({"tool_choice": "auto", "parallel_tool_calls": False}, {"type": "auto", "disable_parallel_tool_use": True}),
        ({"tool_choice": "required"}, {"type": "any"}),
        ({"tool_choice": "none"}, {"type": "none"}),
        ({"tool_choice": one}, {"type": "tool", "name": "a"}),
    ]
    for said, choice in choices:
        assert translate(USER, tools=tools, **said)["tool_choice"] == choice
    assert "tool_choice" not in translate(USER, tool_choice="none")


def test_effort_schema_and_the_settings_own_fields() -> None:
    schema = {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}}
    params = translate(USER, reasoning_effort="low", response_format=schema, thinking={"type": "adaptive"}, seed=1)
    assert params["output_config"] == {"effort": "low", "format": {"type": "json_schema", "schema": {"type": "object"}}}
    assert params["thinking"] == {"type": "adaptive"}
    assert "seed" not in params


def any_message(role: str, content: Any, calls: list[dict[str, Any]]) -> dict[str, Any]:
    message = {"role": role, "content": content}
    if role == "tool":
        message["tool_call_id"] = "a"
    if role == "assistant" and calls:
        message["tool_calls"] = calls
    return message


TEXTS = st.text(max_size=3)
CONTENTS = st.none() | TEXTS | st.lists(st.builds(lambda text: {"type": "text", "text": text}, TEXTS), max_size=2)
CALLS = st.lists(st.builds(call, st.sampled_from("ab"), st.text(max_size=5)), max_size=2)
MESSAGES = st.lists(
    st.builds(any_message, st.sampled_from(["system", "user", "assistant", "tool"]), CONTENTS, CALLS), max_size=8
)


@given(MESSAGES)
def test_turns_always_alternate_and_are_never_empty(messages: list[dict[str, Any]]) -> None:
    params = translate(*messages)
    turns = params["messages"]
    assert [turn["role"] for turn in turns] == [("user", "assistant")[index % 2] for index in range(len(turns))]
    blocks = [block for turn in turns for block in turn["content"]] + params.get("system", [])
    assert all(turn["content"] for turn in turns)
    assert all(block["text"].strip() for block in blocks if block["type"] == "text")
    marks = [block for block in blocks if "cache_control" in block]
    assert bool(turns) + ("system" in params) <= len(marks) <= 4
    assert not turns or "cache_control" in turns[-1]["content"][-1]
    json.dumps(params)


def message(*content: dict[str, Any], stop: str = "end_turn", **usage: Any) -> Message:
    return Message.model_validate(
        {
            "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-x", "content": list(content),
            "stop_reason": stop, "stop_sequence": None,
            "usage": {"input_tokens": 10, "output_tokens": 5, **usage},
        }
    )  # fmt: skip


THOUGHT: dict[str, Any] = {"type": "thinking", "thinking": "secret thought", "signature": "sig"}
HIDDEN_THOUGHT: dict[str, Any] = {"type": "redacted_thinking", "data": "opaque"}
USE: dict[str, Any] = {"type": "tool_use", "id": "toolu_1", "name": "bash", "input": {"command": "ls"}}


def test_an_answer_with_thinking_text_and_tools() -> None:
    said = {"type": "text", "text": "I look"}
    body = from_message(message(THOUGHT, said, USE, {**USE, "id": "toolu_2"}, stop="tool_use"))
    choice = body["choices"][0]
    assert choice["finish_reason"] == "tool_calls" and choice["message"]["content"] == "I look"
    calls = [(each["id"], json.loads(each["function"]["arguments"])) for each in choice["message"]["tool_calls"]]
    assert calls == [("toolu_1", {"command": "ls"}), ("toolu_2", {"command": "ls"})]
    assert "secret thought" not in json.dumps(visible(body)), "the agent does not see it"


def test_a_turn_with_thinking_goes_back_block_by_block() -> None:
    blocks = [HIDDEN_THOUGHT, THOUGHT, {"type": "text", "text": "I look"}, USE]
    answer = from_message(message(*blocks[:3], {"type": "text", "text": " "}, USE))["choices"][0]["message"]
    turns = translate(USER, answer, {"role": "tool", "tool_call_id": "toolu_1", "content": "a.py"})["messages"]
    assert turns[1]["content"] == blocks, "in their order, without the empty text, which the format does not allow"


def test_a_turn_cut_off_within_a_thought_is_not_sent_again() -> None:
    answer = from_message(message(THOUGHT, stop="max_tokens"))["choices"][0]["message"]
    assert answer == {"role": "assistant", "content": ""}


BUDGET = {"type": "enabled", "budget_tokens": 2048}
TOOLS = [{"type": "function", "function": {"name": "bash"}}]
RESULT = {"role": "tool", "tool_call_id": "toolu_1", "content": "a.py"}
WITH_THOUGHT = {
    "role": "assistant",
    "content": None,
    "tool_calls": [call("toolu_1")],
    "carried": {"kind": "anthropic", "bound": True, "blocks": [THOUGHT, USE]},
}
WITHOUT = {"role": "assistant", "content": None, "tool_calls": [call("toolu_1")]}


@pytest.mark.parametrize(
    ("messages", "more", "sent"),
    [
        ([USER], {"max_tokens": 4096}, BUDGET),
        ([USER], {"max_tokens": 2000}, {"type": "enabled", "budget_tokens": 1999}),
        ([USER], {"max_tokens": 1024}, None),
        ([USER], {"max_tokens": 4096, "tools": TOOLS, "tool_choice": "required"}, None),
        ([USER], {"max_tokens": 4096, "tools": TOOLS, "tool_choice": "auto"}, BUDGET),
        ([USER, WITH_THOUGHT, RESULT], {"max_tokens": 4096}, BUDGET),
        ([USER, WITHOUT, RESULT], {"max_tokens": 4096}, None),
        ([USER, WITHOUT, RESULT, USER], {"max_tokens": 4096}, None),
    ],
)
def test_a_thinking_budget_gives_way_where_the_service_would_refuse_it(
    messages: list[dict[str, Any]], more: dict[str, Any], sent: dict[str, Any] | None
) -> None:
    assert translate(*messages, thinking=BUDGET, **more).get("thinking") == sent


def test_thinking_without_a_budget_is_sent_as_it_is() -> None:
    adaptive = {"type": "adaptive", "display": "omitted"}
    assert translate(USER, WITHOUT, RESULT, thinking=adaptive, max_tokens=10)["thinking"] == adaptive


@pytest.mark.parametrize(("asked", "sent"), [("none", "low"), ("minimal", "low"), ("low", "low"), ("max", "max")])
def test_efforts_are_said_in_the_services_words(asked: str, sent: str) -> None:
    assert translate(USER, reasoning_effort=asked)["output_config"] == {"effort": sent}


def rounds(count: int, calls: int) -> list[dict[str, Any]]:
    """A conversation of so many turns by the model, each with so many calls, and all their results."""
    messages: list[dict[str, Any]] = [SYSTEM, USER]
    for number in range(count):
        ids = [f"{number}-{each}" for each in range(calls)]
        messages.append({"role": "assistant", "content": None, "tool_calls": [call(id) for id in ids]})
        messages += [{"role": "tool", "tool_call_id": id, "content": "ok"} for id in ids]
    return messages


def prefixes(params: dict[str, Any], *, marked: bool) -> list[str]:
    """A digest of everything up to each block of the messages, marks left out; `marked`: up to each marked block."""
    seen = hashlib.sha256()
    found = []
    for turn in params["messages"]:
        for block in turn["content"]:
            plain = {name: value for name, value in block.items() if name != "cache_control"}
            seen.update(json.dumps([turn["role"], plain]).encode())
            if "cache_control" in block or not marked:
                found.append(seen.hexdigest())
    return found


@given(st.integers(0, 4), st.integers(1, 30))
def test_the_next_call_finds_what_the_one_before_has_cached(count: int, calls: int) -> None:
    """The service compares at most 20 blocks before each mark with what it has cached."""
    before, after = translate(*rounds(count, calls)), translate(*rounds(count + 1, calls))
    every = prefixes(after, marked=False)
    looked_at = {each for mark in prefixes(after, marked=True) for each in every[max(0, every.index(mark) - 20) :][:21]}
    assert prefixes(before, marked=True)[-1] in looked_at
    assert sum("cache_control" in block for turn in after["messages"] for block in turn["content"]) <= 3


def test_an_empty_answer_is_an_empty_text() -> None:
    assert from_message(message())["choices"][0]["message"] == {"role": "assistant", "content": ""}


@pytest.mark.parametrize(
    ("stop", "finish"),
    [("end_turn", "stop"), ("stop_sequence", "stop"), ("max_tokens", "length"), ("tool_use", "tool_calls"),
     ("refusal", "content_filter"), ("pause_turn", "stop"), ("model_context_window_exceeded", "length")],
)  # fmt: skip
def test_stop_reasons(stop: str, finish: str) -> None:
    assert from_message(message(stop=stop))["choices"][0]["finish_reason"] == finish


def test_usage_counts_the_cache_as_part_of_the_prompt() -> None:
    told = message(cache_read_input_tokens=100, cache_creation_input_tokens=30)
    assert usage_of(told) == Usage(140, 100, 30, 5)
    assert from_message(told)["usage"] == {
        "prompt_tokens": 140,
        "completion_tokens": 5,
        "total_tokens": 145,
        "prompt_tokens_details": {"cached_tokens": 100},
        "completion_tokens_details": {"reasoning_tokens": 0},
    }
    assert usage_of(message(cache_read_input_tokens=None)) == Usage(10, 0, 0, 5)


def test_usage_tells_thinking_and_writes_of_every_lifetime() -> None:
    by_life = {"ephemeral_5m_input_tokens": 20, "ephemeral_1h_input_tokens": 12}
    told = message(cache_creation=by_life, output_tokens_details={"thinking_tokens": 4})
    assert usage_of(told) == Usage(42, 0, 32, 5, 4)
    both = message(cache_creation_input_tokens=32, cache_creation=by_life)
    assert usage_of(both) == Usage(42, 0, 32, 5), "the parts are not counted twice"
