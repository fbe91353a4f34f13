"""A rehearsal without a model: does this agent still do what every agent must? Run after each change to its source."""

from __future__ import annotations

import json
import os
import tempfile

from . import agent, llm, tools

PROBLEM = "Say good bye."
READ = ("bash", json.dumps({"command": "cat greeting.txt && echo read"}))
BROKEN = ("bash", "{not json")
UNKNOWN = ("no_such_tool", "{}")
CHANGE = ("edit", json.dumps({"path": "greeting.txt", "old": "hello", "new": "good bye"}))


def run():
    """Raise an exception (an AssertionError, mostly) if something is broken."""
    tools.check_schemas()
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, "greeting.txt"), "w") as file:
            file.write("hello, world\n")
        rehearse(folder)
        with open(os.path.join(folder, "greeting.txt")) as file:
            assert file.read() == "good bye, world\n", "the edit did not arrive"


def rehearse(folder):
    """Run the whole loop on a script in the model's place."""
    script = [answer(READ), answer(BROKEN), answer(UNKNOWN), answer(CHANGE), answer(text="All done.")]
    seen = []

    def scripted(body, seconds):
        json.dumps(body)
        seen.append(body["messages"])
        return script[len(seen) - 1], "stop"

    real, llm.complete = llm.complete, scripted
    try:
        request = {"problem": PROBLEM, "repository": folder, "test_command": "true", "role": "solve", "seconds": 30}
        rehearsed = agent.Agent(request, lambda **entry: json.dumps(entry))
        status, ending = rehearsed.run()
    finally:
        llm.complete = real
    assert status == "done", "the run ended with %r: %s" % (status, ending)
    shown = [message["content"] for message in rehearsed.messages if message["role"] == "tool"]
    assert "hello, world\nread" in shown[0], "the model is not shown what its commands print: %r" % shown[0]
    assert all(text.strip() for text in shown), "an observation is empty"
    calls = [call for message in rehearsed.messages for call in message.get("tool_calls", [])]
    sent_back = [json.loads(call["function"]["arguments"]) for call in calls]
    assert all(isinstance(arguments, dict) for arguments in sent_back), "broken arguments are sent back to the model"
    asked = [call["id"] for call in calls]
    answered = [message["tool_call_id"] for message in rehearsed.messages if message["role"] == "tool"]
    assert asked == answered, "not every tool call has its observation: %r, %r" % (asked, answered)
    assert PROBLEM in json.dumps(rehearsed.messages), "the problem is missing from the messages"
    assert rehearsed.summary(ending), "the summary is empty"


def answer(call=None, text=""):
    calls = [{"id": "", "type": "function", "function": {"name": call[0], "arguments": call[1]}}] if call else None
    return {"content": text, "tool_calls": calls}
