"""The agent as a program, against a model's server that misbehaves in every way seen in the field."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

Desk = Any
TOO_LONG = (400, {"error": {"code": "context_length_exceeded", "message": "too long"}})


def test_it_works_to_the_end_and_writes_its_result(desk: Desk) -> None:
    run = desk.run(desk.bash("echo hello > out.txt; cat out.txt"), desk.done)
    assert run.exit_code == 0
    assert run.result == {"status": "done", "summary": "I changed it. (1 tool calls in 2 answers)", "steps": 2}
    assert (desk.repository / "out.txt").read_text() == "hello\n"
    assert run.observations == ["hello\n[exit status 0]"]


def test_the_request_reaches_the_model_in_the_agreed_format(desk: Desk) -> None:
    run = desk.run(desk.done, problem="A telling problem.", test_command="make test", role="improve")
    body = run.requests[0]
    assert body["model"] == "improve"
    assert "stream" not in body
    system, user = body["messages"]
    assert (system["role"], user["role"]) == ("system", "user")
    assert "A telling problem." in user["content"]
    assert "`make test`" in user["content"]
    assert {tool["function"]["name"] for tool in body["tools"]} == {"bash", "edit"}


def test_several_calls_are_done_in_their_order(desk: Desk) -> None:
    calls = [("bash", {"command": f"echo {i} >> log; cat log"}) for i in range(3)]
    run = desk.run(desk.answer(*calls), desk.done)
    assert run.observations[2] == "0\n1\n2\n[exit status 0]"
    tool_messages = [message for message in run.requests[-1]["messages"] if message["role"] == "tool"]
    assert [message["tool_call_id"] for message in tool_messages] == ["c0", "c1", "c2"]


@pytest.mark.parametrize("arguments", ['{"command": "echo', "[1, 2]", '"text"', "null", "nonsense"])
def test_broken_arguments_are_answered_and_never_sent_back(desk: Desk, arguments: str) -> None:
    run = desk.run(desk.answer(("bash", arguments)), desk.done)
    assert run.result is not None
    assert run.result["status"] == "done"
    sent_back = run.requests[-1]["messages"][-2]["tool_calls"][0]["function"]["arguments"]
    assert sent_back == "{}"
    assert run.observations[0].startswith("Error: ")


@pytest.mark.parametrize(
    "call", [("no_such_tool", {}), ("bash", {}), ("bash", {"command": 5}), ("bash", {"cmd": "ls"}), ("", {})]
)
def test_wrong_calls_are_answered(desk: Desk, call: tuple[str, object]) -> None:
    run = desk.run(desk.answer(call), desk.done)
    assert run.observations[0].startswith("Error: ")
    assert run.result is not None
    assert run.result["status"] == "done"
    assert "1 x a tool call was malformed" in run.result["summary"]


def test_calls_without_ids_get_some(desk: Desk) -> None:
    broken = desk.answer(("bash", {"command": "true"}), ("bash", {"command": "false"}))
    for call in broken["choices"][0]["message"]["tool_calls"]:
        del call["id"]
    run = desk.run(broken, desk.done)
    calls = run.requests[-1]["messages"][2]["tool_calls"]
    assert len({call["id"] for call in calls}) == 2
    assert [m["tool_call_id"] for m in run.requests[-1]["messages"][3:]] == [call["id"] for call in calls]


@pytest.mark.parametrize(
    ("useless", "told"),
    [
        ({"content": ""}, "was empty"),
        ({"content": None}, "was empty"),
        ({"content": "<function=bash><parameter=command>ls", "finish": "tool_calls"}, "meant as a tool call"),
        ({"content": "I was about to", "finish": "length"}, "cut at its length limit"),
    ],
)
def test_useless_answers_are_asked_for_again(desk: Desk, useless: dict[str, Any], told: str) -> None:
    run = desk.run(desk.answer(**useless), desk.bash("true"), desk.done)
    assert told in run.requests[1]["messages"][-1]["content"]
    assert run.result is not None
    assert run.result["status"] == "done"


def test_words_about_tool_calls_may_be_the_last_ones(desk: Desk) -> None:
    run = desk.run(desk.answer(content="I replaced `<tool_call>` by [TOOL_CALLS] in parser.py."))
    assert run.result is not None
    assert run.result["status"] == "done" and len(run.requests) == 1


def test_asking_again_has_an_end(desk: Desk) -> None:
    run = desk.run(desk.answer(content=" "))
    assert len(run.requests) == 4
    assert run.result is not None
    assert run.result["status"] == "gave_up"
    assert "neither a tool call nor a last message" in run.result["summary"]


def test_a_call_cut_at_the_length_limit_is_not_done(desk: Desk) -> None:
    run = desk.run(desk.answer(("bash", '{"command": "rm -rf'), finish="length"), desk.done)
    assert "cut at its length limit" in run.observations[0]


def test_the_step_limit_is_told_plainly(desk: Desk) -> None:
    desk.set("agent.py", "MAX_STEPS = 30", "MAX_STEPS = 3")
    run = desk.run(desk.bash("true"))
    assert len(run.requests) == 3
    assert run.result is not None
    assert run.result["status"] == "gave_up"
    assert run.result["summary"].startswith("Stopped at the limit of 3 steps")


def test_giving_up_is_another_thing_than_being_done(desk: Desk) -> None:
    run = desk.run(desk.answer(content="GAVE UP: there is no such function."))
    assert run.result is not None
    assert run.result["status"] == "gave_up"


def test_a_spent_budget_ends_the_run_with_what_there_is(desk: Desk) -> None:
    run = desk.run(desk.bash("echo partial > work.txt"), (402, {"error": {"message": "budget spent"}}))
    assert run.exit_code == 0
    assert run.result is not None
    assert run.result["status"] == "gave_up"
    assert "budget" in run.result["summary"]
    assert (desk.repository / "work.txt").exists()


def test_messages_that_are_too_long_are_shortened_and_the_problem_stays(desk: Desk) -> None:
    rounds = iter(range(1000))

    def model(body: dict[str, object]) -> Any:
        if len(json.dumps(body["messages"])) > 12_000:
            return TOO_LONG
        return desk.bash("seq 1 400") if next(rounds) < 25 else desk.done

    run = desk.run(model=model, problem="The problem that stays.")
    assert run.result is not None
    assert run.result["status"] == "done"
    assert "old observations were shortened" in run.result["summary"]
    last = run.requests[-1]["messages"]
    assert "The problem that stays." in last[1]["content"]
    ids = {call["id"] for message in last for call in message.get("tool_calls", [])}
    assert {message["tool_call_id"] for message in last if message["role"] == "tool"} <= ids


def test_a_context_too_short_for_anything_ends_the_run(desk: Desk) -> None:
    run = desk.run(desk.bash("seq 1 5000"), TOO_LONG)
    assert run.result is not None
    assert run.result["status"] == "gave_up"
    assert "nothing is left to shorten" in run.result["summary"]


@pytest.mark.parametrize("trouble", ["drop", "garbage", (500, {"error": "oops"}), (200, {"choices": []})])
def test_trouble_on_the_line_is_tried_again(desk: Desk, trouble: Any) -> None:
    desk.set("llm.py", "PAUSE_SECONDS = 1.0", "PAUSE_SECONDS = 0.01")
    run = desk.run(trouble, desk.bash("true"), desk.done)
    assert run.result is not None
    assert run.result["status"] == "done"


@pytest.mark.parametrize("trouble", ["drop", "garbage", (503, {}), (401, {"error": "no"}), (400, {"error": "bad"})])
def test_trouble_that_stays_is_an_error_that_says_so(desk: Desk, trouble: Any) -> None:
    desk.set("llm.py", "PAUSE_SECONDS = 1.0", "PAUSE_SECONDS = 0.01")
    run = desk.run(trouble)
    assert run.exit_code == 0
    assert run.result is not None
    assert run.result["status"] == "error"
    assert "could not be asked" in run.result["summary"]


def test_time_that_is_up_ends_the_run_in_time(desk: Desk) -> None:
    started = time.monotonic()
    run = desk.run(desk.bash("sleep 0.5; echo x >> log"), seconds=5)
    assert time.monotonic() - started < 10
    assert run.result is not None
    assert run.result["status"] == "gave_up"
    assert "time was up" in run.result["summary"]


def test_a_command_may_not_take_more_than_the_time_left(desk: Desk) -> None:
    run = desk.run(desk.bash("sleep 100"), desk.done, seconds=5)
    assert run.result is not None
    assert "1 x a command timed out" in run.result["summary"]


def test_a_crash_leaves_a_result_and_its_trace(desk: Desk) -> None:
    desk.set("agent.py", "        self.steps += 1\n", "        self.steps += 1 / 0\n")
    run = desk.run(desk.done)
    assert run.exit_code == 0
    assert run.result is not None
    assert run.result["status"] == "error"
    assert "ZeroDivisionError" in run.result["summary"]
    assert any("Traceback" in entry.get("crash", "") for entry in run.transcript)


def test_a_request_of_another_protocol_is_an_error(desk: Desk) -> None:
    run = desk.run(desk.done, protocol=2)
    assert run.result is not None
    assert run.result["status"] == "error"
    assert "protocol 1, not 2" in run.result["summary"]


def test_terminating_it_kills_its_command_and_leaves_a_result(desk: Desk) -> None:
    def terminate(agent: subprocess.Popen[str]) -> None:
        while not (desk.repository / "child").exists():
            time.sleep(0.02)
        agent.send_signal(signal.SIGTERM)

    run = desk.run(desk.bash("echo $$ > child; sleep 100"), while_running=terminate)
    assert run.exit_code == 0
    assert run.result is not None
    assert run.result["status"] == "error"
    assert "terminate" in run.result["summary"]
    assert not Path(f"/proc/{(desk.repository / 'child').read_text().strip()}").exists()


def test_the_transcript_holds_every_message_and_the_end(desk: Desk) -> None:
    run = desk.run(desk.bash("echo seen"), desk.answer(("bash", "{")), desk.done)
    roles = [entry["message"]["role"] for entry in run.transcript if "message" in entry]
    assert roles == ["assistant", "tool", "assistant", "tool", "assistant"]
    assert {"step": 2, "note": "a tool call was malformed"} in run.transcript
    assert run.transcript[-1]["result"] == "done"


def test_nothing_that_changes_from_run_to_run_reaches_the_model(desk: Desk) -> None:
    replies = [desk.bash("echo same"), desk.answer(("bash", "{")), desk.bash("sleep 3"), desk.done]
    first = desk.run(*replies).requests
    (desk.folder / "socket").unlink()
    assert desk.run(*replies).requests == first
