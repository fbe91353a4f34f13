"""What a provider's error means: its status, headers and wording read once, for every provider. Pure functions."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from evolve.llm.base import ModelError

TOO_LONG = re.compile(
    "|".join(
        (
            r"context_length_exceeded|exceed_context_size",  # codes of OpenAI and of llama.cpp
            r"maximum context length|maximum model length|model's context length",  # OpenAI, OpenRouter, vLLM, SGLang
            r"exceeds? (?:the |its |your )?(?:available |model's |maximum )?(?:context|input token)",  # both
            r"max_tokens must be at least 1, got -",  # vLLM, when the prompt alone fills the context
            r"prompt is too long|input is too long|exceed context limit",  # Anthropic
            r"exceeds the maximum number of tokens allowed",  # Gemini's OpenAI face
            r"too large for model with",  # Mistral
            r"model_context_window_exceeded",  # Anthropic's stop reason
        )
    ),
    re.IGNORECASE,
)
OUT_OF_MONEY = re.compile(
    r"insufficient_quota|credit balance is too low|insufficient credits|billing_hard_limit", re.IGNORECASE
)
PASSING = frozenset({408, 409, 425, 429})
"""Client errors that may pass: time-out, conflict, too early, too many requests. Every 5xx may pass as well."""

LONGEST_TEXT = 500
"""Characters kept of a provider's error: some answer with a whole web page."""


def error_of(
    provider: str, status: int, text: str, headers: Mapping[str, str], key_env: str | None = None
) -> ModelError:
    """The `ModelError` for an answer with an error status (or an error in its body, `status` being the body's).

    `key_env` is the environment variable that the key came from, for the answer to a wrong one.
    """
    text = " ".join(text.split())
    message = f"{provider} answered {status}: {text[:LONGEST_TEXT] or 'no text'}"
    if status in (401, 403):
        message += f"; check the key in {key_env}" if key_env else "; no key was sent, the setting key_env names one"
    if OUT_OF_MONEY.search(text):
        return ModelError(message, kind="refused", status=402)
    if status in (400, 413, 422, 500) and TOO_LONG.search(text):
        return ModelError(message, kind="context_length", status=status)
    if status in PASSING or status >= 500:
        return ModelError(message, kind="unavailable", status=status, retry_after=retry_after(headers))
    return ModelError(message, kind="refused", status=status)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait from `retry-after-ms` or `retry-after` (seconds or a date, RFC 9110); None if not said."""
    for name, unit in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        try:
            return max(0.0, float(headers[name]) / unit)
        except (KeyError, ValueError):
            continue
    try:
        when = parsedate_to_datetime(headers["retry-after"])
    except (KeyError, ValueError):
        return None
    # A date in the zone "-0000" comes without a zone; HTTP's dates are in UTC.
    when = when if when.tzinfo else when.replace(tzinfo=UTC)
    return max(0.0, (when - datetime.now(UTC)).total_seconds())
