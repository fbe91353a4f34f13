"""No key gets through."""

from __future__ import annotations

import importlib
import json
import sysconfig
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolve.llm.redact import HIDDEN, known_secrets, redact, redact_bytes, remember

module = importlib.import_module("evolve.llm.redact")  # the package has a function of that name

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


R = "0123456789abcdefghijABCDEFGHIJ0123456789abcdefghijABCDEFGHIJ0123456789abcdefghijABCDEFGHIJ"
PEM = "-----BEGIN RSA PRIVATE KEY-----\n{0}\n{0}\n-----END RSA PRIVATE KEY-----".format(R[:64])
SHAPED = {
    "google": "AIza" + R[:35],
    "github": "ghp_" + R[:36],
    "github app": "ghs_" + R[:36],
    "github fine-grained": "github_pat_" + R[:22] + "_" + R[:59],
    "gitlab": "glpat-" + R[:20],
    "aws id": "AKIA" + "ABCDEFGH234567XY",
    "hugging face": "hf_" + R[:34],
    "slack": "xoxb-" + "1234567890-" + R[:24],
    "xai": "xai-" + R[:60],
    "groq": "gsk_" + R[:52],
    "stripe": "sk_live_" + R[:24],
    "jwt": "eyJhbGciOiJIUzI1NiJ9." + "eyJzdWIiOiIxMjM0NTY3ODkwIn0." + R[:43],
}


@pytest.mark.parametrize("key", SHAPED.values(), ids=SHAPED)
@pytest.mark.parametrize("around", ["{}", "KEY={}\n", "\n{}\n", "'{}'", "+{}", "https://u:{}@host/"])
def test_keys_of_other_services_are_hidden(key: str, around: str) -> None:
    text = around.format(key)
    assert key not in redact(text) and key not in redact(json.dumps(text))
    assert redact(text) == around.format(HIDDEN), "and nothing around them"


@pytest.mark.parametrize("written", [PEM, json.dumps(PEM), PEM.replace("\n", "\n+"), PEM.replace("\n", "\r\n")])
def test_private_keys_are_hidden_however_they_are_written(written: str) -> None:
    assert R[:40] not in redact(f"before {written} after")
    assert redact(f"before {written} after").startswith("before ") and redact(f"before {written} after").endswith(
        "after"
    )
    cut = written[: len(written) * 2 // 3]
    assert R[:40] not in redact(cut), "also where the text ends before the key does"


def test_an_aws_secret_is_told_by_its_name() -> None:
    secret = "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY00"
    for line in (
        f"aws_secret_access_key = {secret}",
        f'"SecretAccessKey": "{secret}"',
        f"AWS_SECRET_ACCESS_KEY={secret}",
    ):
        assert secret not in redact(line)
    assert redact(f"commit {secret.lower()}") == f"commit {secret.lower()}"


def test_the_standard_library_stays_as_it_is() -> None:
    """Ordinary code is no key: about 10 MB of it."""
    folder = Path(sysconfig.get_paths()["stdlib"])
    sources = [path for path in folder.rglob("*.py") if "site-packages" not in path.parts and "test" not in path.parts]
    assert len(sources) > 300
    changed = [path.name for path in sources if redact(text := path.read_text("utf-8", "replace")) != text]
    assert changed == []


@pytest.mark.parametrize(
    "text",
    [
        "sk-ecdsa-sha2-nistp256@openssh.com", "sk-ssh-ed25519@openssh.com", "bearer authentication-handler",
        "hf_model_name_or_path_of_the_tokenizer", "AKIA is a prefix", "xoxo, hugs", "eyJust.kidding",
        "-----BEGIN PUBLIC KEY-----", "PRIVATE_KEY_HEADER = '-----BEGIN PRIVATE KEY-----'",
        "risk-0123456789abcdef0123", "0123456789abcdef0123456789abcdef01234567",
    ],
)  # fmt: skip
def test_what_only_resembles_a_key_stays(text: str) -> None:
    assert redact(text) == text


def test_what_was_read_as_a_key_is_hidden_whatever_it_looks_like(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_known", {})
    remember("MY_KEY", "correct horse battery")
    remember("PLACEHOLDER", "EMPTY")
    assert redact("say correct horse battery, EMPTY") == f"say {HIDDEN}, EMPTY"
    assert known_secrets() == {"correct horse battery": "MY_KEY"}


def test_bytes_that_are_no_text_stay() -> None:
    dirty = b"\xff\xfe" + KEYS[0].encode() + b"\x80"
    assert redact_bytes(dirty) == b"\xff\xfe" + HIDDEN.encode() + b"\x80"
    assert redact_bytes(clean := b"\xff\x00plain") is clean


@pytest.mark.parametrize("around", ["", "x " * module.ONE_PASS], ids=["short", "long"])
@pytest.mark.parametrize("kind", SHAPED)
def test_keys_are_found_in_texts_of_every_length(kind: str, around: str) -> None:
    text = f"{around} {SHAPED[kind]} {around}"
    assert SHAPED[kind] not in redact(text) and HIDDEN in redact(text)


@given(st.lists(st.sampled_from([*SHAPED.values(), *(m for s in module.SHAPES for m in s.markers), "g", "s", " ", R])))
def test_one_pass_finds_what_a_search_for_each_marker_finds(pieces: list[str]) -> None:
    plain = text = "".join(pieces)
    for shape in module.SHAPES:
        plain = shape.pattern.sub(HIDDEN, plain)
    assert redact(text) == plain
