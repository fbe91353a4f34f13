"""What a model costs: the run's own prices, else the built-in table, else nothing if it runs on a machine of one's own.

A model that costs money and whose price nobody knows is an error: no budget could hold.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from evolve.llm.base import Above, Json, ModelError, Price

if TYPE_CHECKING:
    from evolve.llm.catalogue import ProviderSettings

FREE = Price(0.0, 0.0)
OWN_MACHINES = frozenset({"local", "vllm"})
"""Kinds of services that cost nothing unless the settings say so."""
DATED = re.compile(r"-(?:\d{8}|\d{4}-\d{2}-\d{2})$")
"""End of the name of a snapshot, such as `claude-haiku-4-5-20251001`: it costs what the undated name costs."""
OLD_DAYS = 90
"""Days after which a built-in price should be compared with its source again."""
STANDARD_TIERS = frozenset({"default", "standard", "standard_only"})
"""Values of `service_tier` that the built-in prices are those of."""

Origin = Literal["run.toml", "built-in", "free"]


class Rates(BaseModel):
    """US dollars per million tokens."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    input: float = Field(ge=0)
    output: float = Field(ge=0)
    cached: float | None = Field(default=None, ge=0)
    """Of a prompt's part that came from the provider's cache. None: as `input`."""
    cache_write: float | None = Field(default=None, ge=0)
    """Of a prompt's part that was written to the provider's cache. None: as `input`."""

    @property
    def flat(self) -> Price:
        return Price(self.input, self.output, self.cached, self.cache_write)


class AboveSettings(Rates):
    """What a whole call costs whose prompt has more than `tokens` tokens."""

    tokens: int = Field(ge=1)


class PriceSettings(Rates):
    """A model's price in US dollars per million tokens."""

    above: AboveSettings | None = None
    """For services that charge more for long prompts."""

    @property
    def price(self) -> Price:
        above = None if self.above is None else Above(self.above.tokens, self.above.flat)
        return replace(self.flat, above=above)


@dataclass(frozen=True, slots=True)
class PriceEntry:
    """A price, and how it is known."""

    price: Price
    origin: Origin
    """`free`: a machine of one's own, for which nothing is set."""
    source: str = ""
    """Address of the provider's price page, for built-in prices."""
    checked: date | None = None
    """The day of the newest copy or audit that a built-in price rests on (see prices.toml)."""

    def age(self, today: date) -> int | None:
        """Days since it was compared; None where there is nothing to compare with."""
        return None if self.checked is None else (today - self.checked).days

    def old(self, today: date) -> bool:
        age = self.age(today)
        return age is not None and age > OLD_DAYS


@dataclass(frozen=True, slots=True)
class PriceTable:
    """The built-in prices."""

    version: str
    entries: Mapping[str, Mapping[str, PriceEntry]]
    """By service and the service's own name of the model."""


def price_of(service: str, name: str, settings: ProviderSettings) -> Price:
    """The price of a service's model. Raises: `ModelError` if it is not known."""
    return entry_of(service, name, settings).price


def entry_of(service: str, name: str, settings: ProviderSettings) -> PriceEntry:
    """The price of a service's model, and how it is known. Raises: `ModelError` if it is not known."""
    entry = _tokens(service, name, settings)
    if entry is None and (service == "offline" or settings.kind in OWN_MACHINES):
        entry = PriceEntry(FREE, "free")
    if settings.usd_per_hour is not None:
        # By the hour and not by the token, unless both are set.
        tokens = FREE if entry is None else entry.price
        return PriceEntry(replace(tokens, hour=settings.usd_per_hour), "run.toml")
    if entry is None:
        raise ModelError(
            f"the price of {service}:{name} is not known: set [providers.{service}.prices.{name!r}] with input and "
            "output, in dollars per million tokens",
            kind="refused",
        )
    return entry


def check_tier(role: str, label: str, entry: PriceEntry, parameters: Mapping[str, Any]) -> None:
    """See that a role asks for no processing tier that its price is not the price of.

    Raises: `ModelError` naming the setting.
    """
    tier = parameters.get("service_tier")
    if entry.origin == "built-in" and tier is not None and tier not in STANDARD_TIERS:
        service, _, name = label.partition(":")
        raise ModelError(
            f"models.parameters.{role} sets service_tier {tier!r}, which has prices of its own that the built-in table "
            f"does not hold: set them as [providers.{service}.prices.{name!r}], or leave service_tier out",
            kind="refused",
        )


@cache
def price_table() -> PriceTable:
    """The built-in prices, from `prices.toml`."""
    table = tomllib.loads(files("evolve.llm").joinpath("prices.toml").read_text(encoding="utf-8"))
    version = str(table.pop("version"))
    entries = {
        service: {name: _entry(row, about) for name, row in about["models"].items()} for service, about in table.items()
    }
    return PriceTable(version, entries)


def _entry(row: Json, about: Json) -> PriceEntry:
    rates = {name: value for name, value in row.items() if name not in ("source", "checked")}
    said = {**about, **row}
    return PriceEntry(PriceSettings.model_validate(rates).price, "built-in", said["source"], said["checked"])


def _tokens(service: str, name: str, settings: ProviderSettings) -> PriceEntry | None:
    listed = price_table().entries.get(service, {})
    for known in (name, DATED.sub("", name)):
        if (said := settings.prices.get(known)) is not None:
            return PriceEntry(said.price, "run.toml")
        if known in listed:
            return listed[known]
    return None
