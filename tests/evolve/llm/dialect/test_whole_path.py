"""The whole way: a real upstream that answers as open models do, the gateway, and the seed agent on its socket."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from evolve.llm import Caps, Gateway, Ledger, Model, Price, Retry, Scope
from evolve.llm.base import ToolProtocol
from evolve.llm.openai_compatible import OpenAICompatible

SEED = Path(__file__).parents[4] / "agent_seed"
SCOPE = Scope("evaluation-1")
TOOLS = [{"type": "function", "function": {"name": "bash", "description": "Run.", "parameters": {
    "type": "object", "properties": {"command": {"type": "string"}}, "required": ["command"]}}}]  # fmt: skip
BODY: dict[str, Any] = {"model": "solve", "messages": [{"role": "user", "content": "Mend it."}], "tools": TOOLS}
LEAKED = "I look.\n<tool_call>\n{'name': 'bash', 'arguments': {'command': 'ls'}}\n</tool_call>"


class World:
    """A gateway before an upstream, and what was counted."""

    def __init__(self, url: str, folder: Path) -> None:
        self.ledger = Ledger(None)
        self.url, self.folder = url, folder

    def open(self, protocol: ToolProtocol = "tools") -> Gateway:
        model = Model(OpenAICompatible("up", self.url + "/v1"), "m", Price(1.0, 2.0), protocol=protocol)
        return Gateway({"solve": model}, self.ledger, retry=Retry(attempts=1))

    @property
    def events(self) -> dict[str, int]:
        return dict(self.ledger.spent().events.get("up:m", {}))

    def solve(self, protocol: ToolProtocol) -> tuple[dict[str, Any], Any]:
        """Run the seed agent on a small exercise; its result and its session."""
        repository = self.folder / "work"
        repository.mkdir()
        (repository / "door.txt").write_text("The door is closed.\n")
        (self.folder / "agent").symlink_to(SEED)
        request = {"protocol": 1, "problem": "Open the door.", "repository": str(repository), "test_command": None}
        (self.folder / "request.json").write_text(json.dumps({**request, "seconds": 60, "role": "solve"}))
        paths = [f"--{name}={self.folder / name}.json" for name in ("request", "result", "transcript")]
        with self.open(protocol) as gateway, gateway.session(SCOPE, log=None, caps=Caps()) as session:
            environment = {
                "PATH": os.environ["PATH"],
                "CLADE_SOCKET": str(session.socket),
                "PYTHONDONTWRITEBYTECODE": "1",
            }
            subprocess.run(
                [sys.executable, "-m", "agent", *paths], cwd=self.folder, env=environment, check=True, timeout=60
            )
        assert (repository / "door.txt").read_text() == "The door is open.\n"
        return json.loads((self.folder / "result.json").read_text()), session


@pytest.fixture
def world(upstream: Any, tmp_path: Path) -> Iterator[World]:
    world = World(upstream.url, tmp_path)
    yield world
    world.ledger.close()


def called(kit: Any, arguments: str, id: str | None = "call_1") -> Any:
    call = {"type": "function", "function": {"name": "bash", "arguments": arguments}} | ({"id": id} if id else {})
    return kit.completion(None, message={"tool_calls": [call]}, finish_reason="tool_calls")


def ask(world: World, kit: Any, body: Any = BODY, protocol: ToolProtocol = "tools") -> tuple[Any, Any]:
    with world.open(protocol) as gateway, gateway.session(SCOPE, log=world.folder, caps=Caps()) as session:
        heard = kit.ask(session.socket, body)
    assert session.fault is None
    return heard, session


def test_a_leaked_call_arrives_as_a_call(world: World, upstream: Any, kit: Any) -> None:
    upstream.says(kit.completion(LEAKED))
    heard, session = ask(world, kit)
    choice = heard.body["choices"][0]
    assert choice["finish_reason"] == "tool_calls" and choice["message"]["content"] == "I look."
    assert json.loads(choice["message"]["tool_calls"][0]["function"]["arguments"]) == {"command": "ls"}
    assert world.events == {"call_leaked": 1} and len(session.bill) == 1
    assert "<tool_call>" in (world.folder / "transcript.jsonl").read_text(), "on record as it came"


def test_broken_arguments_are_asked_for_once_more(world: World, upstream: Any, kit: Any) -> None:
    upstream.says(called(kit, '{"command": "rm -rf bu'), called(kit, '{"command": "ls"}'))
    heard, session = ask(world, kit)
    (call,) = heard.body["choices"][0]["message"]["tool_calls"]
    assert json.loads(call["function"]["arguments"]) == {"command": "ls"}
    assert world.events == {"arguments_broken": 1, "repair_retry": 1}
    assert len(session.bill) == 2, "both answers are paid"
    first, second = (body["messages"] for _, _, body in upstream.requests)
    assert len(second) == len(first) and second[0]["content"].startswith("Mend it.\n\n[An answer")
    assert "rm -rf" not in json.dumps(second), "a broken answer is never shown again"


def test_the_repair_needs_no_room_for_two_worst_cases(world: World, upstream: Any, kit: Any) -> None:
    """The broken answer is settled at what it cost before another one is set aside for: a cap for one is enough."""
    upstream.says(called(kit, '{"command": "rm -rf bu'), called(kit, '{"command": "ls"}'))
    caps = Caps(usd=0.003)  # 1,000 tokens of output may cost $0.002, those of an answer here cost $0.00002
    with world.open() as gateway, gateway.session(SCOPE, log=None, caps=caps) as session:
        heard = kit.ask(session.socket, {**BODY, "max_tokens": 1000})
    (call,) = heard.body["choices"][0]["message"]["tool_calls"]
    assert json.loads(call["function"]["arguments"]) == {"command": "ls"}
    assert session.spent_out is None and len(session.bill) == 2


def test_the_repair_is_tried_once(world: World, upstream: Any, kit: Any) -> None:
    upstream.says(called(kit, '{"command": "rm -rf bu'))
    heard, session = ask(world, kit)
    (call,) = heard.body["choices"][0]["message"]["tool_calls"]
    assert call["function"]["arguments"] == '{"command": "rm -rf bu', "the agent tells the model what was wrong"
    assert len(session.bill) == len(upstream.requests) == 2
    assert world.events == {"arguments_broken": 2, "repair_retry": 1, "repair_failed": 1}


def test_what_cannot_be_read_ends_for_a_call_that_is_not_there(world: World, upstream: Any, kit: Any) -> None:
    upstream.says(kit.completion("<function=bash>\n<parameter=command>\nls"))
    heard, _ = ask(world, kit)
    choice = heard.body["choices"][0]
    assert choice["finish_reason"] == "tool_calls" and not choice["message"].get("tool_calls")
    assert world.events == {"call_unreadable": 2, "repair_retry": 1, "repair_failed": 1}


def test_broken_arguments_of_a_history_are_never_sent(world: World, upstream: Any, kit: Any) -> None:
    call = {"id": "a", "type": "function", "function": {"name": "bash", "arguments": '{"command": "l'}}
    history = [*BODY["messages"], {"role": "assistant", "content": None, "tool_calls": [call]},
               {"role": "tool", "tool_call_id": "a", "content": "Error."}]  # fmt: skip
    ask(world, kit, {**BODY, "messages": history})
    assert upstream.requests[0][2]["messages"][1]["tool_calls"][0]["function"]["arguments"] == "{}"
    assert world.events == {"arguments_emptied": 1}


def test_a_call_without_an_id_gets_one(world: World, upstream: Any, kit: Any) -> None:
    upstream.says(called(kit, '{"command": "ls"}', id=None))
    heard, _ = ask(world, kit)
    assert len(heard.body["choices"][0]["message"]["tool_calls"][0]["id"]) == 9, "as every service takes it"


TOO_LONG: dict[str, tuple[int, Any]] = {
    "vLLM 0.32": (
        400,
        {
            "error": {
                "message": "This model's maximum context length is 4096 tokens. However, you requested 512 output "
                "tokens and your prompt contains at least 3585 input tokens, for a total of at least 4097 tokens. "
                "Please reduce the length of the input prompt or the number of requested output tokens. "
                "(parameter=input_tokens, value=3585)",
                "type": "BadRequestError",
                "param": "input_tokens",
                "code": 400,
            }
        },
    ),
    "SGLang": (
        400,
        {
            "object": "error",
            "message": "The input (61709 tokens) is longer than the model's context length (40960 tokens).",
            "type": "BadRequestError",
            "param": None,
            "code": 400,
        },
    ),
    "llama.cpp": (
        400,
        {
            "error": {
                "code": 400,
                "message": "request (9000 tokens) exceeds the available context size (8192 tokens), try increasing it",
                "type": "exceed_context_size_error",
                "n_prompt_tokens": 9000,
                "n_ctx": 8192,
            }
        },
    ),
    "Ollama": (
        400,
        {
            "error": {
                "message": "prompt too long; exceeded max context length by 1234 tokens",
                "type": "invalid_request_error",
                "param": None,
                "code": None,
            }
        },
    ),
    "OpenAI": (
        400,
        {
            "error": {
                "message": "Input tokens exceed the configured limit of 272000 tokens. Your messages resulted in "
                "300000 tokens. Please reduce the length of the messages.",
                "type": "invalid_request_error",
                "param": "messages",
                "code": "context_length_exceeded",
            }
        },
    ),
    "Anthropic": (
        400,
        {
            "type": "error",
            "error": {
                "type": "invalid_request_error",
                "message": "prompt is too long: 210000 tokens > 200000 maximum",
            },
        },
    ),
    "OpenRouter": (
        200,
        {
            "error": {
                "message": "Provider returned error",
                "code": 400,
                "metadata": {
                    "raw": "This endpoint's maximum context length is 163840 tokens. However, you requested more."
                },
            }
        },
    ),
}


@pytest.mark.parametrize("server", TOO_LONG)
def test_a_history_too_long_is_told_in_one_way(world: World, upstream: Any, kit: Any, server: str) -> None:
    status, body = TOO_LONG[server]
    upstream.says(kit.Said(body, status=status))
    heard, session = ask(world, kit)
    assert heard.status == 400 and heard.body["error"]["code"] == "context_length_exceeded"
    assert len(upstream.requests) == 1 and session.bill[0].usd == 0.0


OPEN = "sed -i s/closed/open/ door.txt"
LOOK = "<function=bash>\n<parameter=command>\nsed --version\n</parameter>\n</function>\n</tool_call>"


def test_the_seed_agent_solves_with_a_server_that_reads_no_calls(world: World, upstream: Any, kit: Any) -> None:
    upstream.says(
        kit.completion(LOOK),
        kit.completion("<tool_call>\n<function=bash>\n<parameter=comm"),  # broken, and mended by the second answer
        called(kit, "{'command': 'cat door.txt'}"),
        kit.Said(TOO_LONG["vLLM 0.32"][1], status=400),
        kit.completion('[TOOL_CALLS]bash[ARGS]{"command": "' + OPEN + '"}'),
        kit.completion(""),  # nothing, and asked for once more
        kit.completion("I opened it; calls like `<tool_call>` are no matter."),
    )
    result, session = world.solve("tools")
    assert result["status"] == "done" and session.fault is None
    once = ("call_unreadable", "arguments_repaired", "answer_empty")
    assert world.events == {"call_leaked": 2, "repair_retry": 2, **dict.fromkeys(once, 1)}
    assert "shortened" in result["summary"]


def test_the_seed_agent_solves_in_plain_text(world: World, upstream: Any, kit: Any) -> None:
    look = "```bash\ncat door.txt\n```"
    upstream.says(
        kit.completion(f"<think>\nHm, ```bash\nrm x\n```\n</think>\nI look.\n\n{look}\n\n```bash\nrm door.txt\n```"),
        kit.completion("```bash\nrm -rf"),
        kit.completion('```edit\n{"path": "door.txt", "old": "closed", "new": "open"}\n```'),
        kit.completion("The door is open now."),
    )
    result, session = world.solve("fenced")
    assert result["status"] == "done" and result["steps"] == 3 and session.fault is None
    assert world.events == {"fences_dropped": 1, "fence_broken": 1, "repair_retry": 1}
    requests = [body for _, _, body in upstream.requests]
    assert not any("tools" in body or "tool_choice" in body for body in requests)
    assert "The door is closed." in requests[1]["messages"][-1]["content"]
    assert requests[3]["messages"][: len(requests[1]["messages"])] == requests[1]["messages"], (
        "the prompt cache finds it"
    )
