"""Keys out of text: what a provider, an error or an agent wrote is cleaned of secrets before anyone else sees it."""

from __future__ import annotations

import re
from collections.abc import Iterable

HIDDEN = "[redacted]"

LOOKS_LIKE_A_KEY = re.compile(
    r"(?:(?<![A-Za-z0-9_])|(?<=\\[nrt]))(?:sk|pk|rk)-[A-Za-z0-9_-]{16,}|(?i:bearer\s+)[A-Za-z0-9._~+/=-]{16,}"
)
"""The shapes of OpenAI's, Anthropic's and OpenRouter's keys (`sk-…`, `sk-ant-…`, `sk-or-…`), and any bearer token; also
in text that is JSON already, where the letter of an escaped line break stands right before them."""


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """`text` without the given secrets and without anything that has the shape of a provider's key."""
    for secret in secrets:
        if secret:
            text = text.replace(secret, HIDDEN)
    return LOOKS_LIKE_A_KEY.sub(HIDDEN, text)
