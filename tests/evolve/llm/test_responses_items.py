"""The translation between chat completions and OpenAI's Responses, checked against the official SDK's types."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.responses import Response, response_create_params

from evolve.llm import ModelError, Usage
from evolve.llm.responses_items import PASSED_ON, from_response, to_responses, usage_of

USER = {"role": "user", "content": "hi"}
SYSTEM = {"role": "system", "content": "be good"}


def translate(*messages: dict[str, Any], **more: Any) -> dict[str, Any]:
    return to_responses({"model": "m", "max_tokens": 100, "messages": list(messages), **more})


def call(id: str, arguments: str = "{}", name: str = "bash") -> dict[str, Any]:
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}


def test_a_short_conversation() -> None:
    assert translate(SYSTEM, USER) == {
        "model": "m",
        "instructions": "be good",
        "input": [{"role": "user", "content": "hi"}],
        "max_output_tokens": 100,
        "store": False,
        "include": ["reasoning.encrypted_content"],
    }


def test_calls_and_results_are_items_of_their_own() -> None:
    answer = {"role": "assistant", "content": "two", "tool_calls": [call("a", '{"x": 1}'), call("b")]}
    results: list[dict[str, Any]] = [
        {"role": "tool", "tool_call_id": "a", "content": "ok"},
        {"role": "tool", "tool_call_id": "b", "content": [{"type": "text", "text": "part"}]},
    ]
    assert translate(USER, answer, *results)["input"] == [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": "two"},
        {"type": "function_call", "call_id": "a", "name": "bash", "arguments": '{"x": 1}'},
        {"type": "function_call", "call_id": "b", "name": "bash", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "a", "output": "ok"},
        {"type": "function_call_output", "call_id": "b", "output": [{"type": "input_text", "text": "part"}]},
    ]


def test_system_messages_stay_where_they_are_but_at_the_start() -> None:
    body = translate(SYSTEM, {"role": "developer", "content": "and kind"}, USER, SYSTEM)
    assert body["instructions"] == "be good\n\nand kind"
    assert body["input"] == [{"role": "user", "content": "hi"}, {"role": "developer", "content": "be good"}]
    assert translate(SYSTEM) | {"input": []} == translate(SYSTEM), "nothing but a system message"


def test_pictures_and_parts() -> None:
    content = [{"type": "text", "text": "see"}, {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}}]
    assert translate({"role": "user", "content": content})["input"][0]["content"] == [
        {"type": "input_text", "text": "see"},
        {"type": "input_image", "image_url": "data:image/png;base64,AA", "detail": "auto"},
    ]


def test_tools_are_not_strict_unless_they_say_so() -> None:
    tools = [
        {"type": "function", "function": {"name": "a", "description": "d", "parameters": {"properties": {"x": {}}}}},
        {"type": "function", "function": {"name": "b", "strict": True}},
    ]
    body = translate(USER, tools=tools, tool_choice={"type": "function", "function": {"name": "a"}})
    assert body["tools"] == [
        {
            "type": "function", "name": "a", "description": "d", "strict": False,
            "parameters": {"type": "object", "properties": {"x": {}}},
        },
        {"type": "function", "name": "b", "strict": True, "parameters": {"type": "object", "properties": {}}},
    ]  # fmt: skip
    assert body["tool_choice"] == {"type": "function", "name": "a"}
    assert translate(USER, tools=tools, tool_choice="required")["tool_choice"] == "required"
    assert "tool_choice" not in translate(USER, tool_choice="none")
    assert "parallel_tool_calls" not in translate(USER, parallel_tool_calls=False), "which is for calls only"


def test_effort_format_and_the_settings_own_fields() -> None:
    schema = {"name": "n", "schema": {"type": "object"}, "strict": True}
    body = translate(
        USER,
        reasoning_effort="high",
        reasoning={"summary": "auto", "effort": "low"},
        response_format={"type": "json_schema", "json_schema": schema},
        verbosity="low",
        service_tier="flex",
        stop="END",
        seed=3,
        presence_penalty=1.0,
    )
    assert body["reasoning"] == {"summary": "auto", "effort": "high"}
    assert body["text"] == {"verbosity": "low", "format": {"type": "json_schema", **schema}}
    assert body["service_tier"] == "flex" and not {"stop", "seed", "presence_penalty"} & body.keys()
    json_mode = translate(USER, response_format={"type": "json_object"})
    assert json_mode["text"] == {"format": {"type": "json_object"}}


@pytest.mark.parametrize(
    ("messages", "more"),
    [
        ([USER], {"max_tokens": 15}),
        ([USER], {"response_format": {"type": "json_schema"}}),
        ([USER], {"response_format": {"type": "grammar"}}),
        ([{"role": "tool", "content": "of which call?"}], {}),
    ],
)
def test_what_has_no_counterpart_is_the_agents_matter(messages: list[dict[str, Any]], more: dict[str, Any]) -> None:
    with pytest.raises(ModelError) as caught:
        translate(*messages, **more)
    assert (caught.value.kind, caught.value.status) == ("refused", 400)


def test_every_field_sent_is_one_of_the_sdk() -> None:
    known = response_create_params.ResponseCreateParamsBase.__annotations__.keys()
    assert known >= PASSED_ON
    assert translate(SYSTEM, USER, reasoning_effort="low", verbosity="low").keys() <= known


REASONING: dict[str, Any] = {
    "id": "rs_1", "type": "reasoning", "summary": [], "encrypted_content": "sealed", "content": None, "status": None,
}  # fmt: skip
TEXT: dict[str, Any] = {
    "id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "phase": "commentary",
    "content": [{"type": "output_text", "text": "I look", "annotations": []}],
}  # fmt: skip
CALL: dict[str, Any] = {
    "id": "fc_1", "type": "function_call", "call_id": "call_1", "name": "bash", "arguments": '{"x": 1}',
    "status": "completed", "caller": None,
}  # fmt: skip


def response(*output: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "id": "resp_1", "object": "response", "created_at": 7.5, "model": "m-1", "status": "completed", "error": None,
        "incomplete_details": None, "output": list(output), "parallel_tool_calls": True, "tools": [],
        "tool_choice": "auto", **more,
    }  # fmt: skip


def test_the_answers_of_these_tests_are_the_sdks() -> None:
    parsed = Response.model_validate(response(REASONING, TEXT, CALL))
    assert parsed.output_text == "I look"


def test_an_answer_with_reasoning_text_and_a_call() -> None:
    body = from_response(response(REASONING, TEXT, CALL))
    message = body["choices"][0]["message"]
    assert (body["id"], body["created"], body["choices"][0]["finish_reason"]) == ("resp_1", 7, "tool_calls")
    assert message["content"] == "I look" and message["tool_calls"] == [call("call_1", '{"x": 1}')]
    back = translate(USER, message)["input"][1:]
    assert back == [
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "sealed"},
        {name: TEXT[name] for name in ("type", "id", "role", "content", "status", "phase")},
        {name: CALL[name] for name in ("type", "id", "call_id", "name", "arguments", "status")},
    ], "as it came, without what only answers have"


def test_reasoning_that_was_not_given_is_not_given_back() -> None:
    open_items = [{**REASONING, "encrypted_content": None}, TEXT]
    message = from_response(response(*open_items))["choices"][0]["message"]
    assert [item["type"] for item in translate(USER, message)["input"][1:]] == ["message"]
    only = from_response(response(REASONING, status="incomplete"))["choices"][0]["message"]
    assert only == {"role": "assistant", "content": ""}, "nothing came after it, so it cannot be sent again"


@pytest.mark.parametrize(
    ("more", "output", "reason", "content"),
    [
        ({}, [TEXT], "stop", "I look"),
        ({"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}, [TEXT], "length", "I look"),
        ({"status": "incomplete", "incomplete_details": {"reason": "content_filter"}}, [], "content_filter", ""),
        ({"status": "incomplete"}, [CALL], "length", None),
        ({}, [{**TEXT, "content": [{"type": "refusal", "refusal": "I will not"}]}], "content_filter", "I will not"),
        ({}, [], "stop", ""),
        ({}, [{"type": "web_search_call", "id": "ws_1"}, TEXT], "stop", "I look"),
    ],
)
def test_how_an_answer_ends(more: dict[str, Any], output: list[Any], reason: str, content: str | None) -> None:
    choice = from_response(response(*output, **more))["choices"][0]
    assert (choice["finish_reason"], choice["message"]["content"]) == (reason, content)


@pytest.mark.parametrize(
    ("error", "kind", "status"),
    [
        ({"code": "server_error", "message": "sorry"}, "unavailable", 500),
        ({"code": "rate_limit_exceeded", "message": "slow"}, "unavailable", 429),
        ({"code": "invalid_prompt", "message": "no"}, "refused", 400),
        (None, "unavailable", 502),
    ],
)
def test_a_failed_response(error: Any, kind: str, status: int) -> None:
    with pytest.raises(ModelError) as caught:
        from_response(response(status="failed", error=error))
    assert (caught.value.kind, caught.value.status) == (kind, status)


@pytest.mark.parametrize("item", [{"type": "message"}, {"type": "function_call", "name": "x"}, {}, "text", None])
def test_what_is_no_response(item: Any) -> None:
    with pytest.raises(ValueError, match="answer"):
        from_response(response(item))


@pytest.mark.parametrize(
    ("usage", "counted"),
    [
        (
            {
                "input_tokens": 100, "input_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 30},
                "output_tokens": 10, "output_tokens_details": {"reasoning_tokens": 8}, "total_tokens": 110,
            },
            Usage(100, 60, 30, 10, 8),
        ),
        ({"input_tokens": 5, "output_tokens": 2}, Usage(5, 0, 0, 2)),
        ({"input_tokens": 5, "input_tokens_details": {"cached_tokens": 50}}, Usage(5, 5, 0, 0)),
        ({"input_tokens": "5"}, Usage()),
        (None, Usage()),
    ],
)  # fmt: skip
def test_usage(usage: Any, counted: Usage) -> None:
    assert usage_of(usage) == counted
    assert "usage" not in from_response(response(TEXT)) or from_response(response(TEXT))["usage"] is None


TEXTS = st.text(max_size=3)
CONTENTS = st.none() | TEXTS | st.lists(st.builds(lambda text: {"type": "text", "text": text}, TEXTS), max_size=2)
CALLS = st.lists(st.builds(call, st.sampled_from("ab"), st.text(max_size=5)), max_size=2)


@given(st.lists(st.tuples(st.sampled_from(["system", "user", "assistant"]), CONTENTS, CALLS), max_size=6))
def test_nothing_that_was_said_is_lost(said: list[tuple[str, Any, Any]]) -> None:
    messages = [
        {"role": role, "content": content, **({"tool_calls": calls} if role == "assistant" and calls else {})}
        for role, content, calls in said
    ]
    sent = json.dumps(translate(*messages))
    for role, content, calls in said:
        texts = [content] if isinstance(content, str) else [part["text"] for part in content or ()]
        assert all(json.dumps(text)[1:-1] in sent for text in texts)
        if role == "assistant":
            assert all(json.dumps(each["function"]["arguments"]) in sent for each in calls)
