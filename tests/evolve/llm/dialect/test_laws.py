"""What holds for every input: nothing that was cut is completed, and plain text is read as it was written."""

from __future__ import annotations

import copy
import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evolve.llm.base import ToolProtocol
from evolve.llm.dialect import EVENTS, again, prepare, read
from evolve.llm.dialect.arguments import parse

CASES = tomllib.loads(Path(__file__).with_name("cases.toml").read_text("utf-8"))["case"]
ANSWERS = [
    (case.get("protocol", "tools"), case["content"]) for case in CASES if case.get("content") and case.get("want")
]
# Before its end comes, thinking without a beginning is like any other text.
TEXTS = [each for each in ANSWERS if "<think>" in each[1] or "</think>\n```" not in each[1]]

LEAVES = st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.text(max_size=12)
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner), max_leaves=6
)
OBJECTS = st.dictionaries(st.text(max_size=6), VALUES, max_size=4)

COMMAND: dict[str, Any] = {"type": "object", "properties": {"command": {"type": "string"}}, "required": ["command"]}
EDIT: dict[str, Any] = {
    "type": "object",
    "properties": {**{name: {"type": "string"} for name in ("path", "old", "new")}, "first_line": {"type": "integer"}},
    "required": ["path", "new"],
}
SEARCH: dict[str, Any] = {
    "type": "object",
    "properties": {"query": {"type": "string"}, "limit": {"type": "integer"}, "deep": {"type": "boolean"}, "names": {}},
    "required": ["query"],
}
SCHEMAS = {"bash": COMMAND, "edit": EDIT, "search": SEARCH, "status": {"type": "object", "properties": {}}}
TOOLS = [{"type": "function", "function": {"name": name, "parameters": each}} for name, each in SCHEMAS.items()]
REQUEST: dict[str, Any] = {"messages": [{"role": "user", "content": "Mend it."}], "max_tokens": 100, "tools": TOOLS}


def answer(content: str, finish: str = "stop") -> dict[str, Any]:
    message = {"role": "assistant", "content": content}
    return {"choices": [{"index": 0, "message": message, "finish_reason": finish}]}


def valid_calls(body: dict[str, Any]) -> list[tuple[str, Any]]:
    """The calls of an answer that an agent would carry out."""
    found = []
    for call in body["choices"][0]["message"].get("tool_calls") or ():
        try:
            found.append((call["function"]["name"], json.loads(call["function"]["arguments"])))
        except ValueError:
            continue
    return found


@given(OBJECTS)
def test_json_is_read_as_it_is(value: dict[str, Any]) -> None:
    parsed = parse(json.dumps(value))
    assert parsed.value == value and not parsed.repaired


@given(
    st.dictionaries(
        st.text(st.characters(codec="ascii", min_codepoint=32), max_size=6), st.text(max_size=9), max_size=3
    )
)
def test_what_python_prints_is_read_or_refused_but_never_changed(value: dict[str, str]) -> None:
    try:
        parsed = parse(repr(value))
    except ValueError:
        return
    assert parsed.value == value or "\\" in repr(value)


@given(OBJECTS, st.booleans(), st.data())
def test_an_object_that_was_cut_is_never_completed(value: dict[str, Any], python: bool, data: st.DataObject) -> None:
    text = repr(value) if python else json.dumps(value)
    cut = text[: data.draw(st.integers(1, len(text) - 1))]
    with pytest.raises(ValueError):
        parse(cut)


@pytest.mark.parametrize(("protocol", "text"), TEXTS)
def test_an_answer_that_breaks_off_anywhere_gives_no_other_call(protocol: ToolProtocol, text: str) -> None:
    """Whatever prefix of it arrives, and whatever the server says about its end: the same call, or none."""
    wanted = valid_calls(read(answer(text), REQUEST, protocol).body)
    for length in range(len(text)):
        for finish in ("stop", "length"):
            got = valid_calls(read(answer(text[:length], finish), REQUEST, protocol).body)
            assert got == wanted[: len(got)], text[:length]


MARKS = st.sampled_from(
    [
        *("<tool_call>", "</tool_call>", "<function=bash>", "</function>", "<parameter=command>", "</parameter>"),
        *(
            "[TOOL_CALLS]",
            '{"name": "bash", "arguments": {"command": "ls"}}',
            "<think>",
            "</think>",
            "```bash\n",
            "```\n",
        ),
        *(
            "<|channel|>commentary to=functions.bash<|message|>",
            '<invoke name="bash">',
            "</invoke>",
            "<<EOF\n",
            "EOF\n",
        ),
        *("\n", "ls", " ", "{", "}", '"', "'", "`"),
    ]
)


@settings(max_examples=100)
@given(
    st.lists(MARKS, max_size=12).map("".join),
    st.sampled_from(["tools", "fenced"]),
    st.sampled_from(["stop", "length", None]),
)
def test_any_answer_can_be_read(text: str, protocol: ToolProtocol, finish: str) -> None:
    body = answer(text, finish)
    before = copy.deepcopy(body)
    reading = read(body, REQUEST, protocol)
    assert body == before and set(reading.events) <= EVENTS.keys()
    for name, arguments in valid_calls(reading.body):
        assert name in SCHEMAS and set(SCHEMAS[name].get("required", ())) <= arguments.keys()
    if finish == "length":
        assert reading.broken is None, "the same request would be cut at the same place"
    if reading.broken is not None:
        noted = again(prepare(REQUEST, protocol).request, reading.body, reading.broken)
        assert reading.broken.rstrip(".") in noted["messages"][-1]["content"]
        assert len(noted["messages"]) == len(prepare(REQUEST, protocol).request["messages"])


LINES = st.lists(
    st.sampled_from(
        ["ls", "cat > a.md <<'EOF'", "EOF", "```", "```python", "````", "~~~", "", "  x = 1", "echo 'a << b'", "{"]
    )
    | st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=8),
    min_size=1,
    max_size=6,
)


@given(
    LINES.map("\n".join),
    st.text(st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="`~<[{"), max_size=20),
)
def test_plain_text_is_read_back_as_it_was_sent(command: str, said: str) -> None:
    """A call that was read is sent with the next request as it was written, so that it reads the same."""
    first = read(answer(f"{said}\n\n````bash\n{command}\n````"), REQUEST, "fenced")
    message = first.body["choices"][0]["message"]
    if not valid_calls(first.body):
        return
    history = [
        *REQUEST["messages"],
        message,
        {"role": "tool", "tool_call_id": message["tool_calls"][0]["id"], "content": "ok"},
    ]
    sent = prepare({**REQUEST, "messages": history}, "fenced").request["messages"]
    second = read(answer(sent[-2]["content"]), REQUEST, "fenced").body["choices"][0]["message"]
    assert (second["content"], second["tool_calls"]) == (message["content"], message["tool_calls"])


TURNS = st.lists(
    st.tuples(
        st.sampled_from(["bash", "edit", "nothing", "text"]),
        st.text(max_size=10),
        st.sampled_from(['{"command": "ls"}', '{"path": "a", "new": "```\\nb"}', "{}", "not json", ""]),
        st.sampled_from(["id1", "id2", ""]),
        st.booleans(),
    ),
    max_size=6,
)


def conversation(turns: list[tuple[str, str, str, str, bool]]) -> list[list[dict[str, Any]]]:
    """The histories that an agent sends, one longer than the other."""
    messages: list[dict[str, Any]] = [{"role": "system", "content": "S"}, {"role": "user", "content": "P"}]
    histories = [list(messages)]
    for kind, text, arguments, id, nudged in turns:
        if kind == "text":
            messages += [{"role": "assistant", "content": text}, {"role": "user", "content": "Go on."}]
        else:
            call = {"id": id, "type": "function", "function": {"name": kind, "arguments": arguments}}
            messages.append({"role": "assistant", "content": text, "tool_calls": [call]})
            messages.append({"role": "tool", "tool_call_id": id, "content": text})
            messages += [{"role": "user", "content": "Faster."}] if nudged else []
        histories.append(list(messages))
    return histories


@given(TURNS, st.sampled_from(["tools", "fenced"]))
def test_what_was_sent_once_is_sent_the_same_again(turns: Any, protocol: ToolProtocol) -> None:
    """So that a prompt cache finds it."""
    before: list[dict[str, Any]] = []
    for history in conversation(turns):
        given_messages = copy.deepcopy(history)
        prepared = prepare({**REQUEST, "messages": history}, protocol)
        assert history == given_messages and set(prepared.events) <= EVENTS.keys()
        sent = prepared.request["messages"]
        assert sent[: len(before)] == before
        before = sent
        assert in_order(sent)


def in_order(messages: list[dict[str, Any]]) -> bool:
    """Whether servers take it: every call with one result right behind it, objects as arguments, ids used once."""
    ids: list[str] = []
    waiting: list[str] = []
    for message in messages:
        if message["role"] == "tool":
            waiting.remove(message["tool_call_id"])
            continue
        if waiting:
            return False
        for call in message.get("tool_calls") or ():
            assert isinstance(json.loads(call["function"]["arguments"]), dict)
            waiting.append(call["id"])
            ids.append(call["id"])
        assert message["content"] or message.get("tool_calls")
    return not waiting and len(set(ids)) == len(ids) and all(ids)
