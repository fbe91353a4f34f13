"""The tree's exports, each read back by another program."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
from datetime import UTC, datetime
from typing import Any

import networkx as nx
import pytest

from archive import Agent, Evaluation, Expansion, History, Outcome, dot, graphml, json_text, lineage, newick

NOW = datetime(2026, 1, 1, tzinfo=UTC)
NASTY = 'task:"a\\b"\n\x1b[31m</data>&\u202e\0é\ud800'


def agent(id: int, parent: int | None) -> Agent:
    return Agent(id, parent, f"{id:040x}", f"{id:040x}", str(id), NOW)


@pytest.fixture
def history() -> History:
    parents = [None, 0, 0, 1, 1, 3]
    agents = tuple(agent(id, parent) for id, parent in enumerate(parents))
    births = tuple(
        Expansion(id, id, parent, NASTY, 0, NOW, Outcome.BORN, child=id, closed=NOW)
        for id, parent in enumerate(parents)
        if parent is not None
    )
    outcomes = [(0, Outcome.RESOLVED), (0, Outcome.UNRESOLVED), (3, Outcome.RESOLVED), (5, Outcome.VOID)]
    evaluations = tuple(
        Evaluation(id, 9, of, "b", "search", "t", 0, 0, NOW, outcome) for id, (of, outcome) in enumerate(outcomes)
    )
    return History(agents, births, evaluations)


def chain(length: int) -> History:
    return History(tuple(agent(id, id - 1 if id else None) for id in range(length)))


def parse_newick(text: str) -> dict[str, str | None]:
    """Label to parent's label, by a reading of the grammar that knows quotes."""
    parents: dict[str, str | None] = {}
    waiting: list[list[str]] = [[]]
    closed: list[str] | None = None
    at = 0
    while text[at] != ";":
        if text[at] == "(":
            waiting.append([])
            at += 1
        elif text[at] == ")":
            closed = waiting.pop()
            at += 1
        elif text[at] == ",":
            at += 1
        else:
            assert text[at] == "'"
            end = at + 1
            while text[end] != "'" or text[end : end + 2] == "''":
                end += 2 if text[end] == "'" else 1
            label = text[at + 1 : end].replace("''", "'")
            at = end + 1
            parents.update(dict.fromkeys(closed or [], label))
            closed = None
            waiting[-1].append(label)
    assert len(waiting) == 1
    parents.update(dict.fromkeys(waiting[0]))
    return parents


def test_nodes_carry_both_tallies_and_the_birth(history: History) -> None:
    graph = lineage(history)
    assert sorted(graph.edges) == [(0, 1), (0, 2), (1, 3), (1, 4), (3, 5)]
    seed = graph.nodes[0]
    assert (seed["passed"], seed["failed"], seed["mean"], seed["birth"]) == (1, 1, 0.5, "SEED")
    assert (seed["clade_passed"], seed["clade_failed"], seed["descendants"]) == (2, 1, 5)
    assert seed["low"] < 0.5 < seed["high"]
    assert "entry" not in seed
    assert graph.nodes[3]["birth"] == "BORN"
    assert graph.nodes[3]["commit"] == f"{3:040x}"
    assert "mean" not in graph.nodes[5]
    assert "\x1b" not in graph.nodes[3]["entry"]


def test_graphml_and_json_are_read_back_by_networkx(history: History) -> None:
    graph = lineage(history)

    def plain(other: Any) -> tuple[dict[int, dict[str, Any]], list[tuple[int, int]]]:
        return {int(id): dict(facts) for id, facts in other.nodes(data=True)}, sorted(other.edges)

    read = nx.read_graphml(io.BytesIO(graphml(graph).encode()), node_type=int)
    assert plain(read) == plain(graph)
    read = nx.node_link_graph(json.loads(json_text(graph)), edges="edges")
    assert plain(read) == plain(graph)
    assert read.is_directed()


def test_newick_is_the_same_tree(history: History) -> None:
    text = newick(lineage(history))
    assert text == "(('agent 5 0/0')'agent 3 1/1','agent 4 0/0')'agent 1 0/0','agent 2 0/0')'agent 0 1/2';".replace(
        "(('agent 5", "((('agent 5"
    )
    assert parse_newick(text) == {
        "agent 0 1/2": None, "agent 1 0/0": "agent 0 1/2", "agent 2 0/0": "agent 0 1/2",
        "agent 3 1/1": "agent 1 0/0", "agent 4 0/0": "agent 1 0/0", "agent 5 0/0": "agent 3 1/1",
    }  # fmt: skip


def test_a_lineage_longer_than_the_stack() -> None:
    graph = lineage(chain(5_000))
    parents = parse_newick(newick(graph))
    assert len(parents) == 5_000
    assert parents["agent 4999 0/0"] == "agent 4998 0/0"
    assert nx.read_graphml(io.BytesIO(graphml(graph).encode()), node_type=int).number_of_edges() == 4_999
    assert len(json.loads(json_text(graph))["nodes"]) == 5_000
    assert dot(graph).count(" -> ") == 4_999


def test_dot_is_quoted_and_coloured(history: History) -> None:
    text = dot(lineage(history))
    assert text.startswith("digraph clade {")
    assert '3 [label="3\\n1/1\\nclade 1/1", fillcolor="0.580 0.750 1.000"];' in text
    assert '5 [label="5\\n0/0\\nclade 0/0", style="rounded,dashed"];' in text
    assert 'label="task:\\"a\\\\b\\"' in text
    assert "\x1b" not in text
    program = shutil.which("dot")
    if program is None:
        pytest.skip("DOT NOT DRAWN: graphviz is not installed")
    drawn = subprocess.run([program, "-Tsvg"], input=text.encode(), capture_output=True, check=True)
    assert drawn.stdout.count(b'<g id="node') == 6


def test_an_archive_without_agents() -> None:
    graph = lineage(History())
    assert newick(graph) == ";"
    assert dot(graph).endswith("}\n")
    assert json.loads(json_text(graph))["nodes"] == []
    assert nx.read_graphml(io.BytesIO(graphml(graph).encode())).number_of_nodes() == 0
