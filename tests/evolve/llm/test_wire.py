"""What an agent may send, and how it is answered."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolve.llm.wire import (
    DEPTH_LIMIT,
    IMAGE_TOKENS,
    TEMPLATE_TOKENS,
    TOOL_PROMPT_TOKENS,
    RequestError,
    answer_body,
    clean,
    estimate,
    parse,
    stream_of,
)

USER = {"role": "user", "content": "hi"}
PIXEL = "data:image/png;base64,iVBORw0KGgo="


def body(**fields: Any) -> dict[str, Any]:
    return {"model": "solve", "messages": [USER], **fields}


def test_a_plain_request_passes_with_its_tokens_capped() -> None:
    tools = [{"type": "function", "function": {"name": "bash", "parameters": {"type": "object"}, "description": None}}]
    request = clean(body(tools=tools, temperature=0.5, n=10000, stream=True, max_tokens=10**7, seed=None), 4096)
    assert request == {
        "messages": [USER],
        "tools": [{"type": "function", "function": {"name": "bash", "parameters": {"type": "object"}}}],
        "temperature": 0.5,
        "max_tokens": 4096,
    }


@pytest.mark.parametrize(
    ("fields", "limit"),
    [({}, 50), ({"max_tokens": 7}, 7), ({"max_completion_tokens": 9}, 9), ({"max_tokens": None}, 50)],
)
def test_the_cap_is_the_smallest_of_what_was_said(fields: dict[str, Any], limit: int) -> None:
    assert clean(body(**fields), 50)["max_tokens"] == limit


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"store": True}, "unknown_field"),
        ({"background": True}, "unknown_field"),
        ({"service_tier": "priority"}, "unknown_field"),
        ({"web_search_options": {}}, "unknown_field"),
        ({"mcp_servers": [{"url": "http://x"}]}, "unknown_field"),
        ({"logprobs": True}, "unknown_field"),
        ({"best_of": 10}, "unknown_field"),
        ({"extra_body": {}}, "unknown_field"),
        ({"functions": []}, "unknown_field"),
        ({"tools": [{"type": "web_search"}]}, "tool_type"),
        ({"tools": [{"type": "code_interpreter", "container": {}}]}, "tool_type"),
        ({"tools": [{"type": "mcp", "server_url": "http://x"}]}, "tool_type"),
        ({"tools": [{"type": "function", "function": {"name": "f"}, "server_url": "http://x"}]}, "unknown_field"),
        ({"tools": [{"type": "function", "function": {"name": "f", "url": "http://x"}}]}, "unknown_field"),
        ({"tools": {"type": "function"}}, "invalid_value"),
        ({"tool_choice": {"type": "web_search"}}, "invalid_value"),
        ({"tool_choice": {"type": "function", "function": {"name": "f", "x": 1}}}, "invalid_value"),
        ({"max_tokens": 0}, "invalid_value"),
        ({"max_tokens": "many"}, "invalid_value"),
        ({"max_tokens": True}, "invalid_value"),
        ({"messages": []}, "invalid_value"),
        ({"messages": None}, "invalid_value"),
        ({"messages": ["hi"]}, "invalid_value"),
        ({"messages": [{"role": "wizard", "content": "hi"}]}, "invalid_value"),
        ({"messages": [{"role": "user", "content": 3}]}, "invalid_value"),
        ({"messages": [{"role": "user", "content": "x", "cache": 1}]}, "unknown_field"),
        ({"messages": [{"role": "assistant", "content": "x", "function_call": {"name": "f"}}]}, "unknown_field"),
        ({"messages": [{"role": "assistant", "tool_calls": [{"type": "mcp", "id": "1"}]}]}, "invalid_value"),
        ({"messages": [{"role": "user", "content": [{"type": "file", "file": {"file_id": "x"}}]}]}, "invalid_value"),
        ({"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]}, "invalid_value"),
    ],
)
def test_what_is_not_allowed_by_name_is_refused(fields: dict[str, Any], code: str) -> None:
    with pytest.raises(RequestError) as caught:
        clean(body(**fields), 100)
    assert (caught.value.status, caught.value.code) == (400, code)
    assert caught.value.body["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    "url",
    [
        "http://host/a.png",
        "https://host/a.png",
        "file:///etc/passwd",
        "HTTP://x",
        " data:image/png",
        "data:text/html,x",
    ],
)
def test_nothing_is_fetched_from_an_address(url: str) -> None:
    content = [{"type": "image_url", "image_url": {"url": url}}]
    with pytest.raises(RequestError) as caught:
        clean(body(messages=[{"role": "user", "content": content}]), 100)
    assert caught.value.code == "remote_url"


def test_a_history_as_client_libraries_send_it_back_passes() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "bash", "arguments": '{"command": '}, "index": 0}
    echoed = {
        "role": "assistant",
        "content": None,
        "refusal": "no",
        "reasoning": "of its own making",
        "reasoning_content": "of its own making",
        "annotations": [],
        "audio": None,
        "tool_calls": [call],
    }
    image = {"type": "image_url", "image_url": {"url": PIXEL, "detail": "high"}}
    messages = [
        USER,
        echoed,
        {"role": "tool", "tool_call_id": "c1", "content": [{"type": "text", "text": "no"}, image]},
    ]
    cleaned = clean(body(messages=messages), 100)["messages"]
    assert cleaned[1]["tool_calls"][0]["function"]["arguments"] == '{"command": ', (
        "malformed arguments stay as they are"
    )
    assert set(cleaned[1]) == {"role", "content", "tool_calls"}
    assert cleaned[2]["content"][1] == {"type": "image_url", "image_url": {"url": PIXEL}}


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"[]",
        b'"x"',
        b"\xff\xfe",
        b'{"a": NaN}',
        b"[" * 100_000,
        b'{"a":' + b"[" * 80 + b"]" * 80 + b"}",
        b"1" * 9999,
    ],
)
def test_what_is_not_a_json_object_is_refused(raw: bytes) -> None:
    with pytest.raises(RequestError) as caught:
        parse(raw)
    assert caught.value.code == "invalid_json"


def test_nesting_up_to_the_limit_passes() -> None:
    deep: Any = "end"
    for _ in range(DEPTH_LIMIT - 2):
        deep = [deep]
    assert parse(json.dumps({"a": deep}).encode())


def test_lone_surrogates_are_replaced_because_they_cannot_be_sent_on() -> None:
    parsed = parse(b'{"a": ["x\\udc80y", {"\\ud800": "\\ud83d\\ude00"}]}')
    assert parsed == {"a": ["x\ufffdy", {"\ufffd": "\U0001f600"}]}


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(), lambda v: st.lists(v) | st.dictionaries(st.text(), v)
    )
)
def test_no_json_breaks_the_check(value: Any) -> None:
    for fields in (
        {"messages": value},
        {"messages": [value]},
        {"tools": value},
        {"tools": [value]},
        {"tool_choice": value},
    ):
        try:
            cleaned = clean(body(**fields), 100)
        except RequestError:
            continue
        assert cleaned["max_tokens"] == 100
    try:
        parse(json.dumps({"a": value}).encode())
    except RequestError as error:
        assert "nested" in str(error)


def test_the_estimate_counts_text_by_bytes_and_images_flat() -> None:
    short = estimate(clean(body(messages=[{"role": "user", "content": "x" * 3000}]), 10))
    assert 1000 <= short - TEMPLATE_TOKENS <= 1020
    assert estimate(clean(body(messages=[{"role": "user", "content": "語" * 3000}]), 10)) >= 3000
    picture = [{"type": "image_url", "image_url": {"url": PIXEL + "A" * 900_000}}, {"type": "text", "text": "y" * 300}]
    pictured = estimate(clean(body(messages=[{"role": "user", "content": picture}]), 10))
    assert IMAGE_TOKENS + 100 <= pictured - TEMPLATE_TOKENS <= IMAGE_TOKENS + 140
    tools = [{"type": "function", "function": {"name": "f", "description": "d" * 3000}}]
    assert estimate(clean(body(tools=tools), 10)) > 1000 + TOOL_PROMPT_TOKENS


COMPLETION = {
    "id": "c",
    "created": 5,
    "model": "secret-model",
    "system_fingerprint": "fp",
    "provider": "someone",
    "choices": [
        {
            "message": {
                "role": "assistant",
                "content": "on it",
                "tool_calls": [
                    {"id": "1", "type": "function", "function": {"name": "bash", "arguments": "{bad"}},
                    {"id": "2", "type": "function", "function": {"name": "edit", "arguments": "{}"}},
                ],
            },
            "finish_reason": "tool_calls",
        },
        {"message": {"role": "assistant", "content": "second choice"}},
    ],
    "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
}


def test_an_answer_shows_the_role_and_nothing_of_the_model() -> None:
    answer = answer_body(COMPLETION, "solve")
    assert answer["model"] == "solve" and len(answer["choices"]) == 1
    assert set(answer) == {"id", "object", "created", "model", "choices", "usage"}


@pytest.mark.parametrize("include_usage", [True, False])
def test_a_stream_puts_together_the_whole_answer(include_usage: bool) -> None:
    events = stream_of(answer_body(COMPLETION, "solve"), include_usage=include_usage).decode().split("\n\n")
    assert events[-2:] == ["data: [DONE]", ""]
    chunks = [json.loads(event.removeprefix("data: ")) for event in events[:-2]]
    deltas = [choice["delta"] for chunk in chunks for choice in chunk["choices"]]
    assert "".join(delta.get("content", "") for delta in deltas) == "on it"
    calls = [call for delta in deltas for call in delta.get("tool_calls", [])]
    assert [(call["index"], call["function"]["arguments"]) for call in calls] == [(0, "{bad"), (1, "{}")]
    assert [c["finish_reason"] for chunk in chunks for c in chunk["choices"]][-1] == "tool_calls"
    assert ("usage" in chunks[-1]) is include_usage
