"""The whole loop over replicas that serve so many calls at once: its workers settle there; troubles cost no move."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from statistics import mean
from typing import Any

import pytest

from archive import Archive, Call, Outcome
from benchmarks import Benchmark, Task, Verdict
from evolve.jobs import EvaluationJob, Job, Record
from evolve.llm import Caps, Gateway, Ledger, Model, Outage, Price, Role, Scope, Throttle
from evolve.llm.fleets import open_fleet, open_urls
from evolve.llm.replicas import Replicas
from evolve.loop import Evolution
from evolve.policies import View
from evolve.settings import Settings
from evolve.shape import shape
from evolve.supply import Supply
from evolve.vllm.registry import Fleet, Replica, folder_of, write_fleet

Server = Any
TASKS = tuple(f"t{number}" for number in range(400))


class Exercises(Benchmark):
    """Tasks that nobody grades: the moves here only talk to a model."""

    name = "exercises"

    def prepare(self, sandbox: Any, progress: Any = None) -> tuple[()]:
        return ()

    def ids(self) -> tuple[str, ...]:
        return TASKS

    def prove(self, id: str, sandbox: Any) -> Any:
        raise AssertionError("nothing is proven here")

    def fingerprint(self, id: str) -> str:
        return id

    def tasks(self, split: str) -> tuple[str, ...]:
        return TASKS if split == "search" else ()

    def task(self, id: str) -> Task:
        return Task(id, "search", f"Do {id}.", {})

    def grade(self, id: str, diff: Any, sandbox: Any) -> Verdict:
        return Verdict("VOID", "not here")


class Listener:
    """Notes the capacity at every tick of the loop."""

    def __init__(self, throttle: Throttle, on_tick: Callable[[View], None]) -> None:
        self.throttle = throttle
        self.on_tick = on_tick
        self.seen: list[tuple[int, int | None]] = []

    def opened(self, row: Any) -> None: ...

    def closed(self, row: Any) -> None: ...

    def say(self, text: str) -> None: ...

    def paused(self, outages: Any) -> None: ...

    def tick(self, view: View) -> None:
        self.seen.append((view.evaluations, self.throttle.moves()))
        self.on_tick(view)


class Talk:
    """A move of three calls to the model, through the real gateway."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self.at_once = self.most_at_once = 0
        self.calls: list[Call] = []
        self.lock = threading.Lock()

    def __call__(self, job: Job) -> Record:
        assert isinstance(job, EvaluationJob)
        with self.lock:
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        question = [{"role": "user", "content": f"Do {job.task}."}]
        calls = tuple(self.gateway.complete(Scope(job.key, job.seed), "solve", question).call for _ in range(3))
        with self.lock:
            self.at_once -= 1
            self.calls.extend(calls)
        return Record(Outcome.UNRESOLVED, "talked", 0.1, steps=3, calls=calls)


@pytest.fixture
def servers(replica_server: Callable[..., Server]) -> list[Server]:
    """Three replicas that work on two calls at once."""
    return [replica_server(slots=2, seconds=0.12) for _ in range(3)]


@pytest.fixture
def provider(servers: list[Server]) -> Replicas:
    urls = [server.url for server in servers]
    opened = open_urls("mine", urls, key=None, key_env=None, token_field="max_tokens", seconds=20.0)
    opened.look_seconds = 0.05
    return opened


@pytest.fixture
def gateway(provider: Replicas, tmp_path: Path) -> Iterator[Gateway]:
    models: dict[Role, Model] = {"solve": Model(provider, "m", Price(0.0, 0.0), max_output_tokens=50)}
    with Ledger(tmp_path / "ledger.jsonl", Caps()) as ledger, Gateway(models, ledger) as made:
        yield made


def grow(gateway: Gateway, folder: Path, evaluations: int, on_tick: Callable[[View], None]) -> tuple[Any, Talk, Any]:
    """A run of so many evaluations with up to 40 workers."""
    workers = 40
    settings = Settings.model_validate(
        {"workers": workers, "budget": {"evaluations": evaluations, "expansions": 0}, "policy": {"name": "uniform"}}
    )
    throttle = Throttle(gateway.models, workers)
    listener, talk = Listener(throttle, on_tick), Talk(gateway)
    spent = lambda: gateway.ledger.spent().settled  # noqa: E731
    supply = Supply(spent, outages=gateway.traffic.outages, refusal=gateway.traffic.refusal, capacity=throttle.moves)
    with Archive.create(folder / "run") as archive, ThreadPoolExecutor(workers) as executor:
        archive.add_seed({"__main__.py": b"1"}, shape({"__main__.py": b"1"}))
        Evolution(archive, settings, Exercises(), executor, talk, supply, listener).run()
        return archive.history(), talk, listener


def settled(listener: Listener, start: int) -> float:
    """The capacity from so many evaluations on, on average."""
    return mean(moves for evaluations, moves in listener.seen if evaluations >= start and moves is not None)


def test_the_workers_settle_near_what_is_served(
    gateway: Gateway, provider: Replicas, servers: list[Server], tmp_path: Path
) -> None:
    history, talk, listener = grow(gateway, tmp_path, 100, lambda view: None)
    assert len(history.evaluations) == 100
    assert {row.outcome for row in history.evaluations} == {Outcome.UNRESOLVED}
    # Six calls are served at once. A move is nearly always at the model here, so about six moves keep it busy.
    assert 4 <= settled(listener, 40) <= 12
    assert talk.most_at_once < 40
    assert sum(len(server.heard) for server in servers) == 300
    assert min(len(server.heard) for server in servers) > 50
    assert provider.failovers == 0
    assert re.fullmatch(r"\d+ of 40 workers \(mine: .+\)", listener.throttle.line() or "")
    assert len(listener.throttle.standings()["mine"]) == 3


def test_a_replica_that_dies_amid_the_run_costs_no_move(
    gateway: Gateway, provider: Replicas, servers: list[Server], tmp_path: Path
) -> None:
    outages: list[Outage] = []
    dead: list[int] = []

    def on_tick(view: View) -> None:
        outages.extend(gateway.traffic.outages())
        if view.evaluations >= 12 and not dead:
            servers[0].stuck = True  # so that it surely dies with a call under way
            if servers[0].running:
                servers[0].kill()
                dead.append(len(servers[0].heard))
                servers[0].stuck = False
        if view.evaluations >= 30 and len(dead) == 1:
            dead.append(len(servers[0].heard))
            servers[0].start()

    history, talk, _ = grow(gateway, tmp_path, 48, on_tick)
    assert {row.outcome for row in history.evaluations} == {Outcome.UNRESOLVED}
    assert all(call.retries == 0 and call.status == "ok" for call in talk.calls)
    assert outages == [] and provider.failovers >= 1
    assert dead[0] <= dead[1] <= dead[0] + 2 < len(servers[0].heard)


def test_a_fleet_with_every_trouble_at_once_costs_no_move(
    replica_server: Callable[..., Server], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One replica is killed, one hangs, one drains; the fourth does the work."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    folder_of("coder").mkdir(parents=True)
    (folder_of("coder") / "key").write_text("fleet-key-abcdef0123456789")
    servers = [replica_server(slots=4, seconds=0.05) for _ in range(4)]
    replicas = tuple(
        Replica(number, server.url.removesuffix("/v1"), state="ready") for number, server in enumerate(servers)
    )
    fleet = Fleet("coder", "tiny", "coder", "fleet-key-abcdef0123456789", 4096, replicas)
    write_fleet(fleet)
    provider = open_fleet("vllm", "coder", seconds=20.0)
    provider.look_seconds = 0.05
    models: dict[Role, Model] = {"solve": Model(provider, "coder", Price(0.0, 0.0), max_output_tokens=50)}
    troubled: list[int] = []

    def on_tick(view: View) -> None:
        if view.evaluations >= 15 and not troubled:
            servers[0].kill()
            servers[1].stuck = True
            write_fleet(replace(fleet, replicas=(*replicas[:2], replace(replicas[2], state="draining"), replicas[3])))
            troubled.append(len(servers[3].heard))

    with Ledger(tmp_path / "ledger.jsonl", Caps()) as ledger, Gateway(models, ledger) as gateway:
        history, talk, _ = grow(gateway, tmp_path, 48, on_tick)
    assert {row.outcome for row in history.evaluations} == {Outcome.UNRESOLVED}
    # What the dead and the hung one lose one after the other, the gateway asks for again.
    assert all(call.retries <= 1 and call.status == "ok" for call in talk.calls)
    assert len(servers[3].heard) > troubled[0]
    assert provider.failovers >= 1
