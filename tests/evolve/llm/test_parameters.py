"""What a format or a model does not take: left out of agents' requests, refused in a run's settings."""

from __future__ import annotations

from typing import Any

import pytest

from evolve.llm import ModelError
from evolve.llm.parameters import OWN_FIELDS, check_parameters, refused_fields


def test_a_format_refuses_what_it_has_no_word_for() -> None:
    assert refused_fields("openai-responses", "gpt-4.1") >= {"stop", "seed", "presence_penalty"}
    assert refused_fields("anthropic", "claude-opus-5") >= {"temperature", "seed"}
    assert refused_fields("openai-responses", "m", False) >= {"stop"}, "whatever the model is like"
    assert refused_fields("local", "m") == frozenset()


def check(kind: str | None, parameters: dict[str, Any], *, name: str = "m", cap: int = 8192) -> None:
    refused = refused_fields(kind, name)
    check_parameters(parameters, kind=kind, refused=refused, role="solve", label=f"up:{name}", max_output_tokens=cap)


@pytest.mark.parametrize("name", sorted(OWN_FIELDS))
@pytest.mark.parametrize("kind", ["openai", "openai-responses", "anthropic", "local", "vllm", None])
def test_what_the_gateway_sets_is_not_for_the_settings(kind: str | None, name: str) -> None:
    with pytest.raises(ModelError, match=f"sets {name!r}, which the gateway sets itself"):
        check(kind, {name: "x"})


@pytest.mark.parametrize(
    ("kind", "parameters"),
    [
        ("openai", {"temperature": 0.2, "top_k": 20, "chat_template_kwargs": {"enable_thinking": False}}),
        ("local", {"min_p": 0.1, "reasoning_effort": "low", "max_tokens": 100}),
        ("openai-responses", {"reasoning": {"summary": "auto"}, "verbosity": "low", "service_tier": "flex"}),
        ("anthropic", {"thinking": {"type": "adaptive"}, "reasoning_effort": "high", "service_tier": "auto"}),
        ("anthropic", {"thinking": {"type": "enabled", "budget_tokens": 1024}}),
        (None, {}),
    ],
)
def test_what_a_format_has_may_be_set(kind: str | None, parameters: dict[str, Any]) -> None:
    check(kind, parameters)


def test_a_cap_of_the_role_bounds_its_thinking_budget() -> None:
    thinking = {"thinking": {"type": "enabled", "budget_tokens": 2048}}
    check("anthropic", thinking | {"max_tokens": 4096})
    with pytest.raises(ModelError, match="less than what a call may generate, which is 2000"):
        check("anthropic", thinking | {"max_tokens": 2000})
    with pytest.raises(ModelError, match="less than what a call may generate, which is 1500"):
        check("anthropic", thinking | {"max_tokens": 4096}, cap=1500)


@pytest.mark.parametrize("cap", [0, -1, True, 2.5, "many"])
def test_a_cap_is_a_whole_number(cap: object) -> None:
    with pytest.raises(ModelError, match="must be a whole number above 0"):
        check("openai", {"max_tokens": cap})
