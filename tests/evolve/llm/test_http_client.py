"""Addresses in every style that services have, whose they are, and the proxy before them."""

from __future__ import annotations

import pytest

from evolve.llm.http_client import HttpClient, error_status, error_text, is_azure, is_openai, proxy_of


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("https://x.openai.azure.com/openai/v1/", "https://x.openai.azure.com/openai/v1/chat/completions"),
        (
            "https://x.openai.azure.com/openai/deployments/d?api-version=2025-01-01",
            "https://x.openai.azure.com/openai/deployments/d/chat/completions?api-version=2025-01-01",
        ),
        (
            "https://x.openai.azure.com/openai/deployments/d/chat/completions?api-version=2025-01-01",
            "https://x.openai.azure.com/openai/deployments/d/chat/completions?api-version=2025-01-01",
        ),
        ("http://localhost:11434/v1", "http://localhost:11434/v1/chat/completions"),
        ("http://localhost:8080/v1//", "http://localhost:8080/v1/chat/completions"),
    ],
)
def test_addresses_in_every_style(url: str, address: str) -> None:
    assert HttpClient("up", url, "chat/completions").url == address


@pytest.mark.parametrize(
    ("url", "azure", "itself"),
    [
        ("https://api.openai.com/v1", False, True),
        ("https://eu.api.openai.com/v1", False, True),
        ("https://api.openai.com.evil.example/v1", False, False),
        ("https://x.openai.azure.com", True, False),
        ("https://x.services.ai.azure.com/models", True, False),
        ("https://x.openai.azure.us/openai/v1", True, False),
        ("https://notazure.com", False, False),
        ("http://localhost:8000/v1", False, False),
    ],
)
def test_whose_an_address_is(url: str, azure: bool, itself: bool) -> None:
    assert (is_azure(url), is_openai(url)) == (azure, itself)


@pytest.mark.parametrize(
    ("path", "address"),
    [
        ("chat/completions", "https://h/openai/responses/chat/completions?api-version=1"),
        ("responses", "https://h/openai/responses?api-version=1"),
    ],
)
def test_a_whole_address_is_left_as_it_is(path: str, address: str) -> None:
    assert HttpClient("up", "https://h/openai/responses?api-version=1", path).url == address


def test_the_proxy_of_an_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://proxy:3128")
    monkeypatch.setenv("no_proxy", "inside.example")
    assert proxy_of("https://outside.example/v1") == "http://proxy:3128"
    assert proxy_of("https://inside.example/v1") is None
    assert proxy_of("no url at all") is None


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"error": {"message": "m", "code": "c", "type": "t", "param": "p"}}, "m c t p"),
        ({"error": "plain"}, "plain"),
        ({"message": "m", "code": 400}, "m 400"),
        ({"detail": "d"}, "d"),
        ([{"error": {"message": "m"}}], "m"),
        ({"error": {"message": "m", "metadata": {"raw": "r"}}}, "m r"),
        ({"error": {}}, None),
        ({"error": ["odd"]}, None),
        ([], None),
        (None, None),
        ("text", None),
    ],
)
def test_what_an_error_says(body: object, text: str | None) -> None:
    assert error_text(body) == text


@pytest.mark.parametrize(
    ("error", "status"),
    [({"code": 429}, 429), ({"code": "503"}, 503), ({"code": "rate"}, 502), ({"code": 7}, 502), ("x", 502), ({}, 502)],
)
def test_the_status_that_an_error_in_an_answer_tells(error: object, status: int) -> None:
    assert error_status(error) == status
