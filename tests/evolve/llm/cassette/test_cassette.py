"""A cassette in use, without a gateway: what is found again, for whom, and what is said of a miss."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from archive import Call
from evolve.llm import BudgetSpent, Cassette, Completion, Json, Landing, Mode, ModelError, Scope, Usage
from evolve.llm.cassette.tape import BODIES, INDEX

LABEL = "mine:m-1"
SCOPE = Scope("evaluation-1", seed=7)
SOLVED = Landing("RESOLVED", "all hidden tests pass")
CALL = Call("solve", LABEL, 100, 40, 10, 0.25, 1.5, 1, "ok")
KEY = "sk-proj-CANARYcanaryCANARY0123456789"


def request(*said: str, **more: Any) -> Json:
    """A conversation: what the user, the model, a tool, the model, a tool… said."""
    roles = ["user", *(["assistant", "tool"] * len(said))]
    return {"model": "m-1", "messages": [{"role": r, "content": s} for r, s in zip(roles, said, strict=False)], **more}


def answer(text: str) -> Completion:
    usage = Usage(100, 40, 5, 10, 3)
    return Completion({"choices": [{"message": {"role": "assistant", "content": text}}]}, usage, "replica-2")


def said(take: Any) -> str:
    return str(take.ending.body["choices"][0]["message"]["content"])


class Shelf:
    """Cassettes of one folder, closed at the end of the test."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._open: list[Cassette] = []

    def open(self, mode: Mode, **options: bool) -> Cassette:
        self.close()
        self._open.append(Cassette(self.path, mode, **options))
        return self._open[-1]

    def record(self, *calls: tuple[Scope, Json, Any]) -> None:
        """Each call as one of a move of its own scope's key."""
        cassette = self.open("record")
        for scope, asked, ending in calls:
            assert cassette.play(scope, "solve", LABEL, asked) is None
            cassette.keep(scope, LABEL, asked, ending, [CALL])
        self.close()

    def lines(self) -> list[Json]:
        return [json.loads(line) for line in (self.path / INDEX).read_bytes().splitlines()]

    def close(self) -> None:
        while self._open:
            self._open.pop().close()


@pytest.fixture
def shelf(tmp_path: Path) -> Iterator[Shelf]:
    shelf = Shelf(tmp_path / "tape")
    yield shelf
    shelf.close()


# Calls that are there


def test_a_call_is_played_as_it_ended_with_what_was_booked_for_it(shelf: Shelf) -> None:
    shelf.record((SCOPE, request("hi", max_tokens=9), answer("hello")))
    take = shelf.open("replay").play(SCOPE, "solve", LABEL, request("hi", max_tokens=9))
    assert take is not None
    assert take.ending == answer("hello")
    assert take.calls == (CALL,)
    assert list(take.messages) == request("hi")["messages"]


@pytest.mark.parametrize(
    "ending",
    [
        BudgetSpent("the budget of the move is spent", "move"),
        ModelError("too long", kind="context_length", status=400),
        ModelError("overloaded", kind="unavailable", status=529),
        ModelError("no connection", kind="unavailable"),
    ],
)
def test_a_call_without_an_answer_ends_as_it_did(shelf: Shelf, ending: BudgetSpent | ModelError) -> None:
    shelf.record((SCOPE, request("hi"), ending))
    take = shelf.open("replay").play(SCOPE, "solve", LABEL, request("hi"))
    assert take is not None
    assert type(take.ending) is type(ending)
    assert str(take.ending) == str(ending)
    for name in ("whose", "kind", "status"):
        assert getattr(take.ending, name, None) == getattr(ending, name, None)


def test_the_same_call_made_again_gets_its_answers_in_their_order(shelf: Shelf) -> None:
    shelf.record(*[(SCOPE, request("hi"), answer(text)) for text in ("one", "two", "three")])
    cassette = shelf.open("replay")
    takes = [cassette.play(SCOPE, "solve", LABEL, request("hi")) for _ in range(3)]
    assert [said(take) for take in takes] == ["one", "two", "three"]
    with pytest.raises(ModelError, match="the same call is recorded, but was made less often"):
        cassette.play(SCOPE, "solve", LABEL, request("hi"))


def test_a_conversation_is_stored_once_however_often_it_is_sent(shelf: Shelf) -> None:
    turns = [f"turn {number} " + "abcdefghij" * number for number in range(1, 41)]
    shelf.record(*[(SCOPE, request(*turns[: 2 * n + 1]), answer(f"a{n}")) for n in range(20)])
    new = [line["new"] for line in shelf.lines() if line["event"] == "call"]
    assert [len(names) for names in new] == [1] + [2] * 19
    sent = sum(len(json.dumps(request(*turns[: 2 * n + 1]))) for n in range(20))
    assert (shelf.path / BODIES).stat().st_size < sent / 5
    cassette = shelf.open("replay")
    for n in range(20):
        take = cassette.play(SCOPE, "solve", LABEL, request(*turns[: 2 * n + 1]))
        assert take is not None
        assert said(take) == f"a{n}"
        assert list(take.messages) == request(*turns[: 2 * n + 1])["messages"]


def test_clocks_in_what_tools_said_do_not_matter_and_what_was_sent_then_is_told(shelf: Shelf) -> None:
    shelf.record((SCOPE, request("go", "run", "3 passed in 0.03s"), answer("done")))
    take = shelf.open("replay").play(SCOPE, "solve", LABEL, request("go", "run", "3 passed in 1.20s"))
    assert take is not None
    assert take.messages[2]["content"] == "3 passed in 0.03s"


def test_a_rollouts_calls_are_found_in_whatever_order_rollouts_ask(shelf: Shelf) -> None:
    scopes = [Scope(f"evaluation-{n}", seed=n) for n in range(4)]
    shelf.record(*[(scope, request("hi"), answer(scope.key)) for scope in scopes])
    cassette = shelf.open("replay")
    for scope in reversed(scopes):
        take = cassette.play(scope, "solve", LABEL, request("hi"))
        assert take is not None
        assert said(take) == scope.key


def test_a_part_of_a_move_is_another_rollout(shelf: Shelf) -> None:
    whole = Scope("expansion-3", seed=7)
    life = Scope("expansion-3-life", seed=7, move="expansion-3")
    shelf.record((whole, request("hi"), answer("rewritten")), (life, request("hi"), answer("alive")))
    cassette = shelf.open("replay")
    takes = [cassette.play(scope, "solve", LABEL, request("hi")) for scope in (life, whole)]
    assert [said(take) for take in takes] == ["alive", "rewritten"]


# Splits


def test_an_answer_of_one_split_is_not_given_on_another(shelf: Shelf) -> None:
    search, sealed = Scope("evaluation-1", seed=7), Scope("evaluation-1", seed=7, split="sealed")
    shelf.record((search, request("hi"), answer("seen")))
    cassette = shelf.open("replay")
    with pytest.raises(ModelError, match=r"is not on .*: it has no call of this rollout on this split"):
        cassette.play(sealed, "solve", LABEL, request("hi"))
    assert shelf.open("replay-or-call").play(sealed, "solve", LABEL, request("hi")) is None


def test_a_miss_on_one_split_shows_nothing_of_another(shelf: Shelf) -> None:
    shelf.record((Scope("evaluation-1", seed=7, split="sealed"), request("the hidden task"), answer("x")))
    with pytest.raises(ModelError) as missed:
        shelf.open("replay").play(SCOPE, "solve", LABEL, request("an open task"))
    assert "hidden" not in str(missed.value)


def test_the_same_words_of_another_rollout_are_no_recording_of_this_one(shelf: Shelf) -> None:
    shelf.record((SCOPE, request("hi"), answer("x")))
    told = missed(shelf, request("hi"), Scope("evaluation-1", seed=8))
    assert told.endswith("whose seed comes from the run's seed, the agent's code and the task")


def test_another_seed_is_told_by_what_changed_with_it(shelf: Shelf) -> None:
    cassette = shelf.open("record")
    cassette.launched("evaluation-1", "evaluate agent 0 on x", 1)
    cassette.keep(SCOPE, LABEL, request("old prompt"), answer("x"), [CALL])
    cassette.landed("evaluation-1", SOLVED)
    launch = cassette.landings()[0]
    for said_now, told in (("new prompt", "-old prompt\n    +new prompt"), ("old prompt", "whose seed comes from")):
        cassette = shelf.open("replay")
        cassette.relaunched("evaluation-1", launch)
        with pytest.raises(ModelError) as error:
            cassette.play(Scope("evaluation-1", seed=8), "solve", LABEL, request(said_now))
        assert told in str(error.value)


def test_splits_are_shared_where_that_is_asked_for(shelf: Shelf) -> None:
    shelf.record((SCOPE, request("hi"), answer("seen")))
    sealed = Scope("evaluation-1", seed=7, split="sealed")
    take = shelf.open("replay", share_splits=True).play(sealed, "solve", LABEL, request("hi"))
    assert take is not None
    assert said(take) == "seen"


# Misses


def missed(shelf: Shelf, asked: Json, scope: Scope = SCOPE, label: str = LABEL) -> str:
    cassette = shelf.open("replay")
    with pytest.raises(ModelError) as error:
        cassette.play(scope, "solve", label, asked)
    assert error.value.kind == "refused"
    assert cassette.missed == str(error.value)
    return str(error.value)


def test_a_miss_names_move_role_model_and_number_and_shows_the_first_difference(shelf: Shelf) -> None:
    cassette = shelf.open("record")
    cassette.launched("evaluation-1", "evaluate agent 0 on 012-median", 1)
    for said_then in (["fix it"], ["fix it", "run", "1 failed in 0.03s\nexpected 3\ngot 4"]):
        cassette.keep(SCOPE, LABEL, request(*said_then), answer("x"), [CALL])
    cassette.landed("evaluation-1", SOLVED)
    launch = cassette.landings()[0]
    cassette = shelf.open("replay")
    now = Scope("evaluation-9", seed=7)
    cassette.relaunched("evaluation-9", launch)
    assert cassette.play(now, "solve", LABEL, request("fix it")) is not None
    with pytest.raises(ModelError) as error:
        cassette.play(now, "solve", LABEL, request("fix it", "run", "1 failed in 0.07s\nexpected 3\ngot 5"))
    assert str(error.value) == (
        "call 2 of evaluation-9, evaluate agent 0 on 012-median, by the role solve to mine:m-1, is not on "
        f"{shelf.path}: message 3 of 3 (tool) differs from the recorded one:\n    -got 4\n    +got 5"
    )


@pytest.mark.parametrize(
    ("asked", "label", "told"),
    [
        (request("hi", max_tokens=10), LABEL, "its field 'max_tokens' was 9 and is 10"),
        (request("hi", max_tokens=9, seed=1), LABEL, "its field 'seed' was nothing and is 1"),
        (request("hi"), LABEL, "its field 'max_tokens' was 9 and is nothing"),
        (request("hi", max_tokens=9), "mine:m-2", "the nearest recorded call is to mine:m-1"),
        (
            request("hi", "a", "b", max_tokens=9),
            LABEL,
            "it has 3 messages, the nearest recorded one 1, of which the first 1 are the same",
        ),
        (request("ho", max_tokens=9), LABEL, r"message 1 of 1 \(user\) differs .*:\n    -hi\n    \+ho"),
    ],
)
def test_a_miss_says_what_is_different(shelf: Shelf, asked: Json, label: str, told: str) -> None:
    shelf.record((SCOPE, request("hi", max_tokens=9), answer("x")))
    assert re.search(told, missed(shelf, asked, label=label))


def test_a_difference_in_the_least_is_shown_wherever_it_is(shelf: Shelf) -> None:
    long = "x" * 5000
    then = {"role": "tool", "tool_call_id": "call_1", "content": f"{long}3"}
    shelf.record((SCOPE, {"model": "m", "messages": [then]}, answer("x")))
    for change, shown in (
        ({"content": f"{long}4"}, "x3"),
        ({"content": f"{long}3\n"}, "    +"),
        ({"content": f"{long}3\r"}, r"x3\r"),
        ({"tool_call_id": "call_2"}, "    +tool_call_id: call_2"),
        ({"content": f"{long}\x1b[31m"}, r"\x1b[31m"),
    ):
        told = missed(shelf, {"model": "m", "messages": [{**then, **change}]})
        assert shown in told
        assert "\x1b" not in told
        assert max(map(len, told.splitlines()[1:])) < 180


def test_a_difference_in_what_the_model_said_is_not_smoothed_over(shelf: Shelf) -> None:
    shelf.record((SCOPE, request("go", "3 passed in 0.03s", "ok"), answer("x")))
    told = missed(shelf, request("go", "3 passed in 0.04s", "ok"))
    assert "-3 passed in 0.03s\n    +3 passed in 0.04s" in told


def test_a_difference_in_a_tool_call_is_shown(shelf: Shelf) -> None:
    def calling(arguments: str) -> Json:
        call = {"id": "c1", "type": "function", "function": {"name": "bash", "arguments": arguments}}
        return {"model": "m", "messages": [{"role": "assistant", "content": None, "tool_calls": [call]}]}

    shelf.record((SCOPE, calling('{"command": "ls"}'), answer("x")))
    assert '-bash({"command": "ls"}) as c1\n    +bash({"command": "pwd"}) as c1' in missed(
        shelf, calling('{"command": "pwd"}')
    )


def test_only_the_beginning_of_a_large_difference_is_shown(shelf: Shelf) -> None:
    shelf.record((SCOPE, request("\n".join(f"was {n}" for n in range(50))), answer("x")))
    told = missed(shelf, request("\n".join(f"is {n}" for n in range(50))))
    assert told.count("\n") == 7
    assert told.endswith("… 94 more lines")


def test_after_a_miss_nothing_more_is_played(shelf: Shelf) -> None:
    shelf.record((SCOPE, request("hi"), answer("x")))
    cassette = shelf.open("replay")
    with pytest.raises(ModelError) as first:
        cassette.play(SCOPE, "solve", LABEL, request("ho"))
    with pytest.raises(ModelError) as second:
        cassette.play(SCOPE, "solve", LABEL, request("hi"))
    assert str(first.value) == str(second.value)


def test_a_replay_writes_nothing(shelf: Shelf) -> None:
    shelf.record((SCOPE, request("hi"), answer("x")))
    before = {name: (shelf.path / name).read_bytes() for name in (INDEX, BODIES)}
    cassette = shelf.open("replay")
    cassette.play(SCOPE, "solve", LABEL, request("hi"))
    cassette.keep(SCOPE, LABEL, request("ho"), answer("y"), [])
    cassette.launched("evaluation-5", "evaluate agent 0 on x", None)
    cassette.keep_record("evaluation-5", b"{}")
    cassette.landed("evaluation-5", SOLVED)
    cassette.ended("done", finished=True)
    shelf.close()
    assert {name: (shelf.path / name).read_bytes() for name in (INDEX, BODIES)} == before


# Replay or call


def test_what_is_missing_is_asked_recorded_and_then_there(shelf: Shelf) -> None:
    shelf.record((SCOPE, request("hi"), answer("old")))
    cassette = shelf.open("replay-or-call")
    assert said(cassette.play(SCOPE, "solve", LABEL, request("hi"))) == "old"
    assert cassette.play(SCOPE, "solve", LABEL, request("ho")) is None
    cassette.keep(SCOPE, LABEL, request("ho"), answer("new"), [CALL])
    assert cassette.play(SCOPE, "solve", LABEL, request("ho")) is None, "an answer just given is not given again"
    assert cassette.missed is None
    cassette = shelf.open("replay")
    assert [said(cassette.play(SCOPE, "solve", LABEL, request(text))) for text in ("ho", "hi")] == ["new", "old"]


# Records of moves, and the session lines


def test_a_record_is_given_to_the_move_that_stands_for_its_own(shelf: Shelf) -> None:
    cassette = shelf.open("record")
    for number in (1, 2):
        cassette.launched(f"evaluation-{number}", f"evaluate agent 0 on {number}", None)
        cassette.landed(f"evaluation-{number}", SOLVED)
    cassette.keep_record("evaluation-2", b"what came of 2")
    assert cassette.record_of("evaluation-2") is None, "a recording performs its moves"
    cassette = shelf.open("replay")
    cassette.launched("evaluation-8", "evaluate agent 0 on 2", None)
    cassette.launched("evaluation-9", "evaluate agent 0 on 1", None)
    assert cassette.record_of("evaluation-8") == b"what came of 2"
    assert cassette.record_of("evaluation-9") is None
    assert cassette.record_of("evaluation-10") is None


def test_every_recording_process_begins_a_session_that_names_format_and_version(shelf: Shelf) -> None:
    shelf.record((SCOPE, request("hi"), answer("x")))
    shelf.record((SCOPE, request("ho"), answer("y")))
    shelf.open("record")
    shelf.close()  # nothing was recorded: no session
    lines = shelf.lines()
    assert [line["event"] for line in lines] == ["session", "call", "session", "call"]
    assert lines[0].keys() == {"event", "format", "clade", "mode", "at"}
    assert (lines[0]["format"], lines[0]["mode"]) == (1, "record")


def test_how_a_run_ended_is_told_unless_it_went_on(shelf: Shelf) -> None:
    cassette = shelf.open("record")
    cassette.launched("evaluation-1", "evaluate agent 0 on x", 1)
    cassette.landed("evaluation-1", SOLVED)
    assert cassette.ending is None
    cassette.ended("all evaluations are made", finished=True)
    assert cassette.ending == ("all evaluations are made", True)
    cassette = shelf.open("record")
    cassette.launched("evaluation-2", "evaluate agent 0 on y", 2)
    assert shelf.open("replay").ending is None


def test_another_runs_cassette_is_not_gone_on_with(shelf: Shelf) -> None:
    cassette = shelf.open("record")
    cassette.launched("evaluation-1", "evaluate agent 0 on x", 1)
    with pytest.raises(ModelError, match=r"holds another run \(its evaluation-1 is not in this one\)"):
        shelf.open("record").go_on([], {})
    with pytest.raises(ModelError, match=r"evaluation-2 of this run is not on the cassette .*: a run is recorded from"):
        shelf.open("record").go_on(
            [("evaluation-1", "evaluate agent 0 on x", 1), ("evaluation-2", "evaluate agent 0 on y", 2)],
            {"evaluation-2": SOLVED},
        )


# How moves ended


def replaying(shelf: Shelf, landing: Landing, *said: str, mode: Mode = "replay") -> Cassette:
    """A cassette of one move that asked `said` and ended so, being replayed by evaluation-9."""
    cassette = shelf.open("record")
    cassette.launched("evaluation-1", "evaluate agent 0 on x", 1)
    for text in said:
        cassette.keep(SCOPE, LABEL, request(text), answer("x"), [CALL])
    cassette.landed("evaluation-1", landing)
    launch = cassette.landings()[0]
    cassette = shelf.open(mode)
    cassette.relaunched("evaluation-9", launch)
    return cassette


def ask(cassette: Cassette, text: str) -> None:
    cassette.play(Scope("evaluation-9", seed=7), "solve", LABEL, request(text))


@pytest.mark.parametrize(
    ("then", "now", "told"),
    [
        (SOLVED, SOLVED, None),
        (
            SOLVED,
            Landing("UNRESOLVED", "1 of 3 hidden tests fail"),
            "recorded was RESOLVED (all hidden tests pass); here it is UNRESOLVED (1 of 3 hidden tests fail)",
        ),
        (
            Landing("UNRESOLVED", "1 of 3 hidden tests fail"),
            Landing("UNRESOLVED", "2 of 3 hidden tests fail"),
            "recorded was UNRESOLVED (1 of 3 hidden tests fail); here it is UNRESOLVED (2 of 3 hidden tests fail)",
        ),
        (
            Landing("AGENT_CRASHED", "crashed: <Stack object at 0x7f3a5c0d1e50>"),
            Landing("AGENT_CRASHED", "crashed: <Stack object at 0x7f3a5c0d9990>"),
            None,
        ),
        (Landing("AGENT_CRASHED", f"bad key {KEY}"), Landing("AGENT_CRASHED", f"bad key {KEY}"), None),
        (Landing("AGENT_CRASHED", "\0 and \udc80"), Landing("AGENT_CRASHED", "\ufffd and \ufffd"), None),
        (
            Landing("AGENT_CRASHED", "crashed"),
            Landing("AGENT_CRASHED", "crashed\x1b[31m" + 500 * "!"),
            f"recorded was AGENT_CRASHED (crashed); here it is AGENT_CRASHED (crashed\\x1b[31m{148 * '!'} …)",
        ),
        (Landing("BORN", "lives", "c0de"), Landing("BORN", "lives", "c0de"), None),
        (
            Landing("BORN", "lives", "c0de"),
            Landing("BORN", "lives", "c1de"),
            "recorded was BORN; here it is too, but the child's code is not the same",
        ),
    ],
)
def test_a_move_that_ends_otherwise_is_told_with_both_ends(
    shelf: Shelf, then: Landing, now: Landing, told: str | None
) -> None:
    found = replaying(shelf, then).departure("evaluation-9", now)
    named = "evaluation-9 (evaluate agent 0 on x) is not as it was recorded: "
    assert found == (None if told is None else named + told)


def test_a_move_that_asks_less_than_it_did_is_told(shelf: Shelf) -> None:
    cassette = replaying(shelf, SOLVED, "hi", "ho", "hi")
    for text in ("hi", "hi"):
        ask(cassette, text)
    told = cassette.departure("evaluation-9", SOLVED)
    assert told == "evaluation-9 (evaluate agent 0 on x) is not as it was recorded: 1 of its calls were not made here"
    ask(cassette, "ho")
    assert cassette.departure("evaluation-9", SOLVED) is None


def test_a_move_that_stands_for_no_recorded_one_ends_as_it_likes(shelf: Shelf) -> None:
    cassette = replaying(shelf, SOLVED)
    assert cassette.departure("evaluation-8", Landing("UNRESOLVED", "")) is None
    cassette = shelf.open("record")
    cassette.launched("evaluation-2", "evaluate agent 0 on y", 2)
    assert cassette.departure("evaluation-2", SOLVED) is None


def test_without_a_recorded_end_only_those_of_the_house_and_of_the_clock_are_told(shelf: Shelf) -> None:
    replaying(shelf, SOLVED)
    index = shelf.path / INDEX
    lines = [{k: v for k, v in line.items() if k not in ("outcome", "reason")} for line in shelf.lines()]
    index.write_text("".join(json.dumps(line) + "\n" for line in lines))
    cassette = shelf.open("replay")
    cassette.relaunched("evaluation-9", cassette.landings()[0])
    assert cassette.departure("evaluation-9", Landing("UNRESOLVED", "")) is None
    told = cassette.departure("evaluation-9", Landing("VOID", "the house: no box"))
    assert told is not None
    assert told.endswith("is not as it was recorded: here it is VOID (the house: no box)")
    assert cassette.first_departure([("evaluation-9", Landing("VOID", "taken over"))]) is None


def test_what_comes_of_a_move_now_may_take_the_place_of_what_was_recorded(shelf: Shelf) -> None:
    now = Landing("UNRESOLVED", "the test fails")
    cassette = replaying(shelf, SOLVED, "hi", mode="replay-or-call")
    assert cassette.play(Scope("evaluation-9", seed=7), "solve", LABEL, request("ho")) is None
    cassette.keep(Scope("evaluation-9", seed=7), LABEL, request("ho"), answer("new"), [CALL])
    assert cassette.departure("evaluation-9", now) is not None
    cassette.amend("evaluation-9", now)
    assert cassette.departure("evaluation-9", now) is None
    cassette = shelf.open("replay")
    (launch,) = cassette.landings()
    assert launch.landing == now
    cassette.relaunched("evaluation-9", launch)
    ask(cassette, "ho")
    assert cassette.departure("evaluation-9", now) is None, "what was asked before is not asked any more"
    assert cassette.first_departure([("evaluation-9", now)]) is None
    told = cassette.first_departure([("evaluation-9", SOLVED)])
    assert told is not None
    assert told.startswith("evaluation-9 (evaluate agent 0 on x) is not as it was recorded: recorded was UNRESOLVED")


def test_a_strict_replay_amends_nothing(shelf: Shelf) -> None:
    cassette = replaying(shelf, SOLVED)
    before = (shelf.path / INDEX).read_bytes()
    cassette.amend("evaluation-9", Landing("UNRESOLVED", ""))
    assert (shelf.path / INDEX).read_bytes() == before
    assert cassette.departure("evaluation-9", SOLVED) is None


# Keys


def test_keys_are_not_on_the_tape_and_do_not_hinder_the_replay(shelf: Shelf) -> None:
    asked = request(f"the key is {KEY}", temperature=0.5, user=KEY)
    shelf.record(
        (SCOPE, asked, answer(f"it is {KEY}")),
        (SCOPE, request("more"), ModelError(f"bad key {KEY}", kind="refused", status=401)),
    )
    cassette = shelf.open("replay")
    take = cassette.play(SCOPE, "solve", LABEL, asked)
    assert take is not None
    assert said(take) == "it is [redacted]"
    assert take.messages[0]["content"] == "the key is [redacted]"
    take = cassette.play(SCOPE, "solve", LABEL, request("more"))
    assert take is not None
    assert str(take.ending) == "bad key [redacted]"
    assert KEY.encode() not in (shelf.path / INDEX).read_bytes()
