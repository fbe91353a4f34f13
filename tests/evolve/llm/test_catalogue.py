"""From `provider:model` to a model with its key and price, or one clear sentence."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from evolve.llm import ModelError, Price, PriceSettings, ProviderSettings, open_models
from evolve.llm.anthropic import Anthropic
from evolve.llm.catalogue import price_list
from evolve.llm.openai_compatible import OpenAICompatible


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
    taken = {"reasoning_effort": "high", "thinking": {"type": "disabled"}}
    assert (
        open_models({"solve": "anthropic:claude-haiku-4-5"}, parameters={"solve": taken})["solve"].parameters == taken
    )


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
    ],
)
def test_what_is_missing_is_named(label: str, settings: dict[str, Any], said: str) -> None:
    providers = {name: ProviderSettings.model_validate(fields) for name, fields in settings.items()}
    with pytest.raises(ModelError, match=said) as caught:
        open_models({"solve": label}, providers)
    assert caught.value.kind == "refused"


def test_a_machine_of_ones_own_is_free_and_needs_no_key() -> None:
    own = {"local": ProviderSettings(url="http://127.0.0.1:9999/v1")}
    model = open_models({"solve": "local:qwen/qwen3:30b"}, own)["solve"]
    assert isinstance(model.provider, OpenAICompatible)
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


def test_the_price_list_is_sane() -> None:
    prices = [price for models in price_list().values() for price in models.values()]
    assert len(prices) >= 10
    for price in prices:
        assert 0 < price.input < price.output < 1000
        assert price.cached is None or price.cached < price.input
        assert price.cache_write is None or math.isclose(price.cache_write, 1.25 * price.input)


def test_the_price_list_says_where_and_when_it_was_read() -> None:
    import tomllib

    import evolve.llm

    table = tomllib.loads((Path(evolve.llm.__file__).parent / "prices.toml").read_text())
    assert all(entry["source"].startswith("https://") and entry["checked"].year >= 2026 for entry in table.values())
