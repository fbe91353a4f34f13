"""No key gets through."""

from __future__ import annotations

import json

import pytest

from evolve.llm.redact import HIDDEN, redact

KEYS = [
    "sk-proj-abcDEF0123456789_-xyz",
    "sk-ant-api03-AAAAbbbbCCCCdddd-eeee",
    "sk-or-v1-0123456789abcdef0123",
    "rk-0123456789abcdef01",
]


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("around", ["{}", "key={} ", "\n{}\n", "'{}'", "Incorrect API key provided: {}."])
def test_what_looks_like_a_key_is_hidden(key: str, around: str) -> None:
    text = around.format(key)
    assert key not in redact(text) and HIDDEN in redact(text)
    assert key not in redact(json.dumps(text)), "also in text that is JSON already"


def test_bearer_tokens_and_known_secrets_are_hidden() -> None:
    assert "s3cr3tT0ken" not in redact("Authorization: Bearer s3cr3tT0ken.abc/def=")
    assert redact("the key is hunter2!", ("hunter2",)) == f"the key is {HIDDEN}!"
    assert redact("no secret", ("",)) == "no secret"


@pytest.mark.parametrize(
    "text", ["task-0123456789abcdef0123", "sk-learn", "the disk-based-storage-engine-v2 is ask-me-anything"]
)
def test_ordinary_words_stay(text: str) -> None:
    assert redact(text) == text
