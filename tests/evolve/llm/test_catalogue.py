"""From `provider:model` to a model with its key and price, or one clear sentence."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from evolve.llm import ModelError, Price, PriceSettings, ProviderSettings, open_models
from evolve.llm.anthropic import Anthropic
from evolve.llm.openai_compatible import OpenAICompatible
from evolve.llm.openai_responses import OpenAIResponses
from evolve.llm.replicas import Replicas


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "OPENROUTER_API_KEY"):
        monkeypatch.delenv(name, raising=False)


def test_offline_needs_nothing() -> None:
    models = open_models({"solve": "offline", "improve": "offline:repair", "diagnose": "offline"})
    assert models["solve"].label == models["improve"].label == "offline:repair"
    assert models["solve"].price == Price(0.0, 0.0)
    assert models["solve"].provider is models["diagnose"].provider


def test_a_key_is_read_from_its_variable(monkeypatch: pytest.MonkeyPatch, kit: Any) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", kit.canary)
    model = open_models({"solve": "anthropic:claude-haiku-4-5-20251001"}, max_output_tokens=99)["solve"]
    assert isinstance(model.provider, Anthropic)
    assert model.price == Price(1.0, 5.0, 0.1, 1.25), "a dated snapshot costs what the undated name costs"
    assert model.max_output_tokens == 99
    assert kit.canary not in repr(model) + str(model.provider)


def test_roles_have_their_own_parameters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    roles: Any = {"solve": "openai:gpt-5-mini", "improve": "openai:gpt-5-mini"}
    models = open_models(roles, parameters={"improve": {"reasoning_effort": "high"}})
    assert models["solve"].parameters == {} and models["improve"].parameters == {"reasoning_effort": "high"}
    assert models["solve"].provider is models["improve"].provider


def test_what_anthropic_does_not_take_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "k")
    with pytest.raises(ModelError, match=r"models\.parameters\.solve sets 'temperature', which anthropic:claude-haiku"):
        open_models({"solve": "anthropic:claude-haiku-4-5"}, parameters={"solve": {"temperature": 0.2}})
    taken = {"reasoning_effort": "high", "thinking": {"type": "adaptive"}}
    assert open_models({"solve": "anthropic:claude-opus-5"}, parameters={"solve": taken})["solve"].parameters == taken


@pytest.mark.parametrize(
    ("label", "settings", "said"),
    [
        ("openai:gpt-5-mini", {}, "environment variable OPENAI_API_KEY"),
        ("mine:m", {"mine": {"kind": "openai", "url": "http://x", "key_env": "MY_KEY"}}, "environment variable MY_KEY"),
        ("opnai:gpt", {}, "'opnai', which is not one of: anthropic, local, offline, openai, openrouter"),
        ("local", {}, "local:MODEL"),
        ("local:", {}, "local:MODEL"),
        ("mine:m", {"mine": {"url": "http://x"}}, "needs a kind"),
        ("mine:m", {"mine": {"kind": "openai"}}, "needs a kind .* and a url"),
        ("mine:m", {"mine": {"kind": "openai", "url": "http://x"}}, r"price of mine:m .*providers\.mine\.prices\.'m'"),
        ("mine:m", {"mine": {"kind": "anthropic", "prices": {"m": {"input": 1, "output": 1}}}}, "needs key_env"),
        ("offline", {"offline": {"kind": "local"}}, "offline has no settings"),
        ("mine:m", {"mine": {"kind": "openai", "url": "x.com/v1"}}, "url 'x.com/v1': it must start with http"),
        ("mine:m", {"mine": {"kind": "local", "url": "http://x", "urls": ["http://y"]}}, "both url and urls"),
        (
            "mine:m",
            {"mine": {"kind": "anthropic", "url": "http://x", "token_field": "max_tokens"}},
            "token_field, which is for services with chat completions",
        ),
    ],
)
def test_what_is_missing_is_named(label: str, settings: dict[str, Any], said: str) -> None:
    providers = {name: ProviderSettings.model_validate(fields) for name, fields in settings.items()}
    with pytest.raises(ModelError, match=said) as caught:
        open_models({"solve": label}, providers)
    assert caught.value.kind == "refused"


PRICED = {"m": {"input": 1, "output": 2}, "o3": {"input": 1, "output": 2}}
KINDS: dict[str, dict[str, Any]] = {
    "chat": {"kind": "openai", "url": "https://example.invalid/v1", "prices": PRICED},
    "responses": {"kind": "openai-responses", "url": "https://example.invalid/v1", "prices": PRICED},
    "claude": {"kind": "anthropic", "key_env": "MY_KEY", "prices": PRICED},
}


@pytest.mark.parametrize(
    ("label", "parameters", "said"),
    [
        ("chat:m", {"stream": True}, "'stream', which the gateway sets itself"),
        ("chat:m", {"messages": []}, "'messages', which the gateway sets itself"),
        ("chat:m", {"max_tokens": 0}, "max_tokens to 0"),
        ("chat:o3", {"temperature": 0.1}, "'temperature', which chat:o3 does not take$"),
        ("responses:m", {"stop": "x"}, "'stop', which responses:m does not take; it takes: .*reasoning_effort"),
        ("responses:o3", {"top_p": 1}, "'top_p', which responses:o3 does not take; it takes: "),
        ("responses:m", {"top_k": 1}, "'top_k', which responses:m does not take"),
        ("claude:m", {"thinking": True}, "thinking to True"),
        ("claude:m", {"thinking": {"type": "enabled", "budget_tokens": 9000}}, "less than .* which is 8192"),
        ("claude:m", {"thinking": {"type": "enabled", "budget_tokens": 100}}, "at least 1024"),
        ("claude:m", {"thinking": {"type": "enabled"}}, "budget_tokens to None"),
    ],
)
def test_settings_that_a_model_does_not_take_are_told_before_the_run(
    label: str, parameters: dict[str, Any], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_KEY", "k")
    providers = {name: ProviderSettings.model_validate(fields) for name, fields in KINDS.items()}
    with pytest.raises(ModelError, match=r"models\.parameters\.solve sets .*" + said) as caught:
        open_models({"solve": label}, providers, parameters={"solve": parameters})
    assert caught.value.kind == "refused"


def test_what_each_format_and_model_refuses_is_left_out_of_agents_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", "k")
    providers = {name: ProviderSettings.model_validate(fields) for name, fields in KINDS.items()}

    def refused(label: str, **models: Any) -> frozenset[str]:
        name = label.partition(":")[0]
        own = ProviderSettings.model_validate(KINDS[name] | ({"models": models} if models else {}))
        return open_models({"solve": label}, {**providers, name: own})["solve"].unsupported

    assert refused("chat:m") == frozenset()
    assert {"temperature", "stop", "parallel_tool_calls"} <= refused("chat:o3")
    assert refused("chat:o3", o3={"reasoning": False}) == frozenset(), "the settings know better than the name"
    assert "temperature" in refused("chat:m", m={"reasoning": True})
    assert {"stop", "seed"} <= refused("responses:m") and "temperature" not in refused("responses:m")
    assert {"temperature", "top_p", "seed"} <= refused("claude:m")


def test_openai_itself_is_asked_through_responses_unless_told_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    assert isinstance(open_models({"solve": "openai:gpt-5-mini"})["solve"].provider, OpenAIResponses)
    own = {"openai": ProviderSettings(kind="openai")}
    assert isinstance(open_models({"solve": "openai:gpt-5-mini"}, own)["solve"].provider, OpenAICompatible)


def test_a_machine_of_ones_own_is_free_and_needs_no_key() -> None:
    own = {"local": ProviderSettings(url="http://127.0.0.1:9999/v1")}
    model = open_models({"solve": "local:qwen/qwen3:30b"}, own)["solve"]
    assert isinstance(model.provider, Replicas) and model.unsupported == frozenset()
    assert (model.name, model.price) == ("qwen/qwen3:30b", Price(0.0, 0.0))
    priced = {"local": ProviderSettings(prices={"m": PriceSettings(input=1.0, output=2.0)})}
    assert open_models({"solve": "local:m"}, priced)["solve"].price == Price(1.0, 2.0)


def test_prices_of_the_settings_stand_over_the_built_in_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    own = {"openai": ProviderSettings(prices={"gpt-5-mini": PriceSettings(input=9.0, output=9.0)})}
    assert open_models({"solve": "openai:gpt-5-mini"}, own)["solve"].price == Price(9.0, 9.0)


def test_unknown_and_impossible_settings_are_refused() -> None:
    for fields in ({"ulr": "x"}, {"prices": {"m": {"input": -1, "output": 0}}}, {"kind": "magic"}, {"seconds": 0}):
        with pytest.raises(ValidationError):
            ProviderSettings.model_validate(fields)
