"""The transcript: whole again when read, small on disk, readable for people."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archive import Call
from evolve.llm import ModelError, clip, read_transcript, render
from evolve.llm.transcript import NAME, Writer

CALL = Call("solve", "p:m", 100, 20, 10, 0.01, 1.5, 2, "ok")


def answer(text: str | None, **more: Any) -> dict[str, Any]:
    return {"choices": [{"message": {"role": "assistant", "content": text, **more}, "finish_reason": "stop"}]}


def write(folder: Path, *requests: dict[str, Any]) -> Path:
    writer = Writer(folder)
    for number, request in enumerate(requests):
        writer.write(request, answer(f"answer {number}"), CALL, at="2026-01-01T00:00:00+00:00")
    writer.close()
    return folder / NAME


def steps(count: int) -> list[dict[str, Any]]:
    """The requests of a rollout whose history grows."""
    messages = [{"role": "system", "content": "s" * 3000}, {"role": "user", "content": "p" * 5000}]
    requests = []
    for number in range(count):
        requests.append({"model": "m", "messages": list(messages), "tools": [{"t": "x" * 1000}], "max_tokens": 10})
        messages += [
            {"role": "assistant", "content": f"answer {number}"},
            {"role": "tool", "content": f"output {number}"},
        ]
    return requests


def test_every_call_reads_back_whole(tmp_path: Path) -> None:
    requests = steps(5)
    events = read_transcript(write(tmp_path, *requests))
    assert [list(event.messages) for event in events] == [request["messages"] for request in requests]
    assert [event.new for event in events] == [0, 2, 4, 6, 8]
    assert all(event.parameters == {"tools": [{"t": "x" * 1000}], "max_tokens": 10} for event in events)
    assert events[3].answer == {"role": "assistant", "content": "answer 3"}
    assert events[3].call == CALL


def test_a_hundred_steps_are_not_stored_a_hundred_times(tmp_path: Path) -> None:
    assert write(tmp_path, *steps(100)).stat().st_size < 100 * 700


@given(st.lists(st.lists(st.sampled_from("abc"), min_size=1, max_size=6), min_size=1, max_size=6))
def test_any_sequence_of_histories_reads_back(
    tmp_path_factory: pytest.TempPathFactory, histories: list[list[str]]
) -> None:
    folder = tmp_path_factory.mktemp("log")
    requests = [{"messages": [{"role": "user", "content": text} for text in history]} for history in histories]
    events = read_transcript(write(folder, *requests))
    assert [list(event.messages) for event in events] == [request["messages"] for request in requests]


def test_what_looks_like_a_key_is_not_stored(tmp_path: Path) -> None:
    key = "sk-ant-api03-AAAAbbbbCCCCdddd"
    path = write(tmp_path, {"messages": [{"role": "user", "content": f"line\n{key}"}]})
    assert key not in path.read_text()
    assert "[redacted]" in str(read_transcript(path)[0].messages[0]["content"])


def test_a_torn_last_line_is_left_out_and_a_foreign_line_is_named(tmp_path: Path) -> None:
    path = write(tmp_path, *steps(2))
    whole = path.read_text()
    path.write_text(whole + '{"event": "ca')
    assert len(read_transcript(path)) == 2
    path.write_text(whole + '{"other": 1}\n')
    with pytest.raises(ModelError, match="line 3 of"):
        read_transcript(path)
    with pytest.raises(ModelError, match="cannot be read"):
        read_transcript(tmp_path / "none.jsonl")


def test_a_transcript_cannot_fill_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("evolve.llm.transcript.SIZE_LIMIT", 20_000)
    requests = [{"messages": [{"role": "user", "content": f"{number}" + "x" * 9000}]} for number in range(30)]
    path = write(tmp_path, *requests)
    assert path.stat().st_size < 50_000
    events = read_transcript(path)
    assert len(events) == 30, "every call has its line all the same"
    assert events[-1].messages == () and json.loads(path.read_text().splitlines()[-1])["cut"] is True


def test_text_that_is_no_unicode_is_stored_all_the_same(tmp_path: Path) -> None:
    path = write(tmp_path, {"messages": [{"role": "user", "content": "a\udc80b\u2028c"}]})
    assert read_transcript(path)[0].messages[0]["content"] == "a\udc80b\u2028c"


def test_render_shows_each_message_once_and_errors(tmp_path: Path) -> None:
    writer = Writer(tmp_path)
    first = {
        "messages": [{"role": "user", "content": [{"type": "text", "text": "the problem"}, {"type": "image_url"}]}]
    }
    function = {"name": "bash", "arguments": '{"command": "ls"}'}
    writer.write(first, answer(None, tool_calls=[{"function": function}]), CALL, at="t")
    messages = [*first["messages"], {"role": "assistant", "tool_calls": [{"function": function}]}]
    second = {"messages": [*messages, {"role": "tool", "content": "a.py"}]}
    writer.write(second, None, CALL, at="t", error="the model was away", retried=["busy"])
    writer.close()
    events = read_transcript(tmp_path / NAME)
    text = render(events)
    assert events[1].retried == ("busy",) and events[1].error == "the model was away"
    for shown in (
        "[user] the problem\n[image]",
        '-> bash({"command": "ls"})',
        "[tool] a.py",
        "[error] the model was away",
    ):
        assert text.count(shown) == 1
    assert "solve on p:m, 100 + 10 tokens, $0.0100, ok" in text, "neither time nor retries: they differ between runs"


@given(count=st.integers(0, 60), limit=st.integers(500, 5000))
def test_render_keeps_head_and_tail_within_its_limit(
    tmp_path_factory: pytest.TempPathFactory, count: int, limit: int
) -> None:
    text = render(read_transcript(write(tmp_path_factory.mktemp("log"), *steps(count + 1))), limit)
    assert len(text) <= limit + 60
    assert text.startswith("[system]") and text.endswith(f"answer {count}")


@given(st.text(), st.integers(0, 50))
def test_clip_keeps_short_texts_and_both_ends_of_long_ones(text: str, limit: int) -> None:
    clipped = clip(text, limit)
    if len(text) <= limit:
        assert clipped == text
    else:
        assert clipped.startswith(text[: limit // 2]) and clipped.endswith(text[len(text) - (limit - limit // 2) :])
