"""The operators of `mendel` in the real loop: the evidence of a diagnosis, rows and pictures, also across a stop."""

from __future__ import annotations

import io
import json
import random
from concurrent.futures import ThreadPoolExecutor

import networkx as nx
import pytest
from rich.console import Console

from archive import Archive, Call, History, Outcome, clades, dot, graphml, lineage, newick
from benchmarks import Benchmark, Task, Verdict
from evolve.cli.picture import birth_text
from evolve.jobs import EvaluationJob, ExpansionJob, Record
from evolve.loop import Evolution
from evolve.prompts import diagnose_messages
from evolve.settings import Settings
from evolve.shape import shape
from evolve.state import view_of
from evolve.supply import Supply

TASKS = tuple(f"t{number}" for number in range(8))
SETTINGS = Settings.model_validate(
    {"seed": 5, "workers": 1, "policy": {"name": "mendel"}, "budget": {"evaluations": 50}}
)


class Exercises(Benchmark):
    """Tasks that nobody grades: the world does."""

    name = "exercises"

    def prepare(self, sandbox, progress=None):
        return ()

    def ids(self):
        return TASKS

    def prove(self, id, sandbox):
        raise AssertionError("nothing is proven here")

    def fingerprint(self, id):
        return id

    def tasks(self, split):
        return TASKS if split == "search" else ()

    def task(self, id):
        return Task(id, "search", f"Do {id}.", {})

    def grade(self, id, diff, sandbox):
        return Verdict("VOID", "not here")


class World:
    """Performs jobs. An agent's one file is its code; of an attempt the papers say whose it is, and on what."""

    def __init__(self):
        self.expansions: list[ExpansionJob] = []

    def __call__(self, job):
        rng = random.Random(job.seed)
        code = job.agent["__main__.py"].decode()
        calls = (Call("solve", "offline:repair", 10, 0, 5, 0.01, 0.1, 0, "ok"),)
        if isinstance(job, EvaluationJob):
            outcome = Outcome.RESOLVED if rng.random() < 0.5 else Outcome.UNRESOLVED
            papers = {
                "verdict.json": json.dumps({"agent": {"account": f"I am {code}."}}).encode(),
                "patch.diff": f"the change of {code} for {job.task}".encode(),
            }
            return Record(outcome, "drawn", 0.1, calls=calls, files=papers)
        self.expansions.append(job)
        child = {"__main__.py": f"{code}{rng.randrange(10)}".encode()}
        return Record(Outcome.BORN, "lives", 0.1, calls=calls, issue="Learn.", child=child, shape=shape(child))


@pytest.fixture(scope="module")
def run(tmp_path_factory, shared):
    """Grow a run in a new folder, in sessions that end after so many evaluations: its history, and its world's jobs."""

    def grown(name, stops=(50,)):
        world, folder = World(), tmp_path_factory.mktemp(name) / "run"
        with Archive.create(folder) as archive:
            archive.add_seed({"__main__.py": b"7"}, shape({"__main__.py": b"7"}))
        for stop in stops:
            with Archive.open(folder, write=True) as archive, ThreadPoolExecutor(1) as executor:
                listener = shared.Listener()
                session = Evolution(archive, SETTINGS, Exercises(), executor, world, Supply(archive.spent), listener)

                def stop_at(row, archive=archive, session=session, stop=stop):
                    if len(archive.history().evaluations) >= stop:
                        session.stop()

                listener.closed = stop_at
                session.run()
                assert session.view().same(view_of(archive.history(), TASKS, SETTINGS))
                history = archive.history()
                codes = [archive.files(agent.id)["__main__.py"].decode() for agent in history.agents]
        return history, world.expansions, codes

    return grown


@pytest.fixture(scope="module")
def finished(run):
    return run("one")


def by_kind(history: History, jobs, kind):
    """Closed expansions of a kind, each with its job."""
    pairs = zip(history.expansions, jobs, strict=True)
    return [(row, job) for row, job in pairs if row.entry.startswith(f"{kind}:")]


def solved_by(history, agent):
    return {row.task for row in history.evaluations if row.agent == agent and row.passed}


def test_a_contrast_shows_a_success_and_a_failure_of_the_parent(finished):
    history, jobs, codes = finished
    found = by_kind(history, jobs, "contrast")
    assert found
    for row, job in found:
        first, second = job.evidence
        assert row.entry == f"contrast:{first.task}, {second.task}"
        assert (first.outcome, second.outcome) == ("RESOLVED", "UNRESOLVED")
        assert not first.stranger and not second.stranger
        assert [each.patch for each in job.evidence] == [
            f"the change of {codes[row.parent]} for {task}" for task in (first.task, second.task)
        ]
        assert row.peer is None and job.weakness is None


def test_a_hybrid_shows_how_an_agent_of_another_line_solved_what_the_parent_failed(finished):
    history, jobs, codes = finished
    found = by_kind(history, jobs, "hybrid")
    assert found
    above = {agent.id: agent.parent for agent in history.agents}

    def ancestors(agent):
        return {agent} if above[agent] is None else {agent} | ancestors(above[agent])

    for row, job in found:
        theirs, own = job.evidence
        assert row.entry == f"hybrid:{own.task}" and theirs.task == own.task
        assert own.task in solved_by(history, row.peer) and own.task not in solved_by(history, row.parent)
        assert (theirs.stranger, own.stranger) == (True, False)
        assert theirs.patch == f"the change of {codes[row.peer]} for {own.task}"
        assert own.patch == f"the change of {codes[row.parent]} for {own.task}"
        assert row.peer not in ancestors(row.parent) and row.parent not in ancestors(row.peer)
        assert job.agent["__main__.py"].decode() == codes[row.parent], "the code that is rewritten is the parent's"
        assert history.agents[row.child].parent == row.parent


def test_the_question_to_the_diagnosing_model_says_what_is_to_be_learned(finished):
    history, jobs, codes = finished
    (row, job), *_ = by_kind(history, jobs, "hybrid")
    text = diagnose_messages(job.agent, job.weakness, job.evidence, lesson=job.lesson)[1]["content"]
    assert "Attempt 1 was made by another agent" in text
    assert f"# Attempt 1, of another agent: {job.evidence[0].task}, which ended as RESOLVED" in text
    assert f"# Attempt 2: {job.evidence[1].task}, which ended as UNRESOLVED" in text
    assert f"I am {codes[row.peer]}." in text
    _, job = by_kind(history, jobs, "contrast")[0]
    text = diagnose_messages(job.agent, job.weakness, job.evidence, lesson=job.lesson)[1]["content"]
    assert "solved the problem of attempt 1 and failed that of attempt 2" in text
    assert "another agent" not in text


def test_any_is_what_other_policies_get(finished):
    history, jobs, _ = finished
    others = [
        (row, job)
        for row, job in zip(history.expansions, jobs, strict=True)
        if row.entry.partition(":")[0] in ("task", "weakness")
    ]
    assert others
    for row, job in others:
        assert row.peer is None and job.lesson is None
        assert not any(each.stranger for each in job.evidence)


def test_a_stopped_run_goes_on_as_if_it_had_not_been_stopped(run, finished):
    def told(history):
        births = [(row.decision, row.parent, row.entry, row.peer, row.child) for row in history.expansions]
        return births, [(row.decision, row.agent, row.task, row.outcome) for row in history.evaluations]

    parts, jobs, _ = run("parts", stops=(4, 11, 12, 30, 50))
    assert told(parts) == told(finished[0])
    assert [job.evidence for job in jobs] == [job.evidence for job in finished[1]]


def test_a_peer_is_shown_and_is_no_second_parent(finished):
    history, _, _ = finished
    graph = lineage(history)
    peers = {row.child: row.peer for row in history.expansions if row.peer is not None}
    assert peers
    assert {id: facts["peer"] for id, facts in graph.nodes(data=True) if "peer" in facts} == peers
    assert nx.is_tree(graph)
    assert newick(graph).count("'agent ") == len(history.agents)
    read = nx.read_graphml(io.BytesIO(graphml(graph).encode()), node_type=int)
    assert {id: facts["peer"] for id, facts in read.nodes(data=True) if "peer" in facts} == peers
    drawn = dot(graph)
    assert drawn.count("style=dashed, constraint=false") == len(peers)
    assert all(f"  {peer} -> {child} [style=dashed" in drawn for child, peer in peers.items())
    whole = clades(history.agents, history.evaluations)[0].whole
    assert whole.n == len([row for row in history.evaluations if row.passed or row.failed]), "each result counts once"


def test_the_tree_of_the_terminal_names_the_peer(finished):
    history, _, _ = finished
    row = next(row for row in history.expansions if row.peer is not None)
    assert birth_text(row) == f"⇠{row.peer} {row.entry}"
    console = Console(file=io.StringIO(), width=200)
    console.print(birth_text(row))
    assert f"⇠{row.peer}" in console.file.getvalue()
