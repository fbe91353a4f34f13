"""The house's own question: past the queue, paid like any call, and told apart from an outage."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from evolve.llm import Caps, Completion, Gateway, Ledger, ModelError, Price, Scope, Usage
from evolve.llm.probe import QUESTION, Probe, question


def test_the_question_goes_out_as_the_models_settings_want_it(kit: Any) -> None:
    model = kit.model(parameters={"reasoning_effort": "low", "max_tokens": 100_000}, max_output_tokens=64)
    asked = question(model)
    assert asked == {
        "reasoning_effort": "low",
        "model": "m",
        "messages": [{"role": "user", "content": QUESTION}],
        "max_tokens": 64,
    }


def test_it_is_paid_from_the_runs_budget(kit: Any) -> None:
    ledger = Ledger(None, Caps(usd=1.0))
    asyncio.run(Probe({"solve": kit.model()}, ledger)("fake:m"))
    assert ledger.spent().settled.usd == pytest.approx((100 * 1 + 10 * 2) / 1e6)


def test_a_failed_question_costs_nothing_and_a_bug_is_a_failure(kit: Any) -> None:
    for failure in (ModelError("away", kind="unavailable"), KeyError("a bug")):

        def answer(request: Any, failure: Exception = failure) -> Completion:
            raise failure

        ledger = Ledger(None)
        with pytest.raises(ModelError) as caught:
            asyncio.run(Probe({"solve": kit.model(kit.Fake(answer))}, ledger)("fake:m"))
        assert caught.value.kind == "unavailable"
        assert ledger.spent().settled.usd == 0.0 and ledger.spent().reserved_usd == 0.0


def test_a_question_that_was_cut_short_is_charged_in_full(kit: Any) -> None:
    class Slow:
        name = "fake"

        async def complete(self, request: Any, scope: Scope) -> Completion:
            await asyncio.sleep(60)
            return Completion({}, Usage())

    ledger = Ledger(None)

    async def main() -> None:
        await asyncio.wait_for(Probe({"solve": kit.model(Slow(), Price(1.0, 1.0))}, ledger)("fake:m"), 0.05)

    with pytest.raises(TimeoutError):
        asyncio.run(main())
    assert ledger.spent().settled.usd > 0 and ledger.spent().unmeasured_calls == 1


def test_without_money_nothing_is_asked(kit: Any) -> None:
    fake = kit.Fake(kit.hello)
    asyncio.run(Probe({"solve": kit.model(fake)}, Ledger(None, Caps(usd=0.0)))("fake:m"))
    assert fake.requests == []


def test_a_rollouts_own_model_is_not_asked(kit: Any) -> None:
    asyncio.run(Probe({"solve": kit.model()}, Ledger(None))("scripted:exercise"))


def test_a_gateway_asks_when_its_service_fails_and_stops_asking_when_it_closes(kit: Any) -> None:
    def answer(request: Any) -> Completion:
        raise ModelError("it is down", kind="unavailable", status=503)

    fake = kit.Fake(answer)
    with Gateway({"solve": kit.model(fake)}, Ledger(None)) as gateway:
        gateway.give_up()
        for _ in range(3):
            with pytest.raises(ModelError):
                gateway.complete(Scope("expansion-1"), "solve", [{"role": "user", "content": "hi"}])
        while not gateway.traffic.outages():
            time.sleep(0.01)
        (outage,) = gateway.traffic.outages()
        assert (outage.service, outage.reason) == ("fake", "it is down")
    assert [request["messages"][0]["content"] for request in fake.requests][-1] == QUESTION
