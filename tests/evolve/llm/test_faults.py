"""What providers' errors mean, in the words they use."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from evolve.llm.faults import error_of, retry_after

TOO_LONG = [
    (400, "This model's maximum context length is 128000 tokens. However, your messages resulted in 130000 tokens."),
    (400, "Error code: context_length_exceeded"),
    (400, "Your input exceeds the context window of this model. Please adjust your input and try again."),
    (400, "The decoder prompt (length 5000) is longer than the maximum model length of 4096."),
    (400, "max_tokens must be at least 1, got -904."),
    (400, "The input (9000 tokens) is longer than the model's context length (8192 tokens)."),
    (400, "the request exceeds the available context size, try increasing it exceed_context_size_error"),
    (500, "the request exceeds the available context size. try increasing the context size"),
    (400, "This endpoint's maximum context length is 163840 tokens. However, you requested about 200000 tokens"),
    (400, "prompt is too long: 210000 tokens > 200000 maximum"),
    (400, "input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000"),
    (400, "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576)."),
    (400, "This model's maximum context length is 4096 tokens. However, you requested 512 output tokens and your "
          "prompt contains at least 3585 input tokens, for a total of at least 4097 tokens. (parameter=input_tokens)"),
    (400, "Input length (5000) exceeds model's maximum context length (4096)."),
    (400, "The decoder prompt (length 4096) plus the number of requested output tokens (at least 1) is longer than the "
          "maximum model length of 4096."),
    (400, "Requested token count exceeds the model's maximum context length of 40960 tokens. You requested a total of "
          "61709 tokens: 53517 tokens from the input messages and 8192 tokens for the completion."),
    (400, "Input length (61709 tokens) exceeds the maximum allowed length (40955 tokens). Use a shorter input."),
    (400, "request (9000 tokens) exceeds the available context size (8192 tokens), try increasing it"),
    (500, "Context size has been exceeded."),
    (400, "prompt too long; exceeded max context length by 1234 tokens"),
    (413, "request_too_large Request exceeds the maximum size"),
    (429, "Request too large for m on tokens per min (TPM): Limit 30000, Requested 40000. The input or output tokens "
          "must be reduced in order to run successfully."),
    (400, "Prompt contains 40000 tokens ... too large for model with 32768 maximum context length"),
    (400, "litellm.ContextWindowExceededError: litellm.BadRequestError: too much"),
    (400, "The engine prompt length 5000 exceeds the max_model_len 4096. Please reduce prompt."),
    (400, "This model's maximum prompt length is 131072 but the request contains 150000 tokens."),
    (400, "Please reduce the length of the messages or completion."),
    (422, "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096. Given: 5000"),
    (400, "'max_tokens' is too large: 8192. This model's maximum context length is 8192 tokens and you have 500"),
    (413, "Request too large for model `llama` on tokens per minute (TPM): Limit 6000, Requested 7000"),
]  # fmt: skip


@pytest.mark.parametrize(("status", "text"), TOO_LONG)
def test_a_prompt_too_long_is_known_in_every_wording(status: int, text: str) -> None:
    assert error_of("p", status, text, {}).kind == "context_length"


@pytest.mark.parametrize(
    ("status", "text", "kind", "shown"),
    [
        (429, "Rate limit reached", "unavailable", 429),
        (408, "", "unavailable", 408),
        (500, "internal", "unavailable", 500),
        (529, "overloaded_error", "unavailable", 529),
        (503, "maximum context length service down", "unavailable", 503),
        (401, "Incorrect API key", "refused", 401),
        (404, "model not found", "refused", 404),
        (400, "Invalid value for temperature", "refused", 400),
        (429, "You exceeded your current quota insufficient_quota", "refused", 402),
        (400, "Your credit balance is too low to access the API", "refused", 402),
        (302, "<html>moved</html>", "refused", 302),
        (402, "Insufficient Balance", "refused", 402),
        (400, "Budget has been exceeded! Current cost: 14, Max budget: 10 budget_exceeded", "refused", 402),
        (429, "ExceededBudget: User=default_user_id over budget", "refused", 402),
        (429, "Too many tokens, please wait before trying again.", "unavailable", 429),
        (400, "No connected db. no_db_connection", "refused", 401),
        (400, "API key not valid. Please pass a valid API key.", "refused", 401),
        (400, "/chat/completions: Invalid model name passed in model=nosuch.", "refused", 404),
        (400, "qwen/nope is not a valid model ID", "refused", 404),
        (403, "Your chosen model requires moderation and your input was flagged", "refused", 400),
        (400, "max_tokens is too large: 99999. This model supports at most 16384 completion tokens", "refused", None),
        (400, "max_tokens: 9000 > 8192, which is the maximum allowed number of output tokens for m", "refused", None),
        (400, "`max_tokens` must be less than or equal to `8192`", "refused", None),
    ],
)
def test_other_errors(status: int, text: str, kind: str, shown: int | None) -> None:
    error = error_of("p", status, text, {})
    assert (error.kind, error.status) == (kind, shown)


def test_what_helps_is_said() -> None:
    assert "check the key in MY_KEY" in str(error_of("p", 400, "no_db_connection", {}, "MY_KEY"))
    assert "key" not in str(error_of("p", 403, "your input was flagged", {}, "MY_KEY"))
    assert "set max_output_tokens lower" in str(error_of("p", 400, "max_tokens is too large: 9", {}))


def test_a_page_of_html_is_cut() -> None:
    assert "check the key in MY_KEY" in str(error_of("p", 401, "wrong key", {}, "MY_KEY"))
    assert "key_env" in str(error_of("p", 401, "no key", {}))
    assert len(str(error_of("p", 502, "<p>x</p>\n" * 10_000, {}))) < 600


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "2"}, 2.0),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after": "-3"}, 0.0),
        ({"retry-after": "soon"}, None),
    ],
)
def test_retry_after_in_seconds(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers) == seconds


def test_retry_after_as_a_date() -> None:
    later = retry_after({"retry-after": format_datetime(datetime.now(UTC) + timedelta(minutes=5), usegmt=True)})
    assert later is not None and 290 < later <= 300
    assert retry_after({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}) == 0.0
