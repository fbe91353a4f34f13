"""Which fields a model takes: what an agent's request loses on its way, and what a run's settings may not say.

An agent's wish that a model refuses is left out, because agents are written for many models; a setting of that kind is
a mistake, which is told before the run starts.
"""

from __future__ import annotations

from evolve.llm import responses_items
from evolve.llm.base import Json, ModelError
from evolve.llm.reasoning import SAMPLING, unsupported

OWN_FIELDS = frozenset(
    {"functions", "function_call", "input", "instructions", "messages", "model", "n", "store", "stream",
     "stream_options", "system", "tools"}
)  # fmt: skip
"""Fields that the gateway sets itself, or that would undo what it does."""
LEAST_THINKING = 1024
"""Tokens of a thinking budget at least, by Anthropic's rule."""


def refused_fields(kind: str | None, name: str, reasoning: bool | None = None) -> frozenset[str]:
    """Fields of chat completions that never reach the model, because it or its format has no such thing."""
    by_name = unsupported(name, reasoning)
    if kind == "anthropic":
        return by_name | SAMPLING | {"seed"}
    if kind == "openai-responses":
        return by_name | responses_items.LEFT_OUT
    return by_name


def check_parameters(
    parameters: Json, *, kind: str | None, refused: frozenset[str], role: str, label: str, max_output_tokens: int
) -> None:
    """See that the settings ask a model for nothing that it does not take.

    Raises: `ModelError` naming the setting.
    """
    where = f"models.parameters.{role}"
    for name in sorted(parameters):
        if name in OWN_FIELDS:
            raise _wrong(f"{where} sets {name!r}, which the gateway sets itself: leave it out")
    taken = _taken(kind)
    for name in sorted(parameters):
        if name in refused or (taken is not None and name not in taken):
            text = f"{where} sets {name!r}, which {label} does not take"
            raise _wrong(f"{text}; it takes: {', '.join(sorted(taken - refused))}" if taken is not None else text)
    cap = parameters.get("max_tokens", max_output_tokens)
    if not isinstance(cap, int) or isinstance(cap, bool) or cap < 1:
        raise _wrong(f"{where} sets max_tokens to {cap!r}: it must be a whole number above 0")
    if kind == "anthropic" and "thinking" in parameters:
        _check_thinking(parameters["thinking"], min(cap, max_output_tokens), where)


def _taken(kind: str | None) -> frozenset[str] | None:
    """All that a format has; None where fields are passed on as they are."""
    if kind == "anthropic":
        from evolve.llm.anthropic_messages import PASSED_ON, TRANSLATED  # the SDK takes most of a second to import

        return PASSED_ON | TRANSLATED
    if kind == "openai-responses":
        return responses_items.PASSED_ON | responses_items.TRANSLATED
    return None


def _check_thinking(thinking: object, cap: int, where: str) -> None:
    if not isinstance(thinking, dict) or not isinstance(thinking.get("type"), str):
        raise _wrong(f'{where} sets thinking to {thinking!r}: write it as {{ type = "adaptive" }}')
    if thinking["type"] != "enabled":
        return
    budget = thinking.get("budget_tokens")
    if not isinstance(budget, int) or not LEAST_THINKING <= budget < cap:
        raise _wrong(
            f"{where} sets thinking.budget_tokens to {budget!r}: it must be at least {LEAST_THINKING} and less than "
            f"what a call may generate, which is {cap} (models.max_output_tokens)"
        )


def _wrong(text: str) -> ModelError:
    return ModelError(text, kind="refused")
