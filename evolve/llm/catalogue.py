"""The settings' `provider:model` made into models: which services there are, their keys, their prices.

A key is read once, from the environment variable that the settings name, and given to its provider alone.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from evolve.llm.base import Completion, Json, Model, ModelError, Price, Provider, Role, Scope, ToolProtocol
from evolve.llm.openai_compatible import OpenAICompatible, TokenField
from evolve.llm.traffic import Limits

OFFLINE_MODEL = "repair"
"""The one model of the provider `offline`; `offline` alone means it."""
FREE = Price(0.0, 0.0)
DATED = re.compile(r"-(?:\d{8}|\d{4}-\d{2}-\d{2})$")
"""End of the name of a snapshot, such as `claude-haiku-4-5-20251001`: it costs what the undated name costs."""


class PriceSettings(BaseModel):
    """A model's price in US dollars per million tokens."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    input: float = Field(ge=0)
    output: float = Field(ge=0)
    cached: float | None = Field(default=None, ge=0)
    """Of a prompt's part that came from the provider's cache. None: as `input`."""
    cache_write: float | None = Field(default=None, ge=0)
    """Of a prompt's part that was written to the provider's cache. None: as `input`."""


class ModelSettings(BaseModel):
    """What is particular to one model of a service."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    protocol: ToolProtocol = "tools"
    """`fenced`: tool calls travel as fenced blocks in plain text, for models or servers that are bad at real ones."""
    reasoning: bool | None = None
    """Whether it thinks before it answers and so takes no temperature. None: told by its name."""
    max_output_tokens: int | None = Field(default=None, ge=1)
    """Instead of `models.max_output_tokens`."""


Kind = Literal["openai", "openai-responses", "anthropic", "local", "vllm"]


class ProviderSettings(BaseModel):
    """A model service. The built-in ones (openai, anthropic, openrouter, local…) need only what shall differ."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Kind | None = None
    """What it speaks: OpenAI's chat completions or responses, Anthropic's messages, chat completions on a machine of
    your own, which is free unless `prices` says otherwise, or a fleet that `clade vllm up` started. May be left out
    for a built-in service."""
    url: str | None = None
    """Base URL, such as `http://localhost:8000/v1`."""
    urls: tuple[str, ...] = ()
    """Instead of `url`: replicas that serve the same models. A rollout stays on one as long as it can."""
    key_env: str | None = None
    """Name of the environment variable with the key; never the key."""
    prices: dict[str, PriceSettings] = {}
    """By the service's own name of the model."""
    token_field: TokenField | None = None
    """How the service calls the cap on generated tokens. None: `max_completion_tokens` at the built-in `openai`, else
    `max_tokens`."""
    seconds: float = Field(default=600.0, gt=0)
    """How long one answer may take."""
    requests_per_minute: float | None = Field(default=None, gt=0)
    tokens_per_minute: float | None = Field(default=None, gt=0)
    """Input and output together."""
    concurrent: int | None = Field(default=None, ge=1)
    """Calls at the service at once."""
    usd_per_hour: float | None = Field(default=None, ge=0)
    """Of the machines behind a service of your own; calls under way at the same time share it."""
    models: dict[str, ModelSettings] = {}
    """By the service's own name of the model."""


BUILT_IN: Mapping[str, ProviderSettings] = {
    "openai": ProviderSettings(
        kind="openai", url="https://api.openai.com/v1", key_env="OPENAI_API_KEY", token_field="max_completion_tokens"
    ),
    "anthropic": ProviderSettings(kind="anthropic", url="https://api.anthropic.com", key_env="ANTHROPIC_API_KEY"),
    "openrouter": ProviderSettings(kind="openai", url="https://openrouter.ai/api/v1", key_env="OPENROUTER_API_KEY"),
    "local": ProviderSettings(kind="local", url="http://localhost:8000/v1"),
}


def open_models(
    roles: Mapping[Role, str],
    providers: Mapping[str, ProviderSettings] | None = None,
    *,
    parameters: Mapping[Role, Mapping[str, Any]] | None = None,
    max_output_tokens: int = 8192,
    unplugged: bool = False,
) -> dict[Role, Model]:
    """A model for each role, from `provider:model`; roles that share a service share its connections.

    Args:
        providers: services beyond the built-in ones, or what differs of those.
        parameters: fields set in every request of a role.
        max_output_tokens: what one call may generate at most.
        unplugged: open no service and ask for no key, for a replay.

    Raises: `ModelError` for a service that is not known, a missing key and an unknown price, naming each.
    """
    opened: dict[str, Provider] = {}
    models: dict[Role, Model] = {}
    for role, label in roles.items():
        service, _, name = label.partition(":")
        settings = _settings(service, providers or {}, role)
        name = name or (OFFLINE_MODEL if service == "offline" else "")
        if not name:
            raise _refused(f"the model for {role} is {label!r}: name the service's model too, as {service}:MODEL")
        if service not in opened:
            opened[service] = Unplugged(service) if unplugged else _provider(service, settings)
        price = _price(service, name, settings)
        own: Json = dict((parameters or {}).get(role, {}))
        if settings.kind == "anthropic":
            _check_parameters(own, role, label)
        particular = settings.models.get(name, ModelSettings())
        models[role] = Model(
            opened[service],
            name,
            price,
            particular.max_output_tokens or max_output_tokens,
            own,
            particular.protocol,
        )
    return models


def limits_of(roles: Mapping[Role, str], providers: Mapping[str, ProviderSettings] | None = None) -> dict[str, Limits]:
    """The rate limits that the settings set, by service."""
    limits: dict[str, Limits] = {}
    for role, label in roles.items():
        service = label.partition(":")[0]
        own = _settings(service, providers or {}, role)
        limits[service] = Limits(own.requests_per_minute, own.tokens_per_minute, own.concurrent)
    return limits


class Unplugged:
    """Stands for a service in a replay, where every answer comes from the cassette."""

    def __init__(self, name: str) -> None:
        self.name = name

    async def complete(self, request: Json, scope: Scope) -> Completion:
        """Raises: `ModelError`, always."""
        raise ModelError(f"{self.name} is not asked in a replay", kind="refused")

    async def close(self) -> None:
        """Nothing to release."""


def _settings(service: str, providers: Mapping[str, ProviderSettings], role: str) -> ProviderSettings:
    own = providers.get(service)
    if service == "offline":
        if own is not None:
            raise _refused("the provider offline has no settings: choose another name for a service of your own")
        return ProviderSettings()
    built_in = BUILT_IN.get(service)
    if own is None and built_in is None:
        known = ", ".join(sorted({"offline", *BUILT_IN, *providers}))
        raise _refused(f"the model for {role} names the provider {service!r}, which is not one of: {known}")
    if built_in is not None:
        said = own.model_dump(exclude_unset=True) if own is not None else {}
        return ProviderSettings.model_validate(built_in.model_dump() | said)
    assert own is not None
    if own.kind is None or (own.url is None and own.kind != "anthropic"):
        raise _refused(f"the provider {service!r} needs a kind (openai, anthropic or local) and a url")
    return own


def _provider(service: str, settings: ProviderSettings) -> Provider:
    if service == "offline":
        from evolve.llm.offline import OfflineProvider  # many modules, wanted only here

        return OfflineProvider()
    key = _key(service, settings)
    if settings.kind == "anthropic":
        from evolve.llm.anthropic import URL, Anthropic  # the SDK takes most of a second to import

        if key is None:
            raise _refused(f"the provider {service!r} needs key_env, the name of the environment variable with its key")
        return Anthropic(service, key=key, key_env=settings.key_env, url=settings.url or URL, seconds=settings.seconds)
    assert settings.url is not None
    field = settings.token_field or "max_tokens"
    return OpenAICompatible(
        service, settings.url, key=key, key_env=settings.key_env, token_field=field, seconds=settings.seconds
    )


def _check_parameters(parameters: Json, role: str, label: str) -> None:
    """Fields with no counterpart in the Messages format are refused here, not dropped call by call."""
    from evolve.llm.anthropic_messages import PASSED_ON, TRANSLATED

    known = PASSED_ON | TRANSLATED
    if unknown := parameters.keys() - known:
        raise _refused(
            f"models.parameters.{role} sets {min(unknown)!r}, which {label} does not take; it takes: "
            + ", ".join(sorted(known))
        )


def _key(service: str, settings: ProviderSettings) -> str | None:
    if settings.key_env is None:
        return None
    key = os.environ.get(settings.key_env, "").strip()
    if not key:
        raise _refused(f"the provider {service!r} needs a key in the environment variable {settings.key_env}, not set")
    return key


def _price(service: str, name: str, settings: ProviderSettings) -> Price:
    for known in (name, DATED.sub("", name)):
        if (said := settings.prices.get(known)) is not None:
            return Price(**said.model_dump())
        if (listed := price_list().get(service, {}).get(known)) is not None:
            return listed
    if service == "offline" or settings.kind == "local":
        return FREE
    raise _refused(
        f"the price of {service}:{name} is not known: set [providers.{service}.prices.{name!r}] with input and output, "
        "in dollars per million tokens"
    )


@cache
def price_list() -> dict[str, dict[str, Price]]:
    """The built-in prices by service and model, from `prices.toml`."""
    table = tomllib.loads(files("evolve.llm").joinpath("prices.toml").read_text(encoding="utf-8"))
    return {
        service: {name: Price(**price) for name, price in entry["models"].items()} for service, entry in table.items()
    }


def _refused(text: str) -> ModelError:
    return ModelError(text, kind="refused")
