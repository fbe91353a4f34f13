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
from evolve.llm.cassette import Cassette, Mode
from evolve.llm.catalogue import ModelSettings, PriceSettings, ProviderSettings, limits_of, open_models
from evolve.llm.gateway import Gateway, Reply
from evolve.llm.ledger import Account, BudgetSpent, Ledger, Totals
from evolve.llm.meter import total
from evolve.llm.retry import Retry
from evolve.llm.session import Session
from evolve.llm.traffic import Limits, Outage, Traffic
from evolve.llm.transcript import Event, clip, parse_transcript, read_transcript, render

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
    "Ledger",
    "Limits",
    "Mode",
    "Model",
    "ModelError",
    "ModelSettings",
    "Outage",
    "Price",
    "PriceSettings",
    "Provider",
    "ProviderSettings",
    "Reply",
    "Retry",
    "Role",
    "Scope",
    "Session",
    "Totals",
    "Traffic",
    "Usage",
    "clip",
    "limits_of",
    "open_models",
    "parse_transcript",
    "read_transcript",
    "render",
    "total",
]
