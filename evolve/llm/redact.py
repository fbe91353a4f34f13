"""Keys out of text: what a provider, an error or an agent wrote is cleaned of secrets before anyone else sees it.

Hidden are the very keys that this process has read, whatever they look like, and whatever has the shape of a key of one
of the well-known services.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass

from ahocorasick_rs import AhoCorasick

HIDDEN = "[redacted]"
SHORTEST = 8
"""Characters of a secret at least: shorter ones are placeholders that local servers ask for, and ordinary words."""

_START = r"(?:(?<![A-Za-z0-9_])|(?<=\\[nrt]))"
"""Not within a word; in text that is JSON already, the letter of an escaped line break may stand right before."""
_DIGIT = r"(?=[A-Za-z0-9._~+/=-]*[0-9])"
"""A key of random characters nearly always has a digit; `bearer authentication-handler` has none."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What keys of one kind look like."""

    what: str
    markers: tuple[str, ...]
    """Texts without one of these hold no such key; to look for them is much faster than the pattern."""
    pattern: re.Pattern[str]


def _shape(what: str, markers: str, pattern: str) -> Shape:
    return Shape(what, tuple(markers.split()), re.compile(pattern))


SHAPES = (
    # OpenAI's, Anthropic's and OpenRouter's: sk-…, sk-ant-…, sk-or-…; Langfuse's and others' pk-… and rk-…
    # (sk-ecdsa-… and sk-ssh-… are names of algorithms of SSH).
    _shape(
        "a model service's key",
        "sk- pk- rk-",
        _START + r"(?:sk|pk|rk)-(?!ecdsa-|ssh-)(?=[A-Za-z_-]*[0-9])[A-Za-z0-9_-]{16,}",
    ),
    _shape(
        "a model service's key",
        "xai- gsk_ pplx- nvapi-",
        _START + r"(?:xai-|gsk_|pplx-|nvapi-)" + _DIGIT + r"[A-Za-z0-9_-]{32,}",
    ),
    _shape("a payment service's key", "k_live_ k_test_", _START + r"[spr]k_(?:live|test)_[A-Za-z0-9]{16,}"),
    _shape("a bearer token", "earer EARER", r"(?i:bearer\s+)" + _DIGIT + r"[A-Za-z0-9._~+/=-]{16,}"),
    _shape("a Google key", "AIza", _START + r"AIza[A-Za-z0-9_-]{35}(?![A-Za-z0-9_-])"),
    _shape("a GitHub token", "ghp_ gho_ ghu_ ghs_ ghr_", _START + r"gh[pousr]_[A-Za-z0-9]{36,}"),
    _shape("a GitHub token", "github_pat_", _START + r"github_pat_[A-Za-z0-9_]{50,}"),
    _shape("a GitLab token", "glpat-", _START + r"glpat-" + _DIGIT + r"[A-Za-z0-9_.-]{20,}"),
    _shape("an AWS key id", "AKIA ASIA", _START + r"(?:AKIA|ASIA)[A-Z2-7]{16}(?![A-Za-z0-9])"),
    _shape(
        "an AWS secret key",
        "secret_access_key SECRET_ACCESS_KEY SecretAccessKey",
        r"(?i:(?<=secret_access_key)|(?<=SecretAccessKey))[\\\"'\s]*[=:][\\\"'\s]*[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+=])",
    ),
    _shape("a Hugging Face token", "hf_", _START + r"hf_[A-Za-z0-9]{30,}(?![A-Za-z0-9_])"),
    _shape("a Slack token", "xox", _START + r"xox[abeoprs]-[0-9][A-Za-z0-9-]{10,}"),
    _shape("a Slack token", "xapp-", _START + r"xapp-[0-9]-[A-Za-z0-9-]{10,}"),
    _shape("a JSON web token", "eyJ", _START + r"eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}"),
    _shape(
        "a private key",
        "PRIVATE",
        # Its lines may be those of a text, of a diff (each after a sign) or of a JSON string (after \n).
        r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY(?: BLOCK)?-----(?:[\s\\nr+]*[A-Za-z-]+: [A-Za-z0-9,-]+)*"
        r"[A-Za-z0-9+/=\s\\]{40,}(?:-----END (?:[A-Z]+ )*PRIVATE KEY(?: BLOCK)?-----)?",
    ),
)  # fmt: skip

_MARKERS = [marker for shape in SHAPES for marker in shape.markers]
_FINDER = AhoCorasick(_MARKERS)
"""Finds all markers in one pass, where a search for each took as long as the rest of a call for a prompt of 8 kB."""
ONE_PASS = 1 << 18
"""Characters that are looked through in one pass at most: a text of nothing but markers must not fill the memory with
their places. In longer ones each marker is looked for by itself."""

_known: dict[str, str] = {}


def remember(name: str, secret: str) -> None:
    """Hide this secret (called `name`, such as its variable) from now on, wherever `redact` looks in this process."""
    if len(secret) >= SHORTEST:
        _known[secret] = name


def known_secrets() -> Mapping[str, str]:
    """The secrets that this process has read, and what they are called. Not for printing."""
    return dict(_known)


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """`text` without the given secrets, the remembered ones, and all that has the shape of a key."""
    for secret in (*secrets, *tuple(_known)):
        if secret:
            text = text.replace(secret, HIDDEN)
    for shape in _suspected(text):
        text = shape.pattern.sub(HIDDEN, text)
    return text


def _suspected(text: str) -> list[Shape]:
    """The shapes of which a marker stands in the text, in their order."""
    if len(text) <= ONE_PASS:
        with suppress(UnicodeEncodeError):  # it holds bytes that are no text
            found = set(_FINDER.find_matches_as_strings(text, overlapping=True))
            return [shape for shape in SHAPES if not found.isdisjoint(shape.markers)] if found else []
    return [shape for shape in SHAPES if any(marker in text for marker in shape.markers)]


def redact_bytes(content: bytes) -> bytes:
    """As `redact`, for a file's content; what is no UTF-8 stays as it is."""
    text = content.decode("utf-8", "surrogateescape")
    clean = redact(text)
    return content if clean == text else clean.encode("utf-8", "surrogateescape")
