"""The models' side of the house: one gateway in front of every provider.

`Gateway` serves rollouts on Unix sockets and the house's own questions; `Ledger` holds the budget; `open_models` makes
the settings' `provider:model` into models; `read_transcript` reads what went through.
"""

from evolve.llm.base import (
    ROLES,
    Caps,
    Completion,
    Json,
    Model,
    ModelError,
    Price,
    Provider,
    Role,
    Scope,
    Usage,
)
from evolve.llm.cassette import Cassette, Landing, Launch, Mode, Step
from evolve.llm.catalogue import ModelSettings, ProviderSettings, limits_of, open_models, services
from evolve.llm.gateway import Gateway, Reply
from evolve.llm.ledger import Account, BudgetSpent, Ledger, Totals
from evolve.llm.meter import total
from evolve.llm.prices import PriceEntry, PriceSettings, entry_of, price_of, price_table
from evolve.llm.redact import redact, redact_bytes
from evolve.llm.replicas import Standing
from evolve.llm.retry import Retry
from evolve.llm.session import Session
from evolve.llm.throttle import Throttle
from evolve.llm.traffic import Limits, Outage, Traffic
from evolve.llm.transcript import Event, clip, parse_transcript, read_transcript, render
from evolve.llm.tripwire import Tripwire

__all__ = [
    "ROLES",
    "Account",
    "BudgetSpent",
    "Caps",
    "Cassette",
    "Completion",
    "Event",
    "Gateway",
    "Json",
    "Landing",
    "Launch",
    "Ledger",
    "Limits",
    "Mode",
    "Model",
    "ModelError",
    "ModelSettings",
    "Outage",
    "Price",
    "PriceEntry",
    "PriceSettings",
    "Provider",
    "ProviderSettings",
    "Reply",
    "Retry",
    "Role",
    "Scope",
    "Session",
    "Standing",
    "Step",
    "Throttle",
    "Totals",
    "Traffic",
    "Tripwire",
    "Usage",
    "clip",
    "entry_of",
    "limits_of",
    "open_models",
    "parse_transcript",
    "price_of",
    "price_table",
    "read_transcript",
    "redact",
    "redact_bytes",
    "render",
    "services",
    "total",
]
