"""The offline model: what it may know, that it remembers nothing, and that it mends programs by looking and trying."""

from __future__ import annotations

import ast
import asyncio
import inspect
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evolve.llm import Json, ModelError, Scope
from evolve.llm.offline import OfflineProvider
from evolve.llm.offline import provider as provider_module
from evolve.llm.offline.provider import CONTEXT_TOKENS, answer

SHELL: Json = {"name": "bash", "parameters": {"type": "object", "properties": {"command": {"type": "string"}}}}
EDITOR: Json = {
    "name": "replace",
    "parameters": {"properties": {name: {"type": "string"} for name in ("file_path", "old_string", "new_string")}},
}
BUGGY = '''def largest(numbers):
    """The largest of some numbers, 0 if there are none."""
    best = 0
    for number in numbers:
        if number < best:
            best = number
    return best
'''
TEST = """from solution import largest
got = largest([3, 8, 5])
if got != 8:
    print(f"FAIL largest([3, 8, 5]) expected 8, got {got}")
    raise SystemExit(1)
"""
PROBLEM = "The function in solution.py is wrong. The tests are run with: `python3 test_it.py`"


class Conversation:
    """An agent without a will of its own: it does what the model says and shows all that came of it."""

    def __init__(
        self, folder: Path, problem: str = PROBLEM, tools: tuple[Json, ...] = (SHELL, EDITOR), **more: Any
    ) -> None:
        self.folder = folder
        self.request: Json = {
            "model": "offline",
            "messages": [{"role": "user", "content": problem}],
            "tools": [{"type": "function", "function": tool} for tool in tools],
            **more,
        }
        self.show: Callable[[str], str] = lambda text: text
        self.calls: list[Json] = []

    def run(self, steps: int, seed: int = 0) -> str:
        """The model's last message, or "" if it needs more steps."""
        messages: list[Json] = self.request["messages"]
        for _ in range(steps):
            message = answer(json.loads(json.dumps(self.request)), seed).body["choices"][0]["message"]
            messages.append(message)
            if "tool_calls" not in message:
                return str(message["content"])
            for call in message["tool_calls"]:
                self.calls.append(call["function"])
                content = self.show(self.do(call["function"]["name"], json.loads(call["function"]["arguments"])))
                messages.append({"role": "tool", "tool_call_id": call["id"], "content": content})
        return ""

    def do(self, name: str, arguments: Json) -> str:
        if name == "replace":
            path = self.folder / arguments["file_path"]
            text = path.read_text()
            if text.count(arguments["old_string"]) != 1:
                return "Error: the text was not found once"
            path.write_text(text.replace(arguments["old_string"], arguments["new_string"]))
            return "Edited."
        done = subprocess.run(
            ["bash", "-c", arguments["command"]],
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
            env={"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1"},
        )
        return done.stdout + done.stderr


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "solution.py").write_text(BUGGY)
    (tmp_path / "test_it.py").write_text(TEST)
    return tmp_path


def passes(folder: Path) -> bool:
    return subprocess.run([sys.executable, "test_it.py"], cwd=folder, capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize("parallel", [True, False])
@pytest.mark.parametrize("tools", [(SHELL, EDITOR), (SHELL,)])
def test_it_mends_a_function_by_trying(folder: Path, parallel: bool, tools: tuple[Json, ...]) -> None:
    conversation = Conversation(folder, tools=tools, parallel_tool_calls=parallel)
    assert "The check passes now" in conversation.run(120)
    assert passes(folder)
    assert (folder / "test_it.py").read_text() == TEST


def test_it_makes_one_call_an_answer_unless_it_may_make_more(folder: Path) -> None:
    one = Conversation(folder, parallel_tool_calls=False)
    one.run(20)
    assert {len(m.get("tool_calls", [1])) for m in one.request["messages"] if m["role"] == "assistant"} == {1}


def test_a_prompt_that_asks_for_it_gets_changes_and_tests_in_one_command(folder: Path) -> None:
    problem = f"Make a change and run the tests in one command.\n{PROBLEM}"
    conversation = Conversation(folder, problem, parallel_tool_calls=False)
    assert "The check passes now" in conversation.run(60)
    assert all(call["name"] == "bash" for call in conversation.calls)
    assert passes(folder)


def test_a_change_is_never_tried_twice_while_it_can_be_seen(folder: Path) -> None:
    (folder / "test_it.py").write_text("print('FAIL')\nraise SystemExit(1)\n")
    conversation = Conversation(folder)
    assert "GAVE UP" in conversation.run(1000)
    edits = [call["arguments"] for call in conversation.calls if call["name"] == "replace"]
    tried, undone = edits[::2], edits[1::2]
    assert len(set(tried)) == len(tried) > 20
    assert (folder / "solution.py").read_text() == BUGGY
    for change, back in zip(map(json.loads, tried), map(json.loads, undone), strict=False):
        assert (change["old_string"], change["new_string"]) == (back["new_string"], back["old_string"])


def test_what_is_hidden_from_it_it_does_not_know(folder: Path) -> None:
    conversation = Conversation(folder)
    conversation.show = lambda text: "done"
    assert "GAVE UP" in conversation.run(60)
    assert (folder / "solution.py").read_text() == BUGGY


def test_long_files_cut_in_the_middle_are_read_in_parts(tmp_path: Path) -> None:
    filler = "\n".join(f"FILLER_{i} = {i}  # nothing to see in this long line of a long file" for i in range(300))
    (tmp_path / "solution.py").write_text(f"{filler}\n{BUGGY}")
    (tmp_path / "test_it.py").write_text(TEST)
    conversation = Conversation(tmp_path)
    conversation.show = lambda text: text if len(text) < 6000 else f"{text[:2500]}\n[cut]\n{text[-2500:]}"
    conversation.run(12)
    readings = [call["arguments"] for call in conversation.calls if "cat -n" in call["arguments"]]
    assert len(readings) > 3
    assert any(call["name"] == "replace" for call in conversation.calls)


def test_nothing_to_work_with_is_said(tmp_path: Path) -> None:
    assert "GAVE UP" in Conversation(tmp_path).run(9)
    assert "GAVE UP" in Conversation(tmp_path, tools=(EDITOR,)).run(9)


def test_same_request_and_seed_same_answer_from_any_instance(folder: Path) -> None:
    conversation = Conversation(folder, temperature=1.0)
    conversation.run(2)  # now the first change is due
    request = conversation.request
    bodies = [asyncio.run(OfflineProvider().complete(request, Scope("a", 5))).body for _ in range(2)]
    other_key = asyncio.run(OfflineProvider().complete(request, Scope("another", 5))).body
    assert bodies[0] == bodies[1] == other_key
    assert any(answer(request, seed).body != bodies[0] for seed in range(6, 12))


def test_at_temperature_zero_the_seed_does_not_matter(folder: Path) -> None:
    conversation = Conversation(folder, temperature=0)
    conversation.run(4)
    request = conversation.request
    assert len({json.dumps(answer(request, seed).body) for seed in range(5)}) == 1


def test_it_sees_the_request_and_the_seed_only() -> None:
    assert list(inspect.signature(answer).parameters) == ["request", "seed"]
    source = inspect.getsource(OfflineProvider.complete)
    assert "scope.seed" in source
    assert source.count("scope") == 2  # the parameter, and its seed


def test_it_imports_nothing_that_could_tell_it_an_answer() -> None:
    folder = Path(provider_module.__file__).parent
    for path in folder.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [str(node.module)] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                own = name in ("evolve.llm.base", "evolve.syntax") or name.startswith("evolve.llm.offline.")
                assert own or name.split(".")[0] in sys.stdlib_module_names, f"{path.name} imports {name}"
                assert name.split(".")[0] not in ("os", "pathlib", "subprocess", "socket"), (
                    f"{path.name} imports {name}"
                )


def test_a_long_conversation_overflows_its_context() -> None:
    request: Json = {"messages": [{"role": "user", "content": "x" * 4 * CONTEXT_TOKENS}]}
    with pytest.raises(ModelError) as caught:
        answer(request, 0)
    assert caught.value.kind == "context_length"


def test_an_answer_is_cut_at_max_tokens(folder: Path) -> None:
    conversation = Conversation(folder, max_tokens=10)
    choice = answer(conversation.request, 0).body["choices"][0]
    assert choice["finish_reason"] == "length"
    assert "tool_calls" not in choice["message"]


def test_usage_counts_what_was_read_and_written(folder: Path) -> None:
    conversation = Conversation(folder)
    completion = answer(conversation.request, 0)
    read = len(json.dumps(conversation.request["messages"])) + len(json.dumps(conversation.request["tools"]))
    assert abs(completion.usage.input_tokens - read / 4) <= 2
    assert completion.usage.output_tokens == completion.body["usage"]["completion_tokens"] > 10


@pytest.mark.parametrize("messages", [None, [], "hello", [1]])
def test_a_request_without_messages_is_refused(messages: Any) -> None:
    with pytest.raises(ModelError) as caught:
        answer({"messages": messages}, 0)
    assert caught.value.kind == "refused"
