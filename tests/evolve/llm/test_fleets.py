"""What the settings may say of replicas and fleets, and what is refused before a run starts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from evolve.llm import Limits, Model, ModelError, ProviderSettings, Role, limits_of, open_models
from evolve.llm.redact import redact
from evolve.llm.replicas import Replicas
from evolve.vllm.registry import Fleet, Replica, folder_of, write_fleet

KEY = "fleet-key-abcdef0123456789"


@pytest.fixture
def fleet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fleet:
    """A registered fleet with a parser for tool calls and a context of 4,096 tokens."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    replicas = (Replica(0, "http://127.0.0.1:1", state="ready"),)
    return registered(Fleet("coder", "/models/tiny", "coder", KEY, 4096, replicas, tool_parser="hermes"))


def registered(fleet: Fleet) -> Fleet:
    folder_of(fleet.name).mkdir(parents=True, exist_ok=True)
    (folder_of(fleet.name) / "key").write_text(fleet.key)
    write_fleet(fleet)
    return fleet


def opened(label: str, *, most: int = 1000, unplugged: bool = False, **settings: Mapping[str, Any]) -> Model:
    providers = {name: ProviderSettings.model_validate(given) for name, given in settings.items()}
    return open_models({"solve": label}, providers, max_output_tokens=most, unplugged=unplugged)["solve"]


def refused(label: str, **more: Any) -> str:
    with pytest.raises(ModelError) as caught:
        opened(label, **more)
    assert caught.value.kind == "refused"
    return str(caught.value)


def test_a_fleet_is_a_model_of_the_provider_vllm(fleet: Fleet) -> None:
    model = opened("vllm:coder")
    assert isinstance(model.provider, Replicas) and model.provider.name == "vllm:coder"
    assert model.label == "vllm:coder" and model.price.input == model.price.output == 0
    assert KEY not in redact(f"it said {KEY}")


def test_two_fleets_are_two_services(fleet: Fleet) -> None:
    registered(replace(fleet, name="big", served_name="big"))
    roles: dict[Role, str] = {"solve": "vllm:coder", "improve": "vllm:big", "diagnose": "vllm:coder"}
    models = open_models(roles, max_output_tokens=1000)
    assert models["solve"].provider is models["diagnose"].provider is not models["improve"].provider
    settings = {"vllm": ProviderSettings(concurrent=8)}
    assert limits_of(roles, settings) == {name: Limits(None, None, 8) for name in ("vllm:coder", "vllm:big")}


def test_a_replay_needs_no_fleet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert opened("vllm:coder", unplugged=True).label == "vllm:coder"


def test_what_a_fleet_would_refuse_at_every_call_is_refused_at_once(fleet: Fleet) -> None:
    assert "no fleet 'other'" in refused("vllm:other")
    assert "4096 tokens" in refused("vllm:coder", most=4096)
    registered(replace(fleet, tool_parser=None, context_length=None))
    assert 'set protocol = "fenced" in [providers.vllm.models' in refused("vllm:coder")
    fenced = {"models": {"coder": {"protocol": "fenced"}}}
    assert opened("vllm:coder", vllm=fenced, most=4096).protocol == "fenced"


@pytest.mark.parametrize("kind", ["vllm", "local", "openai"])
def test_urls_are_replicas_of_one_service(kind: str) -> None:
    urls = ["http://gpu1:8000/v1", "http://gpu2:8000/v1"]
    prices = {"m": {"input": 0, "output": 0}}
    model = opened("mine:m", mine={"kind": kind, "urls": urls, "prices": prices})
    assert isinstance(model.provider, Replicas) and model.label == "mine:m"


@pytest.mark.parametrize("kind", ["vllm", "local"])
def test_one_server_of_ones_own_is_paced_by_its_figures_too(kind: str) -> None:
    model = opened("mine:m", mine={"kind": kind, "url": "http://gpu1:8000/v1"})
    assert isinstance(model.provider, Replicas)


@pytest.mark.parametrize("kind", ["anthropic", "openai-responses"])
def test_urls_are_for_chat_completions(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINE", "sk-mine-0123456789abcdef")
    mine = {"kind": kind, "urls": ["http://a"], "key_env": "MINE", "prices": {"m": {"input": 0, "output": 0}}}
    assert "chat completions" in refused("mine:m", mine=mine)
