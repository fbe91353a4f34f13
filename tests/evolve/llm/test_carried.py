"""Hidden reasoning: taken off before the agent sees it, put back where its turn stands again, and forgotten in time."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolve.llm import ModelError
from evolve.llm.carried import HIDDEN, Carried, bare, is_blamed, visible
from evolve.llm.wire import estimate

USER = {"role": "user", "content": "hi"}


def call(id: str = "c1", arguments: str = '{"a": 1, "b": 2}') -> dict[str, Any]:
    return {"id": id, "type": "function", "function": {"name": "bash", "arguments": arguments}}


def turn(id: str = "c1", **hidden: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": None, "tool_calls": [call(id)], **hidden}


def request(*messages: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"model": "m", "messages": list(messages), **more}


BOUND = {"kind": "anthropic", "bound": True, "blocks": []}


@pytest.mark.parametrize("name", HIDDEN)
def test_what_is_hidden_comes_back_with_its_turn(name: str) -> None:
    carried = Carried()
    hidden: Any = {"kind": "x"} if name == "carried" else "thought"
    carried.keep(request(USER), "up:m", turn(**{name: hidden}))
    back = carried.restored(request(USER, turn(), USER), "up:m")
    assert back["messages"] == [USER, turn(**{name: hidden}), USER]
    assert carried.restored(request(USER, turn("c2")), "up:m")["messages"] == [USER, turn("c2")]


def test_what_is_told_twice_goes_back_once() -> None:
    carried = Carried()
    carried.keep(request(USER), "up:m", turn(reasoning="thought", reasoning_details=[{"type": "reasoning.text"}]))
    back = carried.restored(request(USER, turn()), "up:m")["messages"][1]
    assert back == turn(reasoning_details=[{"type": "reasoning.text"}])


def test_an_empty_thought_is_one_and_none_is_none() -> None:
    carried = Carried()
    carried.keep(request(USER), "up:m", turn("c1", reasoning_content=""))
    carried.keep(request(USER), "up:m", turn("c2", reasoning_content=None))
    back = carried.restored(request(turn("c1"), turn("c2")), "up:m")["messages"]
    assert [message.get("reasoning_content") for message in back] == ["", None]


def test_another_model_gets_nothing_of_it() -> None:
    carried = Carried()
    carried.keep(request(USER), "up:m", turn(reasoning="thought"))
    assert "thought" not in json.dumps(carried.restored(request(USER, turn()), "up:other"))


def test_a_turn_is_known_again_by_what_it_says() -> None:
    carried = Carried()
    said: dict[str, Any] = {"role": "assistant", "content": "I look", "tool_calls": [call()]}
    carried.keep(request(USER), "m", {**said, "carried": {"kind": "x"}, "reasoning": "thought"})
    parts = {**said, "content": [{"type": "text", "text": "I look"}]}
    rewritten = {**said, "tool_calls": [call(arguments='{"b":2,"a":1}')]}
    for same in (said, parts, rewritten, {**said, "content": " I look\n"}):
        assert carried.restored(request(USER, same), "m")["messages"][1]["carried"] == {"kind": "x"}
    for other in ({**said, "content": "I see"}, {**said, "tool_calls": [call(arguments="{}")]}):
        back = carried.restored(request(USER, other), "m")["messages"][1]
        assert "carried" not in back, "what stands in for a turn must say the same"
        assert back["reasoning"] == "thought", "words come back with the call that they were thought before"


def test_a_turn_without_calls_is_known_by_its_words() -> None:
    carried = Carried()
    carried.keep(request(USER), "m", {"role": "assistant", "content": "yes", "reasoning": "thought"})
    back = carried.restored(request(USER, {"role": "assistant", "content": "yes"}), "m")["messages"]
    assert back[1]["reasoning"] == "thought"
    other = carried.restored(request(USER, {"role": "assistant", "content": "no"}), "m")["messages"]
    assert "reasoning" not in other[1]


def test_its_size_is_reserved_for() -> None:
    carried = Carried()
    carried.keep(request(USER), "m", turn(reasoning="x" * 3000))
    asked = request(USER, turn())
    assert estimate(carried.restored(asked, "m")) >= estimate(asked) + 1000


def test_a_history_without_thoughts_is_left_alone() -> None:
    asked = request(USER, turn())
    assert Carried().restored(asked, "m") is asked


SYSTEM = {"role": "system", "content": "be good"}
RESULT = {"role": "tool", "tool_call_id": "c1", "content": "ok"}


@pytest.mark.parametrize(
    "before",
    [
        [USER],
        [SYSTEM, USER, USER],
        [{**SYSTEM, "content": "be bad"}, USER],
        [SYSTEM, {"role": "user", "content": "ho"}],
    ],
)
def test_what_is_bound_to_its_place_comes_back_nowhere_else(before: list[dict[str, Any]]) -> None:
    carried = Carried()
    carried.keep(request(SYSTEM, USER), "m", turn(carried=BOUND))
    assert carried.restored(request(SYSTEM, USER, turn(), RESULT), "m")["messages"][2]["carried"] == BOUND
    assert all("carried" not in each for each in carried.restored(request(*before, turn(), RESULT), "m")["messages"])


def test_a_system_message_added_later_moves_every_place() -> None:
    """A format may have one field for all system messages, which stands before everything else."""
    carried = Carried()
    carried.keep(request(SYSTEM, USER), "m", turn(carried=BOUND))
    back = carried.restored(request(SYSTEM, USER, turn(), RESULT, SYSTEM), "m")
    assert all("carried" not in each for each in back["messages"])
    tools = carried.restored(request(SYSTEM, USER, turn(), RESULT, tools=[{"type": "function"}]), "m")
    assert all("carried" not in each for each in tools["messages"])


def test_a_lost_thought_takes_the_bound_ones_after_it_along() -> None:
    """They were given in a conversation in which it stood."""
    carried = Carried()
    first = carried.restored(request(USER), "m")
    carried.keep(first, "m", turn("c1", carried=BOUND))
    second = carried.restored(request(USER, turn("c1"), RESULT), "m")
    carried.keep(second, "m", turn("c2", carried={**BOUND, "blocks": [2]}))
    history = [USER, turn("c1"), RESULT, turn("c2"), RESULT]
    assert [("carried" in each) for each in carried.restored(request(*history), "m")["messages"]] == [
        False, True, False, True, False,
    ]  # fmt: skip
    changed = [USER, {**turn("c1"), "content": "mine"}, RESULT, turn("c2"), RESULT]
    assert all("carried" not in each for each in carried.restored(request(*changed), "m")["messages"])


@given(st.lists(st.integers(1, 400), max_size=30), st.integers(0, 2000))
def test_it_is_bounded_and_the_oldest_goes_first(sizes: list[int], limit: int) -> None:
    carried = Carried(limit)
    for number, size in enumerate(sizes):
        carried.keep(request(USER), "m", turn(f"c{number}", reasoning="x" * size))
    back = carried.restored(request(*(turn(f"c{number}") for number in range(len(sizes)))), "m")["messages"]
    kept = ["reasoning" in message for message in back]
    assert sum(len(message.get("reasoning", "")) for message in back) <= limit
    assert kept == sorted(kept), "what is left are the latest ones"
    if sizes and sizes[-1] + 20 <= limit:
        assert kept[-1]


def test_the_same_turn_kept_again_counts_once() -> None:
    carried = Carried(200)
    for _ in range(50):
        carried.keep(request(USER), "m", turn(reasoning="x" * 100))
    assert "reasoning" in carried.restored(request(turn()), "m")["messages"][0]


def test_agents_do_not_see_it() -> None:
    hidden = dict.fromkeys(HIDDEN, "secret")
    body = {"id": "1", "choices": [{"index": 0, "message": turn(**hidden), "finish_reason": "stop"}]}
    assert visible(body) == {"id": "1", "choices": [{"index": 0, "message": turn(), "finish_reason": "stop"}]}
    assert bare(request(USER, turn(**hidden))) == request(USER, turn())
    plain = {"choices": [{"message": turn()}]}
    assert visible(plain) is plain


@pytest.mark.parametrize(
    ("kind", "status", "text", "blamed"),
    [
        ("refused", 400, "messages.1.content.0: Invalid `signature` in `thinking` block.", True),
        ("refused", 400, "The encrypted content for item rs_1 could not be verified: invalid_encrypted_content", True),
        ("refused", 404, "Item with id 'rs_1' not found (reasoning)", True),
        ("refused", 422, "property 'reasoning_content' is unsupported", True),
        ("refused", 400, "Invalid value for temperature", False),
        ("refused", 401, "reasoning is not for you", False),
        ("unavailable", 500, "reasoning engine down", False),
        ("context_length", 400, "reasoning too long", False),
    ],
)
def test_which_refusals_may_be_about_it(kind: Any, status: int, text: str, blamed: bool) -> None:
    error = ModelError(text, kind=kind, status=status)
    assert is_blamed(error, request(USER, turn(reasoning="x"))) is blamed
    assert not is_blamed(error, request(USER, turn())), "there is nothing to leave out"
