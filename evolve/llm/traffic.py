"""Who may send when: rate limits and outages of the model services, kept for all workers of a process together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from evolve.llm.base import ModelError, Usage


@dataclass(frozen=True, slots=True)
class Limits:
    """What a service lets us send. None: no limit of ours."""

    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    concurrent: int | None = None
    """Calls at the service at once."""


@dataclass(frozen=True, slots=True)
class Outage:
    """A service that does not answer now."""

    service: str
    reason: str
    """Its last failure, in one sentence."""
    since: datetime
    next_try: float
    """Seconds until it is tried again."""


class Traffic:
    """Belongs to the gateway's event loop; `outages` and `refusal` may be read from any thread."""

    def __init__(self, limits: Mapping[str, Limits] | None = None) -> None:
        """`limits` by the services' names; others are not limited."""
        self._limits = dict(limits or {})

    async def enter(self, service: str, tokens: int) -> float:
        """Wait until a call of so many tokens may be sent; each is followed by `answered`, `failed` or `left`.

        The seconds waited: exactly zero if it may be sent at once.
        """
        return 0.0

    def answered(self, service: str, model: str, seconds: float, tokens: int, usage: Usage) -> None:
        """A call that entered with `tokens` was answered."""

    def failed(self, service: str, model: str, error: ModelError, tokens: int) -> None:
        """A call that entered with `tokens` has failed."""

    def left(self, service: str, tokens: int) -> None:
        """A call that entered was cancelled; nothing is known of the service."""

    def stalled(self, service: str, model: str, seconds: float) -> float:
        """Of a try that took so long, the seconds that the model is not known to need: the house's, not the agent's."""
        return 0.0

    def outages(self) -> tuple[Outage, ...]:
        """The services that are left alone now."""
        return ()

    def refusal(self) -> str | None:
        """Why a service will never answer (a wrong key, an empty purse, an unknown model), if one said so."""
        return None
