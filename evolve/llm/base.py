"""What the models' side of the house agrees on: requests, completions, providers, and whose fault a failure is.

One wire format: a request is the body of an OpenAI chat-completions call as plain JSON, and so is an answer. A
`Provider` turns one into the other. Everything above it (keys, budgets, retries, metering, transcripts) is the
gateway's.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

Role = Literal["solve", "improve", "diagnose"]
ROLES: tuple[Role, ...] = ("solve", "improve", "diagnose")

Json = dict[str, Any]

ToolProtocol = Literal["tools", "fenced"]


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one call."""

    input_tokens: int = 0
    cached_tokens: int = 0
    """Part of `input_tokens` read from the provider's prompt cache."""
    cache_write_tokens: int = 0
    """Part of `input_tokens` written to the provider's prompt cache, where that has a price of its own."""
    output_tokens: int = 0
    """Reasoning tokens included."""
    reasoning_tokens: int = 0
    """Part of `output_tokens` that the model thought with, where the service tells it."""

    @property
    def told(self) -> bool:
        """Whether the service told anything at all: no call takes no tokens."""
        return bool(self.input_tokens or self.output_tokens)


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars per million tokens."""

    input: float
    output: float
    cached: float | None = None
    """None: as `input`."""
    cache_write: float | None = None
    hour: float | None = None
    """US dollars per hour of a machine of one's own, beside the tokens; calls under way at the same time share it."""
    above: Above | None = None
    """What a whole call costs instead when its prompt is long."""

    def at(self, input_tokens: int) -> Price:
        """The price of a call with so long a prompt, the part from a cache included."""
        return self.above.price if self.above is not None and input_tokens > self.above.tokens else self

    def of(self, usage: Usage) -> float:
        """Dollars for the tokens of a call."""
        price = self.at(usage.input_tokens)
        plain = usage.input_tokens - usage.cached_tokens - usage.cache_write_tokens
        cached = price.input if price.cached is None else price.cached
        written = price.input if price.cache_write is None else price.cache_write
        total = plain * price.input + usage.cached_tokens * cached + usage.cache_write_tokens * written
        return (total + usage.output_tokens * price.output) / 1e6


@dataclass(frozen=True, slots=True)
class Above:
    """The price of calls whose prompt has more than so many tokens."""

    tokens: int
    price: Price


@dataclass(frozen=True, slots=True)
class Completion:
    """A provider's answer: a chat-completions response body, and what it cost."""

    body: Json
    usage: Usage
    endpoint: str = ""
    """Which of several replicas answered; empty where there is only one."""


class ModelError(ConnectionError):
    """A model call without an answer.

    `kind` says whose move it is: `unavailable` (try again later: overload, 5xx, no connection, time-out),
    `context_length` (the messages are too long; the agent may shorten them), `refused` (the provider will never answer
    this request: bad key, unknown model, malformed request).
    """

    def __init__(
        self,
        text: str,
        *,
        kind: Literal["unavailable", "context_length", "refused"],
        status: int | None = None,
        retry_after: float | None = None,
        lost: bool = False,
    ) -> None:
        """`lost`: the request was sent and its answer did not come whole, so the service may have charged for it."""
        super().__init__(text)
        self.kind = kind
        self.lost = lost
        self.status = status
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class Scope:
    """Whom a call is made for. Providers may use `seed`, and `key` to keep a rollout at one replica; nothing else."""

    key: str
    """Unique for the rollout, such as `evaluation-17`: names its folder, its socket and its lines in the ledger."""
    seed: int = 0
    """Equal seeds and equal messages give equal answers where the provider can do that (the offline model)."""
    split: str = "search"
    """Whose tasks the call works on: `search`, `sealed`, …; recordings are kept apart by it."""
    move: str = ""
    """The move that the rollout is a part of, such as `expansion-3`; empty: the rollout is the whole move."""


class Provider(Protocol):
    """One model service. Called on the gateway's event loop; must not block it for more than a few milliseconds."""

    name: str
    """Rate limits and outages are kept by it, so two services of one process need two names."""

    async def complete(self, request: Json, scope: Scope) -> Completion:
        """Answer one chat-completions request, once: no retries here.

        `request["model"]` is the provider's own name of the model; `stream` is never set. Raises: `ModelError`.
        """
        ...

    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Model:
    """A model role made concrete by the settings."""

    provider: Provider
    name: str
    """The provider's own name of the model."""
    price: Price
    max_output_tokens: int = 8192
    """Cap on what one call may generate; also what is reserved for it."""
    parameters: Json = field(default_factory=dict)
    """Fields set in every request (temperature, reasoning_effort…), over whatever the agent asked for."""
    protocol: ToolProtocol = "tools"
    """How tool calls travel: as the service's own tool calls, or as fenced blocks in plain text."""
    unsupported: frozenset[str] = frozenset()
    """Fields that this model refuses (a reasoning model's temperature, say); an agent's wish for one is left out."""
    mend: bool = True
    """Whether requests and answers go through the dialect; the life check's model errs on purpose."""

    @property
    def label(self) -> str:
        """As the settings name it. A fleet of replicas serves one model, and bears all of this as its own name."""
        fleet = ":" in self.provider.name
        return self.provider.name if fleet else f"{self.provider.name}:{self.name}"


@dataclass(frozen=True, slots=True)
class Caps:
    """What a rollout, a move or a run may use at most. None: no cap of its own."""

    usd: float | None = None
    tokens: int | None = None
    """Input and output together."""
    calls: int | None = None
    usd_per_call: float | None = None
    """Worst case of any one call."""
    usd_per_hour: float | None = None
    """Spent and reserved within any 60 minutes."""
