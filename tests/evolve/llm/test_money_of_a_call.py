"""What one call may cost and does cost: the cap on a call, and machines that are paid by the hour."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from evolve.llm import Caps, Gateway, Ledger, Model, Price, Retry, Scope
from evolve.llm.openai_compatible import OpenAICompatible

BODY: dict[str, Any] = {"model": "solve", "messages": [{"role": "user", "content": "hi"}]}


def model(upstream: Any, price: Price) -> Model:
    return Model(OpenAICompatible("up", f"{upstream.url}/v1"), "m", price)


def ask(kit: Any, upstream: Any, price: Price, caps: Caps, content: str = "hi", retry: Retry | None = None) -> Any:
    """One call through a session's socket; the answer, and what the run has spent."""
    body = {**BODY, "messages": [{"role": "user", "content": content}]}
    with (
        Ledger(None, caps) as ledger,
        Gateway({"solve": model(upstream, price)}, ledger, retry=retry) as gateway,
        gateway.session(Scope("evaluation-1"), log=None, caps=Caps()) as session,
    ):
        heard = kit.ask(session.socket, body)
        return heard, session, ledger.spent()


def test_a_call_is_cut_down_to_what_its_cap_pays_for(kit: Any, upstream: Any) -> None:
    heard, _, spent = ask(kit, upstream, Price(1.0, 10.0), Caps(usd_per_call=0.01))
    assert heard.status == 200
    generated = upstream.requests[0][2]["max_tokens"]
    assert 0.0095 < (20 * 1.0 + generated * 10.0) / 1e6 <= 0.01, "nearly all of a cent, and never more"
    assert spent.settled.usd == pytest.approx((100 * 1.0 + 10 * 10.0) / 1e6)


def test_a_prompt_too_dear_for_a_call_is_answered_so_that_the_agent_can_shorten_it(kit: Any, upstream: Any) -> None:
    heard, session, spent = ask(kit, upstream, Price(10.0, 10.0), Caps(usd_per_call=0.01), "word " * 2000)
    assert (heard.status, heard.body["error"]["code"]) == (400, "context_length_exceeded")
    assert "$0.01" in heard.body["error"]["message"]
    assert upstream.requests == [] and spent.settled.usd == 0.0
    assert session.fault is None and session.spent_out is None, "shorter messages will be answered"


def test_a_machine_paid_by_the_hour_is_charged_for_the_time_of_the_call(kit: Any, upstream: Any) -> None:
    upstream.says(kit.Said(kit.completion(), seconds=0.2))
    _, session, spent = ask(kit, upstream, Price(0.0, 0.0, hour=36.0), Caps())
    assert 0.2 * 36 / 3600 <= spent.settled.usd <= session.bill[0].seconds * 36 / 3600
    assert spent.settled.input_tokens == 100


def test_before_a_call_the_longest_time_it_may_take_is_reserved(kit: Any, upstream: Any) -> None:
    heard, session, _ = ask(kit, upstream, Price(0.0, 0.0, hour=36.0), Caps(usd=5.99))
    assert heard.status == 402 and session.spent_out == "run", "600 s at $36 an hour are six dollars"
    quick = Retry(deadline=100.0)
    heard, _, _ = ask(kit, upstream, Price(0.0, 0.0, hour=36.0), Caps(usd=5.99), retry=quick)
    assert heard.status == 200


def test_a_call_cut_off_on_such_a_machine_is_charged_its_time_and_not_the_worst_case(
    kit: Any, upstream: Any, tmp_path: Path
) -> None:
    upstream.says(kit.Said(kit.completion(), seconds=30.0))
    path = tmp_path / "ledger.jsonl"
    hourly = {"solve": model(upstream, Price(0.0, 0.0, hour=36.0))}
    with Ledger(path) as ledger, Gateway(hourly, ledger, drain_seconds=0.1) as gateway:
        with gateway.session(Scope("evaluation-1"), log=None, caps=Caps()) as session:
            connection = kit.UnixConnection(session.socket)
            connection.request("POST", "/v1/chat/completions", json.dumps(BODY))
            while not upstream.requests:
                pass
        assert 0.0 < ledger.spent().settled.usd < 1.0
    connection.close()
