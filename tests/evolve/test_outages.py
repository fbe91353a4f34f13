"""A model service that goes away in the middle of a run: real loop, real boxes, a real server that stops listening.

The model behind the server is a script without a memory, so two runs with one worker grow the same tree: a run whose
service was away must grow it as well.
"""

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from aiohttp import web

from archive import Archive, Outcome
from benchmarks import Benchmark, Task, Verdict
from evolve.ancestor import ancestor
from evolve.evaluate import evaluate
from evolve.expand import expand
from evolve.house import House
from evolve.jobs import EvaluationJob
from evolve.llm import Gateway, Ledger, ProviderSettings, open_models
from evolve.loop import ASKED, Evolution
from evolve.scratch import clear_scratch, open_scratch
from evolve.settings import Settings
from evolve.shape import shape
from evolve.state import OUTAGE, attempts, search
from evolve.supply import Supply
from sandbox import File

KEY = "canary7c2f90d1e85b4a36b1ff"
ROLES = ("solve", "improve", "diagnose")
DOORS = tuple(f"door-{number}" for number in range(6))


class Doors(Benchmark):
    """Doors that have to be open in the end."""

    name = "doors"

    def prepare(self, sandbox, progress=None):
        return ()

    def ids(self):
        return DOORS

    def tasks(self, split):
        return DOORS if split == "search" else ()

    def task(self, id):
        return Task(id, "search", f"Open {id}.", {"door.txt": File(b"The door is closed.\n")})

    def prove(self, id, sandbox):
        raise AssertionError("nothing is proven here")

    def fingerprint(self, id):
        return id

    def grade(self, id, diff, sandbox):
        after = {change.path: change.after.content for change in diff.changes if change.after}
        return Verdict("RESOLVED" if after.get("door.txt") == b"The door is open.\n" else "UNRESOLVED", "measured")


def said(messages):
    """The script: even doors are opened, odd ones are not; a child takes one more step than its parent may."""
    turns = sum(message["role"] == "assistant" for message in messages)
    opening = json.dumps(messages[:2])
    even = any(f"Open door-{number}." in opening for number in (0, 2, 4))
    deeds = ["cat door.txt", "sed -i s/closed/open/ door.txt" if even else "true"]
    if "door-" not in opening or "agent/" in opening:
        deeds = ["grep -n 'MAX_STEPS =' agent/agent.py", "sed -i 's/^MAX_STEPS = 3/MAX_STEPS = 33/' agent/agent.py"]
    if turns >= len(deeds):
        return {"role": "assistant", "content": "Done."}
    function = {"name": "bash", "arguments": json.dumps({"command": deeds[turns]})}
    call = {"id": f"call{turns}", "type": "function", "function": function}
    return {"role": "assistant", "content": "", "tool_calls": [call]}


class Service:
    """A model service on loopback that can stop listening, also by itself after so many calls."""

    def __init__(self, loopback, *, leaves_after=None, status=200):
        self.leaves_after = leaves_after
        self.status = status
        self.calls = 0
        self.away = threading.Event()
        self.server = loopback(self.answer)

    def open(self):
        self.server.open()
        self.away.clear()

    async def answer(self, request):
        body = await request.json()
        if self.status != 200:
            return web.json_response({"error": {"message": "Incorrect API key provided"}}, status=self.status)
        if self.leaves_after == self.calls:
            self.leaves_after = None
            self.away.set()
            self.server.leave()
            request.transport.abort()
        self.calls += 1
        message = said(body["messages"])
        choice = {"index": 0, "message": message, "finish_reason": "tool_calls" if "tool_calls" in message else "stop"}
        return web.json_response({"choices": [choice], "usage": {"prompt_tokens": 100, "completion_tokens": 10}})


@pytest.fixture(scope="module", autouse=True)
def environment():
    patch = pytest.MonkeyPatch()
    patch.setenv("SERVICE_KEY", KEY)
    patch.setenv("no_proxy", "127.0.0.1")
    yield
    patch.undo()


@pytest.fixture
def service(shared):
    started = []

    def start(**how):
        started.append(Service(shared.Loopback, **how))
        return started[-1]

    yield start
    for each in started:
        each.server.stop()


class Run:
    """A run on a service, which someone may watch and stop."""

    def __init__(self, folder, service, sandbox, listener, *, seconds=60.0, watch=None):
        settings = Settings.model_validate(
            {
                "seed": 4,
                "workers": 1,
                "budget": {"evaluations": 6, "expansions": 2, "voids_in_a_row": 1},
                "rollout": {"solve_seconds": seconds, "improve_seconds": seconds},
            }
        )
        url = f"{service.server.url}/v1"
        provider = {"kind": "openai", "url": url, "key_env": "SERVICE_KEY", "prices": {"m": {"input": 1, "output": 2}}}
        models = open_models(
            dict.fromkeys(ROLES, "mine:m"),
            {"mine": ProviderSettings.model_validate(provider)},
            max_output_tokens=200,
        )
        self.listener = listener
        scratch, ledger, doors = open_scratch(folder), Ledger(None), Doors()
        with (
            Archive.create(folder) as archive,
            Gateway(models, ledger, folder=scratch, drain_seconds=1.0) as gateway,
            ThreadPoolExecutor(1) as executor,
        ):
            archive.add_seed(ancestor(None), shape(ancestor(None)))
            house = House(settings, sandbox, gateway, scratch)
            supply = Supply(
                lambda: ledger.spent().settled, outages=gateway.traffic.outages, refusal=gateway.traffic.refusal
            )
            self.archive, self.gateway = archive, gateway
            self.evolution = Evolution(
                archive,
                settings,
                doors,
                executor,
                lambda job: evaluate(job, house, doors) if isinstance(job, EvaluationJob) else expand(job, house),
                supply,
                self.listener,
            )
            watcher = threading.Thread(target=watch or (lambda run: None), args=(self,))
            watcher.start()
            self.ending = self.evolution.run()
            watcher.join()
            self.history = archive.history()
        clear_scratch(folder)

    @property
    def cut_off(self):
        rows = (*self.history.evaluations, *self.history.expansions)
        return [row for row in rows if row.reason.startswith(OUTAGE)]

    @property
    def tree(self):
        """Everything that decisions are made on."""
        measured = [(row.decision, row.agent, row.task, row.outcome) for row in search(self.history)]
        written = [(row.decision, row.parent, row.entry, row.outcome, row.child) for row in attempts(self.history)]
        return measured, written, [(agent.parent, agent.tree) for agent in self.history.agents]


def wait_for(condition):
    while not condition():
        time.sleep(0.02)


@pytest.fixture(scope="module")
def calm(tmp_path_factory, sandbox, shared):
    """A run that nothing disturbed."""
    service = Service(shared.Loopback)
    run = Run(tmp_path_factory.mktemp("calm") / "run", service, sandbox, shared.Listener())
    service.server.stop()
    assert run.ending.finished and run.cut_off == [] and run.listener.outages == []
    measured, _, agents = run.tree
    assert {outcome for *_, outcome in measured} == {Outcome.RESOLVED, Outcome.UNRESOLVED}
    assert len(agents) > 1, "a child was born"
    return run


def test_a_run_waits_for_its_service_and_grows_the_same_tree(service, sandbox, tmp_path, calm, shared):
    served = service(leaves_after=7)

    def watch(run):
        served.away.wait()
        wait_for(lambda: run.listener.out)
        time.sleep(1)
        served.open()

    run = Run(tmp_path / "run", served, sandbox, shared.Listener(), watch=watch)
    assert run.ending.finished, run.ending
    assert run.tree == calm.tree
    assert run.cut_off == [], "its time allowed the rollout under way to wait"
    assert run.listener.outages[-1] == () and run.listener.began_out == []
    (outage,) = run.listener.outages[0]
    assert outage.service == "mine" and "mine is not available" in outage.reason


@pytest.mark.slow
def test_what_cannot_wait_so_long_is_made_again_and_the_tree_is_the_same(service, sandbox, tmp_path, calm, shared):
    served = service(leaves_after=7)

    def watch(run):
        served.away.wait()
        wait_for(lambda: any(row.reason.startswith(OUTAGE) for row in run.archive.history().evaluations))
        time.sleep(3)
        served.open()

    run = Run(tmp_path / "run", served, sandbox, shared.Listener(), seconds=15.0, watch=watch)
    assert run.ending.finished, run.ending
    assert len(run.cut_off) == 1 and run.cut_off[0].outcome is Outcome.VOID
    assert run.tree == calm.tree, "one void in a row is allowed here, and not even that was counted"
    assert run.listener.began_out == []


def test_a_run_that_waits_stops_when_it_is_asked_to(service, sandbox, tmp_path, shared):
    served = service(leaves_after=4)

    def watch(run):
        served.away.wait()
        wait_for(lambda: run.listener.out)
        run.evolution.stop()
        run.gateway.give_up()

    run = Run(tmp_path / "run", served, sandbox, shared.Listener(), seconds=600.0, watch=watch)
    assert run.ending is ASKED
    moves = (*run.history.evaluations, *run.history.expansions)
    assert all(row.outcome in (Outcome.RESOLVED, Outcome.UNRESOLVED, Outcome.BORN, Outcome.VOID) for row in moves)
    assert len(run.cut_off) == 1


def test_a_wrong_key_ends_the_run_at_once_and_says_what_to_do(service, sandbox, tmp_path, shared):
    run = Run(tmp_path / "run", service(status=401), sandbox, shared.Listener())
    assert not run.ending.finished
    assert "mine:m: mine answered 401" in run.ending.reason and "check the key in SERVICE_KEY" in run.ending.reason
    assert len(run.history.evaluations) == 1 and run.history.evaluations[0].outcome is Outcome.VOID
