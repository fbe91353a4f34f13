"""What a run's models are, as plain facts: services, roles, prices. No model is asked and no key is needed."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import date
from typing import Any

from evolve.llm import (
    Model,
    ModelError,
    PriceEntry,
    ProviderSettings,
    Role,
    entry_of,
    open_models,
    price_table,
    services,
)
from evolve.settings import Settings, SettingsError

Facts = dict[str, Any]


def service_facts(settings: Settings) -> list[Facts]:
    """Every service that the run could name. Raises: `ModelError`."""
    used = {label.partition(":")[0] for label in settings.models.roles.values()}
    return [
        {
            "service": name,
            "kind": own.kind,
            "urls": list(own.urls or ([own.url] if own.url else [])),
            "key_env": own.key_env,
            "key_set": None if own.key_env is None else key_set(own.key_env),
            "used": name in used,
            "limits": {
                limit: getattr(own, limit)
                for limit in ("requests_per_minute", "tokens_per_minute", "concurrent", "usd_per_hour")
                if getattr(own, limit) is not None
            },
        }
        for name, own in services(settings.providers).items()
    ]


def key_set(variable: str) -> bool:
    """Whether an environment variable holds a key."""
    return bool(os.environ.get(variable, "").strip())


def role_facts(settings: Settings) -> list[Facts]:
    """What each role uses. Raises: `ModelError`, naming the role whose model cannot be opened."""
    models = open_models(
        settings.models.roles,
        settings.providers,
        parameters=settings.models.parameters,
        max_output_tokens=settings.models.max_output_tokens,
        unplugged=True,
    )
    return [
        {
            "role": role,
            "model": settings.models.roles[role],
            "protocol": model.protocol,
            "max_output_tokens": model.max_output_tokens,
            "parameters": dict(model.parameters),
            "left_out": sorted(model.unsupported),
            "price": rates(model),
        }
        for role, model in models.items()
    ]


def check_models(settings: Settings) -> None:
    """See that the roles' models can be opened, as far as the settings say.

    Raises: `SettingsError` for a service, a price or a parameter that is wrong. No key is asked for.
    """
    try:
        role_facts(settings)
    except ModelError as error:
        raise SettingsError(str(error)) from None


def rates(model: Model) -> Facts:
    """A model's price as facts, without what is not set."""
    return {name: value for name, value in asdict(model.price).items() if value is not None}


def labels_of(settings: Settings) -> list[str]:
    """The models of the roles as `service:model`, each once, in the roles' order."""
    return list(dict.fromkeys(full(label) for label in settings.models.roles.values()))


def full(label: str) -> str:
    return "offline:repair" if label == "offline" else label


def built_in_labels() -> list[str]:
    return [f"{service}:{name}" for service, models in price_table().entries.items() for name in models]


def priced_labels(settings: Settings) -> list[str]:
    """The models that run.toml itself sets prices for, as `service:model`."""
    return [f"{service}:{name}" for service, own in settings.providers.items() for name in own.prices]


def price_facts(labels: Iterable[str], providers: Mapping[str, ProviderSettings], today: date) -> list[Facts]:
    """The price of each model and how it is known. Raises: `ModelError` for a service or a price that is not known."""
    known = services(providers)
    facts = []
    for label in labels:
        service, _, name = label.partition(":")
        if service not in known and service != "offline":
            names = ", ".join(sorted({"offline", *known}))
            raise ModelError(f"{label}: there is no service {service!r}; there are {names}", kind="refused")
        entry = entry_of(service, name, known.get(service, ProviderSettings()))
        facts.append({"model": label, **price_row(entry, today)})
    return facts


def price_row(entry: PriceEntry, today: date) -> Facts:
    price = entry.price
    above = None
    if price.above is not None:
        long = price.above.price
        above = {
            "tokens": price.above.tokens,
            "input": long.input,
            "cached": long.cached,
            "cache_write": long.cache_write,
            "output": long.output,
        }
    return {
        "input": price.input,
        "cached": price.cached,
        "cache_write": price.cache_write,
        "output": price.output,
        "above": above,
        "usd_per_hour": price.hour,
        "origin": entry.origin,
        "source": entry.source or None,
        "checked": None if entry.checked is None else entry.checked.isoformat(),
        "age_days": entry.age(today),
        "old": entry.old(today),
    }


def one_role(settings: Settings, role: Role) -> Model:
    """The role's model, with its service and key. Raises: `ModelError`."""
    return open_models(
        {role: settings.models.roles[role]},
        settings.providers,
        parameters=settings.models.parameters,
        max_output_tokens=settings.models.max_output_tokens,
    )[role]
