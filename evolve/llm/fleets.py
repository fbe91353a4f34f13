"""Services on machines of one's own, as the settings name them: a list of addresses, or a fleet of `clade vllm up`."""

from __future__ import annotations

from collections.abc import Sequence

from evolve.llm.base import ModelError, ToolProtocol
from evolve.llm.openai_compatible import OpenAICompatible, TokenField
from evolve.llm.redact import remember
from evolve.llm.replicas import Replicas
from evolve.llm.roster import Endpoint, Listed, Registered, fleet_of


def open_urls(
    service: str, urls: Sequence[str], *, key: str | None, key_env: str | None, token_field: TokenField, seconds: float
) -> Replicas:
    """A service at one or more addresses, which serve the same models. Raises: `ModelError` if one is there twice."""
    twice = [url for url in urls if urls.count(url) > 1]
    if twice:
        raise ModelError(f"the provider {service!r} lists {twice[0]} twice", kind="refused")

    def connect(endpoint: Endpoint) -> OpenAICompatible:
        return OpenAICompatible(
            service if len(urls) == 1 else f"{service} at {endpoint.name}",
            endpoint.url,
            key=endpoint.key,
            key_env=key_env,
            token_field=token_field,
            seconds=seconds,
            tell_rollout=True,
        )

    return Replicas(service, Listed(urls, key), connect)


def open_fleet(service: str, name: str, *, seconds: float) -> Replicas:
    """A fleet, followed through its registry. Raises: `ModelError` if there is none of this name."""
    remember(f"the key of the fleet {name}", fleet_of(name).key)

    def connect(endpoint: Endpoint) -> OpenAICompatible:
        return OpenAICompatible(
            f"{service}:{endpoint.name}",
            endpoint.url,
            key=endpoint.key,
            seconds=seconds,
            socket=endpoint.socket,
            tell_rollout=True,
        )

    return Replicas(f"{service}:{name}", Registered(name), connect)


def check_fleet(service: str, name: str, protocol: ToolProtocol, max_output_tokens: int) -> None:
    """Refuse at once what the fleet would refuse at every call. Raises: `ModelError` with the cure."""
    fleet, table = fleet_of(name), f"[providers.{service}.models.{name!r}]"
    if protocol == "tools" and fleet.protocol == "fenced":
        raise ModelError(
            f'the fleet {name!r} runs without a parser for tool calls: set protocol = "fenced" in {table}, or start it '
            "with --tool-parser",
            kind="refused",
        )
    if fleet.context_length is not None and max_output_tokens >= fleet.context_length:
        raise ModelError(
            f"the fleet {name!r} takes {fleet.context_length} tokens, prompt and answer together, and the answer alone "
            f"may have {max_output_tokens}: set max_output_tokens in {table} to a quarter of that, say",
            kind="refused",
        )
