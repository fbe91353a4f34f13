"""A replay is held to how each recorded move ended: a flaky test shows where it first says something else.

The flaky test is a real one in a real box: whether it passes depends on the weather, a file outside of the task.
"""

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from archive import INTERRUPTED, Archive, Decision, Outcome
from benchmarks import Benchmark, Task, Verdict
from evolve.ancestor import ancestor
from evolve.evaluate import evaluate
from evolve.house import House
from evolve.jobs import Record
from evolve.landings import code, landing_in, landing_of
from evolve.llm import Cassette, Gateway, Landing, Ledger, ModelError, open_models
from evolve.replay import led
from evolve.scratch import clear_scratch, open_scratch
from evolve.settings import Settings
from evolve.shape import shape
from evolve.state import moves_of
from evolve.supply import Supply
from sandbox import File, open_sandbox

ROLES = ("solve", "improve", "diagnose")
WALKS = tuple(f"walk-{number}" for number in range(2))
SETTINGS = Settings.model_validate(
    {
        "workers": 1,
        "policy": {"name": "uniform"},
        "budget": {"evaluations": 2, "expansions": 0},
        "rollout": {"solve_seconds": 60, "improve_seconds": 60},
    }
)


class Walks(Benchmark):
    """Walks in the park, whose hidden test passes on sunny days."""

    name = "walks"

    def __init__(self, weather):
        self.weather = weather

    def prepare(self, sandbox, progress=None):
        return ()

    def ids(self):
        return WALKS

    def tasks(self, split):
        return WALKS if split == "search" else ()

    def task(self, id):
        return Task(id, "search", f"Plan {id}.", {"plan.py": File(b"def hours(miles):\n    return miles / 3\n")})

    def prove(self, id, sandbox):
        raise AssertionError("nothing is proven here")

    def fingerprint(self, id):
        return id

    def grade(self, id, diff, sandbox):
        with sandbox.open(mounts={"/weather": self.weather}) as box:
            test = "assert open('/weather/today').read() == 'sun'"
            passed = box.run(["python", "-c", test], seconds=30).ok
        return Verdict("RESOLVED", "the test passes") if passed else Verdict("UNRESOLVED", "the test fails")


class Days:
    """Runs on one cassette, each on a day with its weather."""

    def __init__(self, folder, sandbox, listener):
        self.sandbox = sandbox
        self.listener = listener
        self.folder = folder
        self.tape = folder / "tape"
        self.weather = folder / "weather"
        self.weather.mkdir()
        self.told = []

    def run(self, name, mode, weather):
        """A session of the run of this name; how it stopped."""
        (self.weather / "today").write_text(weather)
        run, walks, listener = self.folder / name, Walks(self.weather), self.listener()
        new = not run.exists()
        cassette, models = Cassette(self.tape, mode), open_models(dict.fromkeys(ROLES, "offline:repair"), {})
        try:
            with (
                Archive.create(run) if new else Archive.open(run, write=True) as archive,
                Gateway(models, Ledger(None), folder=open_scratch(run), cassette=cassette) as gateway,
                ThreadPoolExecutor(1) as executor,
            ):
                if new:
                    archive.add_seed(ancestor(None), shape(ancestor(None)))
                house = House(SETTINGS, self.sandbox, gateway, run)
                return led(cassette)(
                    archive,
                    SETTINGS,
                    walks,
                    executor,
                    lambda job: evaluate(job, house, walks),
                    Supply(archive.spent, refusal=lambda: cassette.missed),
                    listener,
                    None,
                    cassette,
                ).run()
        finally:
            self.told = listener.said
            cassette.close()
            clear_scratch(run)

    def outcomes(self, name):
        with Archive.open(self.folder / name) as archive:
            return [str(row.outcome) for row in moves_of(archive.history()) if row.reason != INTERRUPTED]

    def lines(self):
        return [json.loads(line) for line in (self.tape / "index.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def sandbox(boxes):
    opened = open_sandbox("bwrap")
    yield opened
    opened.close()


@pytest.fixture
def days(sandbox, tmp_path, shared):
    days = Days(tmp_path, sandbox, shared.Listener)
    assert days.run("recorded", "record", "sun").finished
    assert days.outcomes("recorded") == ["RESOLVED", "RESOLVED"]
    return days


def test_a_replay_stops_where_a_flaky_test_says_something_else_and_goes_on_when_it_does_not(days):
    stop = days.run("copy", "replay", "rain")
    first = next(line["what"] for line in days.lines() if line["event"] == "launched")
    assert not stop.finished
    assert stop.reason == (
        f"evaluation-1 ({first}) is not as it was recorded: recorded was RESOLVED (the test passes); here it is "
        "UNRESOLVED (the test fails). A test or an agent does not do the same each time. Run again to make it once "
        "more, or with --replay-or-call to go on with what comes"
    )
    assert days.outcomes("copy") == [], "nothing of it counts"
    assert days.run("copy", "replay", "sun").finished
    assert days.outcomes("copy") == ["RESOLVED", "RESOLVED"]


def test_a_replay_that_may_ask_goes_on_says_so_and_leaves_a_cassette_that_tells_what_came(days):
    strict = days.folder / "strict"
    shutil.copytree(days.tape, strict)
    assert days.run("copy", "replay-or-call", "rain").finished
    assert days.outcomes("copy") == ["UNRESOLVED", "UNRESOLVED"]
    assert len(days.told) == 2
    assert days.told[0].startswith("evaluation-1 (evaluate agent 0 on walk-")
    assert days.told[0].endswith("here it is UNRESOLVED (the test fails). The run goes on with what came now")

    assert days.run("rainy", "replay", "rain").finished
    assert days.outcomes("rainy") == ["UNRESOLVED", "UNRESOLVED"]
    assert not days.run("sunny", "replay", "sun").finished

    days.tape = strict
    with pytest.raises(ModelError, match=r"copy is not the one on .*: evaluation-1 .*: recorded was RESOLVED"):
        days.run("copy", "replay", "rain")


def test_a_cassette_that_does_not_tell_how_moves_ended_is_replayed_all_the_same(days):
    told = {"outcome", "reason"}
    lines = [{name: each for name, each in line.items() if name not in told or line["event"] == "ended"}
             for line in days.lines()]  # fmt: skip
    assert [told & line.keys() for line in lines if line["event"] == "landed"] == [set(), set()]
    (days.tape / "index.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert days.run("copy", "replay", "sun").finished
    assert days.outcomes("copy") == ["RESOLVED", "RESOLVED"]


def test_a_kill_before_the_cassettes_line_does_not_lose_how_a_move_ended(days):
    lines = days.lines()
    last = next(number for number in reversed(range(len(lines))) if lines[number]["event"] == "landed")
    (days.tape / "index.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines[:last]))
    assert days.run("recorded", "record", "sun").finished
    assert [line for line in days.lines() if line["event"] == "landed"][-1] == lines[last]


def test_a_landing_is_the_same_from_a_record_and_from_its_row(tmp_path):
    files = {"__main__.py": b"1\n"}
    child = {"__main__.py": b"2\n", "tools/bash.py": b"\x00"}
    with Archive.create(tmp_path / "run") as archive:
        seed = archive.add_seed(files, shape(files))
        decision = Decision(0, "uniform", "expand", seed.id, None, "{}", datetime.now(UTC))
        row = archive.open_expansion(decision, entry="weakness:x", seed=1)
        row = archive.close_expansion(row.id, Outcome.BORN, reason="lives", files=child, shape=shape(child))
        born = Record(Outcome.BORN, "lives", 1.0, child=child, shape=shape(child))
        assert landing_in(archive, row) == landing_of(born) == Landing("BORN", "lives", code(child))
    twin = replace(born, outcome=Outcome.DUPLICATE, reason="the same code as agent 0")
    assert landing_of(twin) == Landing("DUPLICATE", "the same code as agent 0")


def test_an_agents_code_is_its_paths_and_bytes():
    assert code({"a": b"1", "b": b"2"}) == code({"b": b"2", "a": b"1"})
    assert len({code(files) for files in ({}, {"a": b"1"}, {"a": b"1 "}, {"a1": b""}, {"": b"a1"}, {"b": b"1"})}) == 6
