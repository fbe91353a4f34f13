"""What a model costs, how that is known, and what is refused because it is not."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from evolve.llm import ModelError, Price, PriceSettings, ProviderSettings, Usage, entry_of, open_models, price_table
from evolve.llm.base import Above
from evolve.llm.ledger import Worst
from evolve.llm.prices import OLD_DAYS, PriceEntry

ALL = [(service, name) for service, models in price_table().entries.items() for name in models]
LOCAL = ProviderSettings(kind="local", url="http://127.0.0.1:8000/v1")
PAID = ProviderSettings(kind="openai", url="http://127.0.0.1:8000/v1")


@pytest.mark.parametrize(("service", "name"), ALL)
def test_each_built_in_price_is_sane_and_says_where_and_when_it_was_read(service: str, name: str) -> None:
    entry = price_table().entries[service][name]
    price = entry.price
    assert entry.origin == "built-in" and entry.source.startswith("https://")
    assert entry.checked is not None and date(2026, 1, 1) <= entry.checked
    assert 0 < price.input < price.output < 1000 and price.hour is None
    assert price.cached is not None and 0 < price.cached <= price.input / 4
    # Where writing to a cache costs anything, all of them take a quarter more than for plain input.
    assert price.cache_write is None or price.cache_write == pytest.approx(1.25 * price.input)
    if price.above is not None:
        long = price.above.price
        assert price.above.tokens >= 100_000 and long.above is None
        factor = long.input / price.input
        assert factor > 1 and long.output > price.output
        assert long.cached == pytest.approx(factor * price.cached)
        assert (long.cache_write is None) == (price.cache_write is None)


def test_the_table_has_a_version_not_older_than_its_rows() -> None:
    newest = max(entry.checked for models in price_table().entries.values() for entry in models.values())  # type: ignore[type-var]
    assert newest is not None and date.fromisoformat(price_table().version) >= newest
    assert len(ALL) >= 30


def test_the_whole_call_costs_more_above_the_limit_and_not_at_it() -> None:
    haiku = entry_of("anthropic", "claude-haiku-5-5", ProviderSettings(kind="anthropic")).price
    assert haiku.of(Usage(100_000, 0, 0, 1000)) == pytest.approx(100_000 * 0.10e-6 + 1000 * 0.50e-6)
    assert haiku.of(Usage(100_001, 0, 0, 1000)) == pytest.approx(100_001 * 0.50e-6 + 1000 * 2.50e-6)
    # What came from the cache counts for the length, and has a dearer rate of its own.
    assert haiku.of(Usage(150_000, 140_000, 4_000, 0)) == pytest.approx(
        6_000 * 0.50e-6 + 140_000 * 0.05e-6 + 4_000 * 0.625e-6
    )


rates = st.floats(0.001, 100, allow_nan=False)
PRICES = st.builds(Price, rates, rates, st.none() | rates, st.none() | rates)


SHARES = st.floats(0, 1)


@given(PRICES, PRICES, st.integers(1, 10_000), st.integers(0, 20_000), st.integers(0, 9_000), SHARES, SHARES)
def test_the_worst_case_covers_every_call_of_its_size(
    price: Price, long: Price, limit: int, prompt: int, output: int, cached: float, written: float
) -> None:
    tiered = replace(price, above=Above(limit, long))
    read = int(prompt * cached)
    usage = Usage(prompt, read, int((prompt - read) * written), output)
    assert tiered.of(usage) <= Worst.of(tiered, prompt, output).usd * (1 + 1e-9) + 1e-12


def test_the_runs_own_price_stands_over_the_built_in_one() -> None:
    own = ProviderSettings(prices={"gpt-5-mini": PriceSettings(input=9.0, output=9.5)})
    entry = entry_of("openai", "gpt-5-mini", own)
    assert (entry.price, entry.origin, entry.checked, entry.source) == (Price(9.0, 9.5), "run.toml", None, "")
    assert entry_of("openai", "gpt-5-mini-2025-08-07", own).price.input == 9.0, "a snapshot costs what its model costs"


def test_a_price_of_ones_own_may_have_a_dearer_rate_for_long_prompts() -> None:
    said = {"input": 1, "output": 2, "above": {"tokens": 100, "input": 3, "output": 4, "cached": 1}}
    price = entry_of("mine", "m", PAID.model_copy(update={"prices": {"m": PriceSettings.model_validate(said)}})).price
    assert price == Price(1.0, 2.0, above=Above(100, Price(3.0, 4.0, 1.0)))
    for wrong in ({**said, "above": {"tokens": 100}}, {**said, "above": {**said["above"], "tokens": 0}}):  # type: ignore[dict-item]
        with pytest.raises(ValidationError):
            PriceSettings.model_validate(wrong)


@pytest.mark.parametrize(
    ("service", "settings", "expected"),
    [
        ("offline", ProviderSettings(), PriceEntry(Price(0, 0), "free")),
        ("local", LOCAL, PriceEntry(Price(0, 0), "free")),
        ("fleet", ProviderSettings(kind="vllm"), PriceEntry(Price(0, 0), "free")),
        ("local", LOCAL.model_copy(update={"usd_per_hour": 2.5}), PriceEntry(Price(0, 0, hour=2.5), "run.toml")),
        ("rented", PAID.model_copy(update={"usd_per_hour": 4.0}), PriceEntry(Price(0, 0, hour=4.0), "run.toml")),
        (
            "local",
            LOCAL.model_copy(update={"prices": {"m": PriceSettings(input=1, output=2)}, "usd_per_hour": 3.0}),
            PriceEntry(Price(1, 2, hour=3.0), "run.toml"),
        ),
        (
            "local",
            LOCAL.model_copy(update={"prices": {"m": PriceSettings(input=1, output=2)}}),
            PriceEntry(Price(1, 2), "run.toml"),
        ),
    ],
)
def test_a_machine_of_ones_own_is_free_unless_priced_by_token_or_by_hour(
    service: str, settings: ProviderSettings, expected: PriceEntry
) -> None:
    assert entry_of(service, "m", settings) == expected


@pytest.mark.parametrize("name", ["gpt-99", "gpt-5-minx", "gpt-5-mini-2025-08", "GPT-5-MINI", ""])
def test_a_price_that_nobody_knows_is_an_error_with_the_cure(name: str) -> None:
    with pytest.raises(
        ModelError, match=rf"price of openai:{name} is not known: set \[providers\.openai\.prices"
    ) as caught:
        entry_of("openai", name, ProviderSettings(kind="openai"))
    assert caught.value.kind == "refused"


@pytest.mark.parametrize("tier", ["priority", "flex", "auto", "fast", 3])
def test_a_tier_that_the_table_does_not_price_is_refused_by_name(tier: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    roles: Any = {"solve": "openai:gpt-5-mini"}
    with pytest.raises(ModelError, match=r"models\.parameters\.solve sets service_tier .*prices\.'gpt-5-mini'\]"):
        open_models(roles, parameters={"solve": {"service_tier": tier}})
    own = {"openai": ProviderSettings(prices={"gpt-5-mini": PriceSettings(input=1, output=2)})}
    assert open_models(roles, own, parameters={"solve": {"service_tier": tier}})["solve"].price == Price(1, 2)
    assert open_models(roles, parameters={"solve": {"service_tier": "default"}})["solve"].price.input == 0.25


def test_an_old_price_says_so() -> None:
    checked = date(2026, 1, 1)
    entry = PriceEntry(Price(1, 2), "built-in", "https://x", checked)
    assert not entry.old(checked + timedelta(days=OLD_DAYS)) and entry.old(checked + timedelta(days=OLD_DAYS + 1))
    assert entry.age(checked + timedelta(days=7)) == 7
    assert not PriceEntry(Price(1, 2), "run.toml").old(checked)
