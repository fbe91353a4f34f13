"""What a model sees of its tools, its calls and their results in plain text."""

from __future__ import annotations

from typing import Any

from evolve.llm.dialect import again, prepare, read

BASH = {
    "name": "run",
    "description": "Run a command.",
    "parameters": {"type": "object", "properties": {"command": {"type": "string"}}, "required": ["command"]},
}
EDIT = {
    "name": "edit",
    "description": "Change a file.",
    "parameters": {
        "type": "object",
        "properties": {
            "path": {"type": "string", "description": "The file."},
            "new": {"type": "string"},
            "line": {"type": "integer"},
        },
        "required": ["path", "new"],
    },
}
TOOLS = [{"type": "function", "function": each} for each in (BASH, EDIT)]
SYSTEM, USER = {"role": "system", "content": "Be careful."}, {"role": "user", "content": "Mend it."}


def sent(*messages: dict[str, Any], **fields: Any) -> list[dict[str, Any]]:
    request = {
        "messages": list(messages),
        "tools": TOOLS,
        "tool_choice": "auto",
        "parallel_tool_calls": False,
        "max_tokens": 9,
    }
    prepared = prepare({**request, **fields}, "fenced").request
    assert not prepared.keys() & {"tools", "tool_choice", "parallel_tool_calls"} and prepared["max_tokens"] == 9
    messages_sent: list[dict[str, Any]] = prepared["messages"]
    assert not any(message["role"] == "tool" or message.get("tool_calls") for message in messages_sent)
    return messages_sent


def call(name: str, arguments: str, content: str = "") -> dict[str, Any]:
    function = {"name": name, "arguments": arguments}
    return {
        "role": "assistant",
        "content": content,
        "tool_calls": [{"id": "a", "type": "function", "function": function}],
    }


def test_the_tools_stand_in_the_system_message() -> None:
    system, user = sent(SYSTEM, USER)
    assert user == USER and system["role"] == "system" and system["content"].startswith("Be careful.\n\n# Tools")
    assert "```bash\nyour command here\n```\nRun a command." in system["content"], "whatever the tool is called"
    assert '```edit\n{"path": "…", "new": "…"}\n```\nChange a file.' in system["content"]
    assert (
        "- path (string): The file." in system["content"] and "- line (integer, may be left out)" in system["content"]
    )
    assert sent(USER)[0]["role"] == "system"
    assert sent(SYSTEM, USER, tool_choice="none") == [system, user], "the same beginning whatever may be called now"
    assert sent(SYSTEM, USER, tools=[]) == [SYSTEM, USER]
    assert sent({"role": "system", "content": [{"type": "text", "text": "S"}]})[0]["content"][0]["text"] == "S"


def test_calls_and_results_are_turns_in_plain_text() -> None:
    messages = sent(
        SYSTEM,
        USER,
        call("run", '{"command": "ls"}', "I look."),
        {"role": "tool", "tool_call_id": "a", "content": "a.py"},
    )
    assert messages[2:] == [
        {"role": "assistant", "content": "I look.\n\n```bash\nls\n```"},
        {"role": "user", "content": "Result of run:\na.py"},
    ]
    assert sent(USER, call("edit", '{"path": "x"}'))[2]["content"] == '```edit\n{"path": "x"}\n```'


def test_a_fence_is_longer_than_those_in_it() -> None:
    (_, _, turn, _) = sent(USER, call("run", '{"command": "cat <<E\\n```\\n````x\\nE"}'))
    assert turn["content"].startswith("`````bash\n") and turn["content"].endswith("\n`````")


def test_a_call_that_could_not_be_read_is_not_shown_as_an_example() -> None:
    messages = sent(USER, call("run", "```bash\nls"), {"role": "tool", "tool_call_id": "a", "content": "Error: no."})
    assert "```" not in messages[2]["content"] and messages[3]["content"] == "Result of run:\nError: no."


def test_turns_of_the_user_in_a_row_are_one() -> None:
    result = {"role": "tool", "tool_call_id": "a", "content": "a.py"}
    messages = sent(USER, USER, call("run", '{"command": "ls"}'), result, {"role": "user", "content": "Go on."})
    assert [message["role"] for message in messages] == ["system", "user", "assistant", "user"]
    assert messages[-1]["content"] == "Result of run:\na.py\n\nGo on."
    picture = [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}]
    merged = sent(USER, {"role": "user", "content": picture})[-1]["content"]
    assert merged == [{"type": "text", "text": "Mend it."}, *picture]


def test_a_tool_that_takes_no_command_needs_its_own_name() -> None:
    request = {"messages": [USER], "tools": TOOLS[1:], "max_tokens": 9}
    text = "```bash\nls\n```"
    body = {"choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}]}
    reading = read(body, request, "fenced")
    assert reading.body["choices"][0]["message"] == {"role": "assistant", "content": text} and reading.broken is None


def test_the_repeat_says_what_was_wrong_and_shows_nothing_broken() -> None:
    body = {
        "choices": [
            {"index": 0, "message": {"role": "assistant", "content": "```bash\nrm -rf"}, "finish_reason": "stop"}
        ]
    }
    request = prepare({"messages": [SYSTEM, USER], "tools": TOOLS, "max_tokens": 9}, "fenced").request
    noted = again(request, body, "its block 'bash' cannot be read (it is never closed)")
    assert noted["messages"][:-1] == request["messages"][:-1]
    assert (
        noted["messages"][-1]["content"].startswith("Mend it.\n\n[")
        and "never closed" in noted["messages"][-1]["content"]
    )
    assert "block" in noted["messages"][-1]["content"] and "rm -rf" not in str(noted)


def test_the_repeat_keeps_the_order_of_roles() -> None:
    request = {
        "messages": [USER, call("run", "{}"), {"role": "tool", "tool_call_id": "a", "content": None}],
        "tools": TOOLS,
    }
    last = again(request, {}, "it was empty")["messages"][-1]
    assert (last["role"], last["tool_call_id"]) == ("tool", "a") and "it was empty" in last["content"]
    parts = again({"messages": [{"role": "user", "content": [{"type": "text", "text": "x"}]}]}, {}, "it was empty")
    assert [part["type"] for part in parts["messages"][0]["content"]] == ["text", "text"]
    after = again({"messages": [USER, {"role": "assistant", "content": "Hm."}]}, {}, "it was empty")["messages"]
    assert [message["role"] for message in after] == ["user", "assistant", "user"]
