"""What a box cannot do through its one window: the threats A1, A4, A5, A6 and A9 of the list, on a real socket.

A4 the model's service as a way out; A5 dearer models and parameters; A6 parallel calls against one budget; A9 keys in
errors. A1, keys in a box: one that shows a key nevertheless is caught.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from evolve.llm import (
    Caps,
    Completion,
    Gateway,
    Ledger,
    Model,
    ModelError,
    Price,
    ProviderSettings,
    Retry,
    Scope,
    Tripwire,
    Usage,
    open_models,
)
from evolve.llm.wire import DEPTH_LIMIT

SCOPE = Scope("evaluation-1", seed=7)
MESSAGES = [{"role": "user", "content": "hi"}]
BODY: dict[str, Any] = {"model": "solve", "messages": MESSAGES}
FUNCTION = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
QUICK = Retry(attempts=2, base=0.001)


@pytest.fixture
def fake(kit: Any) -> Any:
    return kit.Fake(kit.hello)


@pytest.fixture
def tripwire() -> Iterator[Tripwire]:
    tripwire = Tripwire()
    tripwire.plant()
    yield tripwire
    tripwire.lift()


@pytest.fixture
def gateway(kit: Any, fake: Any, tripwire: Tripwire) -> Iterator[Gateway]:
    models = {"solve": kit.model(fake, max_output_tokens=500), "improve": kit.model(fake)}
    with Gateway(models, Ledger(None), retry=QUICK, drain_seconds=0.5, tripwire=tripwire) as gateway:  # type: ignore[arg-type]
        yield gateway


@pytest.fixture
def session(gateway: Gateway) -> Iterator[Any]:
    with gateway.session(SCOPE, log=None, caps=Caps()) as session:
        yield session


def image(url: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}]}


def part(**content: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": [content]}]}


WAYS_OUT: dict[str, dict[str, Any]] = {
    "the service searches the web": {"tools": [{"type": "web_search"}]},
    "… under its dated name": {"tools": [{"type": "web_search_20260209", "name": "web_search"}]},
    "… as a preview": {"tools": [{"type": "web_search_preview"}]},
    "… besides an honest tool": {"tools": [FUNCTION, {"type": "web_search"}]},
    "the service fetches a page": {"tools": [{"type": "web_fetch_20260209", "name": "web_fetch"}]},
    "the service runs code": {"tools": [{"type": "code_interpreter", "container": {"type": "auto"}}]},
    "… in a container": {"tools": [{"type": "code_execution_20260521", "name": "code_execution"}]},
    "… in a shell": {"tools": [{"type": "shell"}]},
    "… on a screen": {"tools": [{"type": "computer_use_preview"}]},
    "the service reads files": {"tools": [{"type": "file_search", "vector_store_ids": ["v"]}]},
    "the service draws": {"tools": [{"type": "image_generation"}]},
    "a server of tools": {"tools": [{"type": "mcp", "server_label": "x", "server_url": "http://x"}]},
    "… in a field of its own": {"mcp_servers": [{"type": "url", "url": "http://x"}]},
    "a tool with an address": {"tools": [{**FUNCTION, "server_url": "http://x"}]},
    "a tool's address, one level down": {"tools": [{"type": "function", "function": {"name": "f", "url": "http://x"}}]},
    "a custom tool": {"tools": [{"type": "custom", "custom": {"name": "f"}}]},
    "a tool without a type": {"tools": [{"function": {"name": "f"}}]},
    "a tool that is no object": {"tools": ["web_search"]},
    "search without a tool": {"web_search_options": {}},
    "plugins of a router": {"plugins": [{"id": "web"}]},
    "models of a router": {"models": ["a", "b"]},
    "a router's provider": {"provider": {"only": ["x"]}},
    "transforms of a router": {"transforms": ["middle-out"]},
    "body of another API": {"input": "hi"},
    "an earlier answer": {"previous_response_id": "r"},
    "a stored conversation": {"conversation": "c"},
    "a stored prompt": {"prompt": {"id": "p"}},
    "to be stored": {"store": True},
    "to be labelled": {"metadata": {"a": "b"}},
    "in the background": {"background": True},
    "a container": {"container": "c"},
    "older functions": {"functions": [{"name": "f"}]},
    "an older function call": {"function_call": "auto"},
    "a forced tool of the service": {"tools": [FUNCTION], "tool_choice": {"type": "web_search"}},
    "a choice among tools of the service": {
        "tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [{"type": "mcp"}]}}
    },
    "a template of vLLM": {"chat_template": "{{ 1 }}"},
    "… with arguments": {"chat_template_kwargs": {}},
    "a vLLM processor of prompts": {"mm_processor_kwargs": {}},
    "a vLLM transfer": {"kv_transfer_params": {"remote_host": "x"}},
    "a vLLM plug-in": {"vllm_xargs": {"a": 1}},
    "headers through a client library": {"extra_headers": {"host": "x"}},
    "a body through a client library": {"extra_body": {"x": 1}},
    "an address through a proxy": {"api_base": "http://x"},
    "a key through a proxy": {"api_key": "k"},
    "sound": {"modalities": ["audio"], "audio": {"voice": "x", "format": "wav"}},
    "a picture from the net": image("http://192.0.2.1/a.png"),
    "… encrypted": image("https://192.0.2.1/a.png"),
    "… of this host": image("file:///etc/passwd"),
    "… by another scheme": image("ftp://192.0.2.1/a.png"),
    "… in odd letters": image("HTTP://192.0.2.1/a.png"),
    "… that is no text": image({"a": 1}),
    "… that is no picture": image("data:text/html,<a>"),
    "a file by address": part(type="file", file={"file_url": "http://x"}),
    "a file by id": part(type="file", file={"file_id": "file-1"}),
    "a picture in Anthropic's words": part(type="image", source={"type": "url", "url": "http://x"}),
    "a document in Anthropic's words": part(type="document", source={"type": "url", "url": "http://x"}),
    "a picture in the other API's words": part(type="input_image", image_url="http://x"),
    "a film": part(type="video_url", video_url={"url": "http://x"}),
    "a sound by address": part(type="audio_url", audio_url={"url": "http://x"}),
    "a role that is none": {"messages": [{"role": "root", "content": "hi"}]},
    "a message with more": {"messages": [{"role": "user", "content": "hi", "cache_control": {"type": "ephemeral"}}]},
    "a tool call that is none": {
        "messages": [*MESSAGES, {"role": "assistant", "tool_calls": [{"id": "1", "type": "mcp", "mcp": {}}]}]
    },
}
DEARER: dict[str, dict[str, Any]] = {
    "log probabilities": {"logprobs": True},
    "… many": {"top_logprobs": 20},
    "… of the prompt": {"prompt_logprobs": 1},
    "the best of many": {"best_of": 100},
    "a dearer tier": {"service_tier": "priority"},
    "a faster one": {"speed": "fast"},
    "a prediction": {"prediction": {"type": "content", "content": "x"}},
    "beams": {"use_beam_search": True},
    "an answer of at least so many tokens": {"min_tokens": 10**6},
    "without an end": {"ignore_eos": True},
    "a priority in the queue": {"priority": -1},
    "no tokens": {"max_tokens": 0},
    "fewer than none": {"max_tokens": -1},
    "tokens that are no number": {"max_tokens": "many"},
    "tokens that are a truth": {"max_completion_tokens": True},
}
NO_MODELS = [
    "gpt-5.5-pro",
    "openai:gpt-5.5-pro",
    "m",
    "fake:m",
    "diagnose",
    "",
    "SOLVE",
    "solve ",
    "../solve",
    None,
    1,
    ["solve"],
]


@pytest.mark.parametrize("asked", [*WAYS_OUT.values(), *DEARER.values()], ids=[*WAYS_OUT, *DEARER])
def test_what_would_act_for_the_agent_or_cost_more_is_refused_and_sent_nowhere(
    session: Any, fake: Any, kit: Any, asked: dict[str, Any]
) -> None:
    heard = kit.ask(session.socket, {**BODY, **asked})
    assert heard.status == 400
    error = heard.body["error"]
    assert error["type"] == "invalid_request_error" and error["code"] and error["message"]
    assert (fake.requests, session.bill, session.fault) == ([], (), None), "and it is no one's fault but the agent's"


@pytest.mark.parametrize("name", NO_MODELS, ids=repr)
def test_models_are_named_by_their_role_and_in_no_other_way(session: Any, fake: Any, kit: Any, name: Any) -> None:
    heard = kit.ask(session.socket, {**BODY, "model": name})
    assert heard.status == 404 and heard.body["error"]["code"] == "model_not_found"
    assert fake.requests == []
    told = heard.body["error"]["message"].replace(repr(name), "")
    assert "fake" not in told, "nor is it told what the roles' models are"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        (method, path)
        for path in (
            "/v1/files", "/v1/batches", "/v1/responses", "/v1/messages", "/v1/completions", "/v1/embeddings",
            "/v1/images/generations", "/v1/audio/speech", "/v1/fine_tuning/jobs", "/v1/models/solve",
            "/v1/vector_stores", "/v1/containers", "/invocations", "/pause",
            "/update_weights", "/tokenize", "/metrics", "/health", "/load",
            "/v1/chat/completions/", "/v1/chat/completions/../files", "/V1/chat/completions", "//v1/chat/completions",
            "/v1%2Fchat/completions/x", "/", "/.env", "/proc/self/environ", "/ledger", "/budget/", "/key",
            "http://192.0.2.1/v1/chat/completions",
        )
        for method in ("GET", "POST")
    ]
    + [(method, "/v1/chat/completions") for method in ("GET", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD")]
    + [("POST", "/budget"), ("POST", "/v1/models"), ("DELETE", "/v1/models")],
)  # fmt: skip
def test_no_other_address_is_served(session: Any, fake: Any, kit: Any, method: str, path: str) -> None:
    if path.startswith("http://"):
        # A request to a proxy: whatever host it names, it is our own addresses that are served, and nothing is fetched.
        path = path.replace("/v1/chat/completions", "/elsewhere")
    heard = kit.ask(session.socket, BODY if method != "HEAD" else None, method=method, url=path)
    assert heard.status == 404
    assert fake.requests == []


def test_a_tunnel_is_not_dug(session: Any, fake: Any, kit: Any) -> None:
    connection = kit.UnixConnection(session.socket)
    try:
        connection.request("CONNECT", "192.0.2.1:443")
        response = connection.getresponse()
        assert response.status >= 400
    except http.client.HTTPException:
        pass  # or hung up on
    finally:
        connection.close()
    assert fake.requests == []


def test_what_an_agent_sends_is_the_body_alone(session: Any, fake: Any, kit: Any) -> None:
    honest = {"tools": [FUNCTION], "temperature": 0.5, "n": 10_000, "max_tokens": 10**7, "stream": True}
    assert kit.ask(session.socket, {**BODY, **honest}).status == 200
    (sent,) = fake.requests
    assert sent["max_tokens"] == 500, "at most what the settings allow"
    assert "n" not in sent and "stream" not in sent, "one answer, and whole"
    assert sent["model"] == "m"
    assert set(sent) <= {"model", "messages", "tools", "temperature", "max_tokens"}


@pytest.mark.parametrize("raw", [b"", b"[]", b"null", b"{", b'{"a": NaN}', b"\xff", b'"x"', b"[" * (2 * DEPTH_LIMIT)])
def test_what_is_no_request_is_refused(session: Any, fake: Any, kit: Any, raw: bytes) -> None:
    assert kit.ask(session.socket, raw).status == 400
    assert fake.requests == []


def test_the_budget_tells_what_is_left_and_nothing_else(gateway: Gateway, kit: Any) -> None:
    with gateway.session(SCOPE, log=None, caps=Caps(usd=1.0, tokens=100_000, calls=9)) as session:
        assert kit.ask(session.socket, method="GET", url="/budget").body == {
            "left": {"usd": 1.0, "tokens": 100_000, "calls": 9, "seconds": None},
            "steps": 0,
        }
        session.begins(60.0)
        kit.ask(session.socket, BODY)
        told = kit.ask(session.socket, method="GET", url="/budget").body
    assert told["steps"] == 1 and told["left"]["calls"] == 8 and told["left"]["tokens"] == 100_000 - 110
    assert told["left"]["usd"] == pytest.approx(1.0 - 120e-6)
    assert 0 < told["left"]["seconds"] <= 60
    assert json.dumps(told).count("fake") == 0


def test_64_callers_cannot_spend_more_than_there_is_for_ten(kit: Any) -> None:
    """A6: whatever runs at once, the sum of what the service bills stays under the cap."""
    billed: list[float] = []
    price = Price(1.0, 2.0)

    def answer(request: Any) -> Completion:
        usage = Usage(5, 0, 0, request["max_tokens"])
        billed.append(price.of(usage))
        return Completion(kit.completion(), usage)

    most = 10 * (5 * 1.0 + 400 * 2.0) / 1e6
    model = Model(kit.Fake(answer), "m", price, 400, mend=False)
    with Ledger(None, Caps(usd=most)) as ledger, Gateway({"solve": model}, ledger) as gateway:
        with (
            gateway.session(SCOPE, log=None, caps=Caps(usd=most)) as session,
            ThreadPoolExecutor(64) as pool,
        ):
            statuses = list(pool.map(lambda _: kit.ask(session.socket, BODY).status, range(64)))
        assert set(statuses) == {200, 402}
        assert 1 <= statuses.count(200) <= 10
        assert len(billed) == statuses.count(200)
        assert sum(billed) <= most
        assert ledger.spent().settled.usd == pytest.approx(sum(billed))


@pytest.mark.parametrize(
    "said",
    [
        "Incorrect API key provided: {key}. You can find your key at https://x",
        "invalid x-api-key {key}",
        "Authorization: Bearer {key} is not allowed",
        '{{"sent": "{key}", "nested": ["{key}"]}}',
    ],
)
@pytest.mark.parametrize("key", ["sk-proj-CANARYcanary0123456789abcdef", "plain-but-long-secret-1", "hunter22"])
@pytest.mark.parametrize("status", [400, 401, 403, 429, 500])
def test_a_service_that_repeats_our_key_does_not_tell_the_agent(
    upstream: Any, kit: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, said: str, key: str, status: int
) -> None:
    """A9: also a key that looks like no key, because it is known."""
    monkeypatch.setenv("SOME_KEY", key)
    upstream.says(
        kit.Said({"error": {"message": said.format(key=key), "type": "x"}}, status, {"x-echo": key, "set-cookie": key})
    )
    own = ProviderSettings(
        kind="openai",
        url=upstream.url,
        key_env="SOME_KEY",
        prices={"m": {"input": 1, "output": 1}},  # type: ignore[dict-item]
    )
    models = open_models({"solve": "mine:m"}, {"mine": own})
    with Gateway(models, Ledger(tmp_path / "ledger.jsonl"), retry=QUICK) as gateway:
        gateway.give_up()  # what may pass (429, 500) is not waited for
        with gateway.session(SCOPE, log=tmp_path, caps=Caps()) as session:
            heard = kit.ask(session.socket, BODY)
        with pytest.raises(ModelError) as caught:
            gateway.complete(SCOPE, "solve", MESSAGES, log=tmp_path)
    assert heard.status >= 400
    assert any(key in value for headers, _, _ in upstream.requests for value in headers.values()), "the key is in use"
    assert key.encode() not in heard.content and key not in str(heard.headers)
    assert key not in str(caught.value) + str(session.fault)
    for path in tmp_path.iterdir():
        assert key.encode() not in path.read_bytes()


def test_a_service_that_repeats_our_key_in_an_answer_is_not_believed_on_paper(
    upstream: Any, kit: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The transcript is what is kept and shown."""
    monkeypatch.setenv("SOME_KEY", "plain-but-long-secret-1")
    upstream.says(kit.completion("your key is plain-but-long-secret-1"))
    own = ProviderSettings(kind="local", url=upstream.url, key_env="SOME_KEY")
    with (
        Gateway(open_models({"solve": "mine:m"}, {"mine": own}), Ledger(None), retry=QUICK) as gateway,
        gateway.session(SCOPE, log=tmp_path, caps=Caps()) as session,
    ):
        assert kit.ask(session.socket, BODY).status == 200
    assert b"plain-but-long-secret-1" not in (tmp_path / "transcript.jsonl").read_bytes()


class TestTripwire:
    """A1, the alarm: a box that shows a key."""

    def test_a_box_that_sends_the_canary_gets_no_answer_and_neither_does_any_other(
        self, gateway: Gateway, fake: Any, kit: Any, tripwire: Tripwire, tmp_path: Path
    ) -> None:
        leak = {**BODY, "messages": [{"role": "user", "content": f"look what I found: {tripwire.canary}"}]}
        with gateway.session(SCOPE, log=tmp_path, caps=Caps()) as session:
            assert kit.ask(session.socket, BODY).status == 200
            heard = kit.ask(session.socket, leak)
            assert heard.status == 503 and tripwire.canary not in heard.content.decode()
        assert len(fake.requests) == 1, "it was not sent on"
        assert session.fault == tripwire.breach
        assert str(tripwire.breach).startswith(
            "the canary key of this run was found in a request of evaluation-1 to its model: the isolation of this run "
            "is broken, so it was stopped"
        )
        with gateway.session(Scope("evaluation-2"), log=None, caps=Caps()) as other:
            assert kit.ask(other.socket, BODY).status == 503
            assert other.fault == tripwire.breach
        assert tripwire.canary.encode() not in (tmp_path / "transcript.jsonl").read_bytes()

    def test_the_real_keys_are_looked_for_too(
        self, gateway: Gateway, kit: Any, tripwire: Tripwire, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SOME_KEY", "a-real-looking-secret-4711")
        open_models({"solve": "mine:m"}, {"mine": ProviderSettings(kind="local", url="http://x", key_env="SOME_KEY")})
        with gateway.session(SCOPE, log=None, caps=Caps()) as session:
            assert kit.ask(session.socket, b'not even JSON: "a-real-looking-secret-4711"').status == 503
        assert str(tripwire.breach).startswith("the key in SOME_KEY was found in a request of evaluation-1")
        assert "4711" not in str(tripwire.breach)

    def test_a_placeholder_for_a_local_server_is_no_alarm(
        self, gateway: Gateway, kit: Any, tripwire: Tripwire, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for placeholder in ("EMPTY", "token-abc123", "no-key-is-required-here"):
            monkeypatch.setenv("SOME_KEY", placeholder)
            own = ProviderSettings(kind="local", url="http://x", key_env="SOME_KEY")
            open_models({"solve": "mine:m"}, {"mine": own})
            with gateway.session(SCOPE, log=None, caps=Caps()) as session:
                said = {**BODY, "messages": [{"role": "user", "content": f"api_key={placeholder}"}]}
                assert kit.ask(session.socket, said).status == 200
        assert tripwire.breach is None
