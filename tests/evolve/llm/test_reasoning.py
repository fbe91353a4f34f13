"""Which models refuse what, by their names."""

from __future__ import annotations

import pytest

from evolve.llm.reasoning import unsupported


@pytest.mark.parametrize(
    "name",
    ["o1", "o3-mini", "o4-mini-2025-04-16", "gpt-5", "gpt-5-mini", "gpt-5.4-nano", "gpt-6-sol", "gpt-6.2-astra",
     "openai/gpt-5-mini", "GPT-5", "gpt-10", "codex-mini-latest"],
)  # fmt: skip
def test_openai_models_that_think_take_no_sampling(name: str) -> None:
    assert {"temperature", "top_p", "presence_penalty", "frequency_penalty", "stop"} <= unsupported(name)
    assert "reasoning_effort" not in unsupported(name)


def test_the_o_series_calls_no_tools_in_parallel() -> None:
    assert "parallel_tool_calls" in unsupported("o3") and "parallel_tool_calls" not in unsupported("gpt-5")


@pytest.mark.parametrize("name", ["gpt-4.1", "gpt-4o-mini", "gpt-3.5-turbo", "gpt-5-chat-latest", "chatgpt-4o-latest"])
def test_those_that_do_not_think_take_no_effort(name: str) -> None:
    assert unsupported(name) == {"reasoning_effort"}


@pytest.mark.parametrize("name", ["qwen3-coder", "gpt-oss-120b", "deepseek-v4-pro", "o", "o3x", "model-o3", "repair"])
def test_open_models_take_everything(name: str) -> None:
    assert unsupported(name) == frozenset()


@pytest.mark.parametrize(
    "name", ["claude-opus-4-7", "claude-sonnet-5", "claude-haiku-5-5", "anthropic/claude-fable-5-1"]
)
def test_newer_claudes_take_no_temperature_through_any_format(name: str) -> None:
    assert unsupported(name) == {"temperature", "top_p"}


@pytest.mark.parametrize("name", ["claude-haiku-4-5", "claude-sonnet-4-5-20250929"])
def test_older_claudes_take_no_effort(name: str) -> None:
    assert unsupported(name) == {"reasoning_effort"}


def test_the_settings_know_better_than_the_name() -> None:
    assert unsupported("my-deployment", True) == unsupported("gpt-5")
    assert unsupported("gpt-5", False) == frozenset()
    assert "parallel_tool_calls" in unsupported("o3", True), "what is known of the name still holds"
