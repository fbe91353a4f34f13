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
            r"exceeds the maximum allowed length",  # SGLang
            r"exceeded max context length",  # Ollama
            r"context size has been exceeded",  # llama.cpp, when the answer grew beyond it
            r"request_too_large",  # Anthropic, by bytes
            r"tokens must be reduced in order to run",  # OpenAI, for one request above a minute's tokens
            r"request too large for model",  # Groq, likewise
            r"exceeds the max_model_len|too long to fit into the model",  # vLLM
            r"ContextWindowExceededError",  # LiteLLM, whatever the service behind it said
            r"maximum prompt length|reduce the length of the messages",  # xAI, Groq
            r"tokens \+ .?max_new_tokens.? must be",  # TGI and what is built on it
        )
    ),
    re.IGNORECASE,
)
OUT_OF_MONEY = re.compile(
    r"insufficient[_ ](?:quota|credits|balance)|credit balance is too low|billing_hard_limit"  # the services
    r"|budget_exceeded|budget has been exceeded|exceeded_?budget|exceeded_current_quota",  # LiteLLM, Moonshot
    re.IGNORECASE,
)
WRONG_KEY = re.compile(r"no_db_connection|invalid_api_key|api[ _]key[ _](?:not valid|invalid)", re.IGNORECASE)
"""In answers 400 (LiteLLM without a database, Gemini)."""
WRONG_MODEL = re.compile(
    r"invalid model name|model_not_found|not a valid model|model not exist|supported API model names", re.IGNORECASE
)
"""In answers 400 (LiteLLM, OpenRouter, DeepSeek)."""
MODERATED = re.compile(r"moderation|flagged", re.IGNORECASE)
"""In answers 403, which then say something of the messages and nothing of the key (OpenRouter)."""
CAP_TOO_LARGE = re.compile(
    r"max_(?:completion_|output_)?tokens\W{0,2} (?:is too large|must be less than or equal)"  # OpenAI, Groq
    r"|maximum allowed number of output tokens|valid range of max_tokens",  # Anthropic, DeepSeek
    re.IGNORECASE,
)
"""The model cannot generate so many tokens as the settings allow."""
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
    status = _meant(status, text)
    if status in (401, 403):
        message += f"; check the key in {key_env}" if key_env else "; no key was sent, the setting key_env names one"
    if OUT_OF_MONEY.search(text):
        return ModelError(message, kind="refused", status=402)
    if status in (400, 413, 422, 429, 500) and TOO_LONG.search(text):
        return ModelError(message, kind="context_length", status=status)
    if status == 400 and CAP_TOO_LARGE.search(text):
        return ModelError(f"{message}; set max_output_tokens lower for this model", kind="refused")
    if status in PASSING or status >= 500:
        return ModelError(message, kind="unavailable", status=status, retry_after=retry_after(headers))
    return ModelError(message, kind="refused", status=status)


def _meant(status: int, text: str) -> int:
    """The status that most services would have answered with."""
    if status == 400 and WRONG_KEY.search(text):
        return 401
    if status == 400 and WRONG_MODEL.search(text):
        return 404
    return 400 if status == 403 and MODERATED.search(text) else status


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
