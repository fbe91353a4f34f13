"""Several replicas as one provider, on real HTTP servers: staying, spilling, dying, hanging, draining, coming back."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from evolve.llm import Completion, ModelError, Scope
from evolve.llm.fleets import open_fleet, open_urls
from evolve.llm.replica import IDLE_LOOKS, SILENT_LOOKS
from evolve.llm.replicas import Replicas
from evolve.llm.roster import Listed
from evolve.vllm.registry import Fleet, Replica, folder_of, write_fleet

REQUEST: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 50}
Server = Any
MakeServer = Callable[..., Server]


def over(*servers: Server, seconds: float = 20.0, look_seconds: float = 0.05) -> Replicas:
    urls = [server.url for server in servers]
    replicas = open_urls("mine", urls, key=None, key_env=None, token_field="max_tokens", seconds=seconds)
    replicas.look_seconds = look_seconds
    return replicas


def run(replicas: Replicas, work: Callable[[Callable[[str], Awaitable[Completion]]], Awaitable[None]]) -> None:
    """Let `work` make calls for rollouts on one event loop, and close the provider."""

    async def ask(key: str) -> Completion:
        return await replicas.complete(REQUEST, Scope(key))

    async def whole() -> None:
        try:
            async with asyncio.timeout(60):
                await work(ask)
        finally:
            await replicas.close()

    asyncio.run(whole())


async def until(true: Callable[[], bool]) -> None:
    while not true():
        await asyncio.sleep(0.01)


def place_of(replicas: Replicas, servers: list[Server]) -> dict[str, Server]:
    return {server.url.removeprefix("http://").removesuffix("/v1"): server for server in servers}


def test_a_rollout_stays_and_says_who_it_is(replica_server: MakeServer) -> None:
    servers = [replica_server() for _ in range(3)]
    replicas = over(*servers)

    async def work(ask: Any) -> None:
        for _ in range(4):
            for number in range(12):
                answer = await ask(f"evaluation-{number}")
                assert answer.endpoint in place_of(replicas, servers)

    run(replicas, work)
    homes = Counter(rollout for server in servers for rollout in set(server.rollouts))
    assert set(homes.values()) == {1} and len(homes) == 12
    assert max(len(set(server.rollouts)) for server in servers) <= 5
    assert replicas.seats.moves == {"new": 12, "stays": 36} and replicas.failovers == 0


def test_one_address_alone_is_not_named(replica_server: MakeServer) -> None:
    server = replica_server()
    replicas = over(server)

    async def work(ask: Any) -> None:
        assert (await ask("evaluation-1")).endpoint == ""

    run(replicas, work)
    assert server.rollouts == ["evaluation-1"]


def test_a_killed_replica_costs_its_rollouts_nothing_and_gets_them_back(replica_server: MakeServer) -> None:
    servers = [replica_server(slots=64) for _ in range(3)]
    replicas = over(*servers)

    async def work(ask: Any) -> None:
        keys = [f"evaluation-{number}" for number in range(12)]
        homes = {key: (await ask(key)).endpoint for key in keys}
        dead = place_of(replicas, servers)[homes["evaluation-0"]]
        name = homes["evaluation-0"]
        dead.stuck = True
        under_way = [asyncio.ensure_future(ask(key)) for key in keys]
        await until(lambda: dead.running == Counter(homes.values())[name])
        dead.kill()
        answers = await asyncio.gather(*under_way)
        assert {answer.endpoint for answer in answers} == set(homes.values()) - {name}
        assert replicas.failovers == Counter(homes.values())[name]
        heard = len(dead.heard)
        for key in keys:
            assert (await ask(key)).endpoint != name
        assert len(dead.heard) == heard
        dead.stuck = False
        dead.start()
        await until(lambda: all(standing.why == "" for standing in replicas.standings()))
        assert {key: (await ask(key)).endpoint for key in keys} == homes

    run(replicas, work)
    assert replicas.seats.moves["returned"] == replicas.seats.moves["moved"] > 0


def test_a_replica_out_of_service_is_left_alone_for_a_while(replica_server: MakeServer) -> None:
    servers = [replica_server() for _ in range(2)]
    replicas = over(*servers)

    async def work(ask: Any) -> None:
        name = (await ask("evaluation-1")).endpoint
        sick = place_of(replicas, servers)[name]
        sick.status = 503
        for _ in range(5):
            assert (await ask("evaluation-1")).endpoint != name
        assert len(sick.heard) == 2 and replicas.failovers == 1
        assert "lost a call" in next(each.why for each in replicas.standings() if each.name == name)

    run(replicas, work)


@pytest.mark.parametrize("status", [400, 429, 500])
def test_other_errors_are_the_gateways_matter(replica_server: MakeServer, status: int) -> None:
    servers = [replica_server() for _ in range(2)]
    replicas = over(*servers)

    async def work(ask: Any) -> None:
        for server in servers:
            server.status = status
        with pytest.raises(ModelError, match=str(status)):
            await ask("evaluation-1")
        assert sum(len(server.heard) for server in servers) == 1 and replicas.failovers == 0

    run(replicas, work)


def test_with_all_replicas_dead_the_error_is_that_of_the_second_one_tried(replica_server: MakeServer) -> None:
    servers = [replica_server() for _ in range(3)]
    replicas = over(*servers, look_seconds=60)

    async def work(ask: Any) -> None:
        await ask("evaluation-1")
        for server in servers:
            server.kill()
        with pytest.raises(ModelError, match="not available") as caught:
            await ask("evaluation-1")
        assert caught.value.kind == "unavailable" and replicas.failovers == 1
        servers[0].start()
        servers[1].start()
        servers[2].start()
        await until(lambda: all(server.looks for server in servers))
        await ask("evaluation-1")

    run(replicas, work)


def test_a_hung_replica_loses_its_calls_to_the_others(replica_server: MakeServer, monkeypatch: Any) -> None:
    monkeypatch.setattr("evolve.llm.replica.LOOK_TIMEOUT", 0.05)
    servers = [replica_server() for _ in range(2)]
    replicas = over(*servers, look_seconds=0.01)

    async def work(ask: Any) -> None:
        name = (await ask("evaluation-1")).endpoint
        hung = place_of(replicas, servers)[name]
        await until(lambda: all(each.running is not None for each in replicas.standings()))
        hung.hangs = True
        answer = await ask("evaluation-1")
        assert answer.endpoint != name and replicas.failovers == 1
        assert next(each.why for each in replicas.standings() if each.name == name) == "it hangs"
        hung.hangs = False
        await until(lambda: all(standing.why == "" for standing in replicas.standings()))
        assert (await ask("evaluation-1")).endpoint == name

    run(replicas, work)
    assert SILENT_LOOKS * 0.05 < 60


def test_a_replica_that_works_without_a_token_for_long_is_hung_too(replica_server: MakeServer) -> None:
    servers = [replica_server() for _ in range(2)]
    replicas = over(*servers, look_seconds=0.01)

    async def work(ask: Any) -> None:
        name = (await ask("evaluation-1")).endpoint
        stuck = place_of(replicas, servers)[name]
        stuck.stuck = True
        looks = stuck.looks
        assert (await ask("evaluation-1")).endpoint != name
        assert stuck.looks - looks >= IDLE_LOOKS

    run(replicas, work)


@pytest.mark.parametrize("maker", ["sglang", "llamacpp"])
def test_servers_that_count_tokens_at_the_end_may_take_long(replica_server: MakeServer, maker: str) -> None:
    servers = [replica_server(maker=maker) for _ in range(2)]
    replicas = over(*servers, look_seconds=0.01)

    async def work(ask: Any) -> None:
        name = (await ask("evaluation-1")).endpoint
        slow = place_of(replicas, servers)[name]
        slow.stuck = True
        call = asyncio.ensure_future(ask("evaluation-1"))
        await until(lambda: slow.running == 1)
        looks = slow.looks
        await until(lambda: slow.looks > looks + 2 * IDLE_LOOKS)
        seen = next(each for each in replicas.standings() if each.name == name)
        assert seen.why == "" and seen.running == 1
        call.cancel()

    run(replicas, work)


def test_a_lone_replica_that_hangs_keeps_its_calls(replica_server: MakeServer) -> None:
    """Nothing is won by giving them up, and it may come back."""
    server = replica_server()
    replicas = over(server, seconds=1.0, look_seconds=0.01)

    async def work(ask: Any) -> None:
        await ask("evaluation-1")
        server.stuck = True
        with pytest.raises(ModelError, match="no answer within 1 s"):
            await ask("evaluation-1")
        assert replicas.standings()[0].why == "it hangs"
        server.stuck = False
        assert (await ask("evaluation-1")).body

    run(replicas, work)


def test_a_crowded_replica_sends_rollouts_away(replica_server: MakeServer) -> None:
    servers = [replica_server() for _ in range(2)]
    replicas = over(*servers)

    async def work(ask: Any) -> None:
        name = (await ask("evaluation-1")).endpoint
        busy = place_of(replicas, servers)[name]
        await until(lambda: all(each.waiting == 0 for each in replicas.standings()))
        busy.waiting = 9  # other people's
        await until(lambda: any(each.waiting == 9 for each in replicas.standings()))
        assert (await ask("evaluation-1")).endpoint != name
        busy.waiting = 0
        await until(lambda: all(each.waiting == 0 for each in replicas.standings()))
        assert (await ask("evaluation-1")).endpoint == name

    run(replicas, work)
    assert replicas.seats.moves == {"new": 1, "spilled": 1, "returned": 1}


def test_a_service_without_figures_is_served_as_well(replica_server: MakeServer) -> None:
    servers = [replica_server(tells=False, seconds=0.05, slots=64) for _ in range(2)]
    replicas = over(*servers)
    replicas.pace(64)
    assert replicas.moves() == 2

    async def work(ask: Any) -> None:
        await asyncio.gather(*(ask(f"evaluation-{number}") for number in range(20)))
        await until(lambda: replicas.moves() is None)
        assert replicas.reason() is None

    run(replicas, work)
    assert max(len(server.heard) for server in servers) <= 13


def test_an_address_twice_is_refused_and_a_password_is_not_shown() -> None:
    with pytest.raises(ModelError, match="twice"):
        open_urls("mine", ["http://a/v1", "http://a/v1"], key=None, key_env=None, token_field="max_tokens", seconds=1)
    endpoint = Listed(["http://me:secret@gpu:8000/v1/"]).read()[0]
    assert endpoint.name == "gpu:8000"


# A fleet of `clade vllm up`.


@pytest.fixture
def fleet(replica_server: MakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Fleet, list[Server]]:
    """Two registered replicas, the second one on a Unix socket."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    folder_of("coder").mkdir(parents=True)
    (folder_of("coder") / "key").write_text("fleet-key-123456\n")
    socket = tmp_path / "1.sock"
    servers = [replica_server(), replica_server(socket=socket)]
    replicas = (
        Replica(0, servers[0].url.removesuffix("/v1"), state="ready"),
        Replica(1, "http://vllm", str(socket), state="ready"),
    )
    made = Fleet("coder", "/models/tiny", "coder", "fleet-key-123456", 4096, replicas)
    write_fleet(made)
    return made, servers


def rewritten(fleet: Fleet, index: int, **more: Any) -> Fleet:
    replicas = tuple(replace(each, **more) if each.index == index else each for each in fleet.replicas)
    changed = replace(fleet, replicas=replicas)
    write_fleet(changed)
    return changed


def followed() -> Replicas:
    replicas = open_fleet("vllm", "coder", seconds=20)
    replicas.look_seconds = 0.05
    return replicas


def test_a_fleet_is_reached_by_port_and_socket_with_its_key_and_name(fleet: Any) -> None:
    _, servers = fleet
    replicas = followed()
    assert replicas.name == "vllm:coder"

    async def work(ask: Any) -> None:
        answers = [await ask(f"evaluation-{number}") for number in range(8)]
        assert {answer.endpoint for answer in answers} == {"coder-0", "coder-1"}

    run(replicas, work)
    assert all(body["model"] == "coder" for server in servers for _, body in server.heard)
    assert all(server.heard for server in servers)


def test_draining_lets_calls_end_and_takes_no_new_ones(fleet: Any) -> None:
    made, servers = fleet
    replicas = followed()

    async def work(ask: Any) -> None:
        keys = [f"evaluation-{number}" for number in range(8)]
        homes = {key: (await ask(key)).endpoint for key in keys}
        servers[0].seconds = 0.5
        at_0 = next(key for key, home in homes.items() if home == "coder-0")
        call = asyncio.ensure_future(ask(at_0))
        await until(lambda: servers[0].running == 1)
        servers[0].seconds = 0.0
        rewritten(made, 0, state="draining")
        assert {(await ask(key)).endpoint for key in keys} == {"coder-1"}
        assert (await call).endpoint == "coder-0"
        rewritten(made, 0, state="ready")
        assert {key: (await ask(key)).endpoint for key in keys} == homes

    run(replicas, work)
    assert replicas.failovers == 0


def test_a_restart_at_another_port_is_followed_and_calls_under_way_go_elsewhere(
    fleet: Any, replica_server: MakeServer
) -> None:
    made, servers = fleet
    replicas = followed()

    async def work(ask: Any) -> None:
        keys = [f"evaluation-{number}" for number in range(8)]
        homes = {key: (await ask(key)).endpoint for key in keys}
        at_0 = next(key for key, home in homes.items() if home == "coder-0")
        servers[0].stuck = True
        call = asyncio.ensure_future(ask(at_0))
        await until(lambda: servers[0].running == 1)
        restarting = rewritten(made, 0, state="starting", url="", why="loads the weights")
        assert (await call).endpoint == "coder-1" and replicas.failovers == 1
        assert {(await ask(key)).endpoint for key in keys} == {"coder-1"}
        again = replica_server()
        rewritten(restarting, 0, state="ready", url=again.url.removesuffix("/v1"))
        assert {key: (await ask(key)).endpoint for key in keys} == homes
        assert again.heard

    run(replicas, work)


def test_a_fleet_that_is_not_ready_or_is_gone_is_an_outage(fleet: Any) -> None:
    made, _ = fleet
    replicas = followed()

    async def work(ask: Any) -> None:
        await ask("evaluation-1")
        down = rewritten(made, 0, state="dead", why="out of memory")
        rewritten(down, 1, state="starting", why="loads the weights")
        with pytest.raises(ModelError, match=r"coder-0: dead: out of memory; coder-1: starting: loads") as caught:
            await ask("evaluation-1")
        assert caught.value.kind == "unavailable"
        (folder_of("coder") / "fleet.json").unlink()
        with pytest.raises(ModelError, match="clade vllm up MODEL --name coder") as caught:
            await ask("evaluation-1")
        assert caught.value.kind == "unavailable"
        write_fleet(made)
        assert (await ask("evaluation-1")).endpoint

    run(replicas, work)


def test_a_fleet_that_does_not_exist_is_refused_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    with pytest.raises(ModelError, match="clade vllm up MODEL --name coder") as caught:
        open_fleet("vllm", "coder", seconds=1)
    assert caught.value.kind == "refused"
    with pytest.raises(ModelError, match="cannot be a fleet's name"):
        open_fleet("vllm", "Qwen/Coder", seconds=1)
