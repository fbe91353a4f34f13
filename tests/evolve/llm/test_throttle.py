"""What the loop and a person are told about the workers that can be served."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from evolve.llm import Model, Price, Scope, Throttle
from evolve.llm.fleets import open_urls
from evolve.llm.replicas import Replicas

REQUEST: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 50}


def service(name: str, *urls: str) -> Replicas:
    opened = open_urls(name, urls, key=None, key_env=None, token_field="max_tokens", seconds=5.0)
    opened.look_seconds = 0.02
    return opened


def model(provider: Any) -> Model:
    return Model(provider, "m", Price(0.0, 0.0))


def test_services_of_others_are_not_throttled(kit: Any) -> None:
    throttle = Throttle({"solve": model(kit.Fake(kit.hello))}, 8)
    assert throttle.moves() is None and throttle.line() is None and throttle.standings() == {}


def test_before_the_first_call_it_begins_small() -> None:
    mine = service("mine", "http://127.0.0.1:1/v1")
    throttle = Throttle({"solve": model(mine), "improve": model(mine)}, 8)
    assert throttle.moves() == 2 and throttle.line() == "2 of 8 workers (mine: not asked yet)"
    assert Throttle({"solve": model(mine)}, 1).line() is None


def test_the_service_that_can_serve_least_decides(replica_server: Callable[..., Any]) -> None:
    idle, busy = replica_server(), replica_server()
    busy.kv_use = 0.9
    first, second = service("idle", idle.url), service("busy", busy.url)
    throttle = Throttle({"solve": model(first), "improve": model(second)}, 8)

    async def until_idle_serves_all() -> None:
        for provider in (first, second):
            await provider.complete(REQUEST, Scope("evaluation-1"))
        async with asyncio.timeout(20):
            while first.moves() != 8:
                await asyncio.sleep(0.01)
        await first.close()
        await second.close()

    asyncio.run(until_idle_serves_all())
    assert throttle.moves() == 2
    assert throttle.line() == "2 of 8 workers (busy: 90% of the KV cache is in use: no room for more)"
