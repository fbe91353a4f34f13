"""What is sent for a history that servers would refuse as it is."""

from __future__ import annotations

import json
from typing import Any

from evolve.llm.dialect import prepare
from evolve.llm.dialect.history import NO_ANSWER, NO_RESULT

USER = {"role": "user", "content": "Mend it."}


def call(id: str, arguments: str = '{"command": "ls"}', name: str = "bash") -> dict[str, Any]:
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}


def asked(*calls: dict[str, Any], content: str = "") -> dict[str, Any]:
    return {"role": "assistant", "content": content, "tool_calls": list(calls)}


def told(id: str, content: str = "ok") -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": id, "content": content}


def sent(*messages: dict[str, Any]) -> tuple[list[dict[str, Any]], list[str]]:
    prepared = prepare({"messages": [USER, *messages], "max_tokens": 9}, "tools")
    assert prepared.request["messages"][0] is USER
    return prepared.request["messages"][1:], list(prepared.events)


def test_a_history_in_order_is_sent_as_it_is() -> None:
    history = [asked(call("a"), call("b")), told("a"), told("b"), {"role": "assistant", "content": "Done."}, USER]
    assert sent(*history) == (history, [])
    assert sent(asked(call("a"), call("b")), told("b"), told("a"))[1] == [], "results in another order are results"


def test_arguments_that_are_no_object_are_never_sent_back() -> None:
    for broken in ('{"command": "ls', "ls", "[]", "", "null", '{"a": NaN}', "{" * 9999):
        messages, events = sent(asked(call("a", broken)), told("a"))
        assert messages[0]["tool_calls"][0]["function"] == {"name": "bash", "arguments": "{}"}
        assert events == ["arguments_emptied"]


def test_ids_are_made_unique_with_their_results() -> None:
    one, two = [asked(call("")), told("", "one")], [asked(call("x")), told("x", "two")]
    three = [asked(call("x"), call("")), told("x", "three"), told("", "four")]
    messages, events = sent(*one, *two, *three)
    ids = [each["id"] for message in messages for each in message.get("tool_calls", ())]
    results = {message["tool_call_id"]: message["content"] for message in messages if message["role"] == "tool"}
    assert len(set(ids)) == 4 and [results[id] for id in ids] == ["one", "two", "three", "four"]
    assert ids[1] == "x" and all(len(id) == 9 and id.isalnum() for id in ids if id != "x")
    assert events == ["ids_renewed"] * 3


def test_a_call_without_a_result_gets_one() -> None:
    messages, events = sent(asked(call("a"), call("b")), told("a"), USER)
    assert messages[2] == {"role": "tool", "tool_call_id": "b", "content": NO_RESULT} and messages[3] == USER
    assert events == ["result_missing"]
    assert sent(asked(call("a")))[1] == ["result_missing"], "at the end as well"


def test_a_result_without_a_call_becomes_words_of_the_user() -> None:
    messages, events = sent(told("lost", "42 files"), asked(call("a")), told("a"), told("a", "again"))
    assert messages[0]["role"] == "user" and "42 files" in messages[0]["content"]
    assert messages[3]["role"] == "user" and "again" in messages[3]["content"]
    assert events == ["result_orphaned"] * 2
    parts = [{"type": "text", "text": "seen"}]
    (message,), _ = sent({"role": "tool", "tool_call_id": "lost", "content": parts})
    assert message["content"][1:] == parts


def test_a_turn_with_nothing_in_it_gets_a_few_words() -> None:
    for empty in ({"content": ""}, {"content": None}, {}, {"content": "", "tool_calls": []}):
        messages, events = sent({"role": "assistant", **empty}, USER)
        assert messages[0] == {"role": "assistant", "content": NO_ANSWER} and events == ["turn_filled"]
    assert sent({"role": "assistant", "content": "Hm.", "tool_calls": []})[0] == [
        {"role": "assistant", "content": "Hm."}
    ]


def test_the_agents_own_messages_stay_as_they_are() -> None:
    history = [asked(call("", "broken")), told("")]
    before = json.dumps(history)
    sent(*history)
    assert json.dumps(history) == before
