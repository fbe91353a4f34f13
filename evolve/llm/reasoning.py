"""Which models think before they answer, and which fields models refuse. Data, and one function to look it up.

Names are those of the services' lists; a part before a slash (`openai/gpt-5-mini` at OpenRouter) does not matter. For
a name that says nothing, such as a deployment's at Azure, the setting `reasoning` of the model tells.

Sources, read in November 2026: OpenAI's guides "Reasoning models" and "Latest model: parameter compatibility", the
table of supported parameters in Azure's "Reasoning models", Anthropic's migration guide (sampling parameters from
Claude Opus 4.7 on) and its page on effort.
"""

from __future__ import annotations

import re

SAMPLING = frozenset({"temperature", "top_p", "presence_penalty", "frequency_penalty"})
OPENAI_THINKING = SAMPLING | {"stop"}
"""What OpenAI's reasoning models refuse; gpt-5.1 to 5.4 take a temperature at effort `none`, and only there."""

THINKS: tuple[tuple[re.Pattern[str], frozenset[str]], ...] = (
    (re.compile(r"o[134](?:-|$)"), OPENAI_THINKING | {"parallel_tool_calls"}),
    (re.compile(r"gpt-(?:[5-9]|\d\d)(?!.*-chat)"), OPENAI_THINKING),
    (re.compile(r"codex-mini"), OPENAI_THINKING),
    (re.compile(r"claude-(?:opus|sonnet|haiku|fable|mythos)-(?:4-[7-9]|[5-9])"), frozenset({"temperature", "top_p"})),
)
"""Reasoning models by the start of their name, and what each refuses."""
PLAIN: tuple[tuple[re.Pattern[str], frozenset[str]], ...] = (
    (re.compile(r"gpt-(?:3\.5|4|5.*-chat)|chatgpt-"), frozenset({"reasoning_effort"})),
    (re.compile(r"claude-(?:sonnet-4-5|haiku-4-5|opus-4-1|3-)"), frozenset({"reasoning_effort"})),
)
"""Others that refuse something."""


def unsupported(name: str, reasoning: bool | None = None) -> frozenset[str]:
    """Fields of chat completions that the model `name` refuses.

    `reasoning` tells what the name does not: True, that it thinks as OpenAI's do; False, that it takes everything.
    """
    if reasoning is False:
        return frozenset()
    short = name.rpartition("/")[2].lower()
    for pattern, fields in (*THINKS, *PLAIN):
        if pattern.match(short):
            return fields
    return OPENAI_THINKING if reasoning else frozenset()
