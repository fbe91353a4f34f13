"""The settings' `provider:model` made into models: which services there are, their keys, their prices.

A key is read once, from the environment variable that the settings name, and given to its provider alone.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from evolve.llm.base import Completion, Json, Model, ModelError, Provider, Role, Scope, ToolProtocol
from evolve.llm.fleets import check_fleet, open_fleet, open_urls
from evolve.llm.http_client import is_azure, is_openai
from evolve.llm.openai_compatible import OpenAICompatible, TokenField
from evolve.llm.openai_responses import OpenAIResponses
from evolve.llm.parameters import check_parameters, refused_fields
from evolve.llm.prices import PriceSettings, check_tier, entry_of
from evolve.llm.redact import remember
from evolve.llm.traffic import Limits

OFFLINE_MODEL = "repair"
"""The one model of the provider `offline`; `offline` alone means it."""


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
    """How a service with chat completions calls the cap on generated tokens. None: `max_completion_tokens` at OpenAI
    and Azure, else `max_tokens`."""
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
        # Not chat completions, where newer models refuse to think and to call tools at once.
        kind="openai-responses",
        url="https://api.openai.com/v1",
        key_env="OPENAI_API_KEY",
    ),
    "anthropic": ProviderSettings(kind="anthropic", url="https://api.anthropic.com", key_env="ANTHROPIC_API_KEY"),
    "openrouter": ProviderSettings(kind="openai", url="https://openrouter.ai/api/v1", key_env="OPENROUTER_API_KEY"),
    "local": ProviderSettings(kind="local", url="http://localhost:8000/v1"),
    "vllm": ProviderSettings(kind="vllm"),
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
        lane = _lane(service, name, settings)
        if lane not in opened:
            opened[lane] = Unplugged(lane) if unplugged else _provider(service, settings, name)
        entry = entry_of(service, name, settings)
        own: Json = dict((parameters or {}).get(role, {}))
        check_tier(role, f"{service}:{name}", entry, own)
        particular = settings.models.get(name, ModelSettings())
        most = particular.max_output_tokens or max_output_tokens
        refused = refused_fields(settings.kind, name, particular.reasoning)
        check_parameters(
            own, kind=settings.kind, refused=refused, role=role, label=f"{service}:{name}", max_output_tokens=most
        )
        if _is_fleet(settings) and not unplugged:
            check_fleet(service, name, particular.protocol, most)
        models[role] = Model(opened[lane], name, entry.price, most, own, particular.protocol, refused)
    return models


def limits_of(roles: Mapping[Role, str], providers: Mapping[str, ProviderSettings] | None = None) -> dict[str, Limits]:
    """The rate limits that the settings set, by service."""
    limits: dict[str, Limits] = {}
    for role, label in roles.items():
        service, _, name = label.partition(":")
        own = _settings(service, providers or {}, role)
        limits[_lane(service, name, own)] = Limits(own.requests_per_minute, own.tokens_per_minute, own.concurrent)
    return limits


def services(providers: Mapping[str, ProviderSettings] | None = None) -> dict[str, ProviderSettings]:
    """Every service that a run can name, with all that is set for it; the embedded `offline` has no settings.

    Raises: `ModelError` for one that is not set up completely.
    """
    own = providers or {}
    return {name: _settings(name, own, "a role") for name in sorted({*BUILT_IN, *own})}


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
        _check_address(service, own or built_in)
        return ProviderSettings.model_validate(built_in.model_dump() | said)
    assert own is not None
    if own.kind is None or not (own.url or own.urls or own.kind in ("anthropic", "vllm")):
        raise _refused(f"the provider {service!r} needs a kind (openai, anthropic, local…) and a url")
    _check_address(service, own)
    return own


def _check_address(service: str, own: ProviderSettings) -> None:
    if own.url and own.urls:
        raise _refused(f"the provider {service!r} has both url and urls: put the one address into urls")
    if own.url and not own.url.startswith(("http://", "https://")):
        raise _refused(f"the provider {service!r} has the url {own.url!r}: it must start with http:// or https://")
    if own.token_field and own.kind in ("anthropic", "openai-responses"):
        raise _refused(f"the provider {service!r} has a token_field, which is for services with chat completions")


def _is_fleet(settings: ProviderSettings) -> bool:
    """Whether what stands for the model is the name of a fleet."""
    return settings.kind == "vllm" and not settings.url and not settings.urls


def _lane(service: str, name: str, settings: ProviderSettings) -> str:
    """What rate limits and outages are kept by: each fleet is a service of its own."""
    return f"{service}:{name}" if _is_fleet(settings) else service


def _provider(service: str, settings: ProviderSettings, name: str) -> Provider:
    if service == "offline":
        from evolve.llm.offline import OfflineProvider  # many modules, wanted only here

        return OfflineProvider()
    if _is_fleet(settings):
        return open_fleet(service, name, seconds=settings.seconds)
    key = _key(service, settings)
    if settings.urls and settings.kind in ("anthropic", "openai-responses"):
        raise _refused(f"the provider {service!r} has urls, which are for servers with OpenAI's chat completions")
    if settings.kind == "anthropic":
        from evolve.llm.anthropic import URL, Anthropic  # the SDK takes most of a second to import

        if key is None:
            raise _refused(f"the provider {service!r} needs key_env, the name of the environment variable with its key")
        return Anthropic(service, key=key, key_env=settings.key_env, url=settings.url or URL, seconds=settings.seconds)
    if settings.kind == "openai-responses":
        assert settings.url is not None
        return OpenAIResponses(
            service,
            settings.url,
            key=key,
            key_env=settings.key_env,
            seconds=settings.seconds,
            cache_key=is_openai(settings.url),
        )
    field = settings.token_field or _token_field(settings.url)
    if settings.urls or settings.kind in ("local", "vllm"):
        urls = settings.urls or (settings.url or "",)
        return open_urls(service, urls, key=key, key_env=settings.key_env, token_field=field, seconds=settings.seconds)
    assert settings.url is not None
    return OpenAICompatible(
        service,
        settings.url,
        key=key,
        key_env=settings.key_env,
        token_field=field,
        seconds=settings.seconds,
        cache_key=is_openai(settings.url),
    )


def _token_field(url: str | None) -> TokenField:
    return "max_completion_tokens" if url is not None and (is_openai(url) or is_azure(url)) else "max_tokens"


def _key(service: str, settings: ProviderSettings) -> str | None:
    if settings.key_env is None:
        return None
    key = os.environ.get(settings.key_env, "").strip()
    if not key:
        raise _refused(f"the provider {service!r} needs a key in the environment variable {settings.key_env}, not set")
    remember(settings.key_env, key)
    return key


def _refused(text: str) -> ModelError:
    return ModelError(text, kind="refused")
