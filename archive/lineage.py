"""The family tree as a networkx graph, and as text in the formats that other programs read.

Every text taken from rows is made visible first (see `archive.text`): XML cannot even hold most control characters.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from io import BytesIO
from typing import TYPE_CHECKING, Any

from archive.clade import clades
from archive.history import History
from archive.records import Outcome
from archive.text import visible

if TYPE_CHECKING:
    import networkx as nx

_ENTRY_IN_DOT = 40
"""Characters of an entry that a drawing's edge shows."""


def lineage(history: History, more: Mapping[int, Mapping[str, float | bool]] | None = None) -> nx.DiGraph[int]:
    """The tree, edges from parent to child, nodes the agents' ids.

    A node has `passed`, `failed`, `mean` (of its own evidence; absent without any), `low` and `high` (its 95 %
    interval), `clade_passed`, `clade_failed`, `clade_mean`, `descendants`, `birth` (`SEED` or `BORN`), `entry` (what
    its birth was to mend), `peer` (the agent of another line that it was to learn from; no edge, so the graph is a
    tree), `born` (ISO time), `commit` and `tree`. Search evidence only. `more`: further facts by agent.
    """
    import networkx as nx  # takes a good part of a second, and few commands draw

    births = {row.child: row for row in history.expansions if row.outcome is Outcome.BORN}
    by_agent = clades(history.agents, history.evaluations)
    graph: nx.DiGraph[int] = nx.DiGraph()
    for agent in history.agents:
        clade, birth = by_agent[agent.id], births.get(agent.id)
        low, high = clade.own.interval()
        facts = {
            "passed": clade.own.passed,
            "failed": clade.own.failed,
            "mean": clade.own.mean,
            "low": low,
            "high": high,
            "clade_passed": clade.whole.passed,
            "clade_failed": clade.whole.failed,
            "clade_mean": clade.whole.mean,
            "descendants": clade.descendants,
            "birth": "SEED" if birth is None else str(birth.outcome),
            "entry": None if birth is None else visible(birth.entry, keep=""),
            "peer": None if birth is None else birth.peer,
            "born": agent.born.isoformat(),
            "commit": agent.commit,
            "tree": agent.tree,
            **((more or {}).get(agent.id, {})),
        }
        graph.add_node(agent.id, **{name: value for name, value in facts.items() if value is not None})
        if agent.parent is not None:
            graph.add_edge(agent.parent, agent.id)
    return graph


def graphml(graph: nx.DiGraph[int]) -> str:
    """GraphML, for Gephi, yEd, Cytoscape and networkx."""
    import networkx as nx

    out = BytesIO()
    nx.write_graphml_xml(graph, out)
    return out.getvalue().decode("utf-8")


def node_link(graph: nx.DiGraph[int]) -> dict[str, Any]:
    """networkx's node-link data (`nodes`, `edges`), ready for JSON."""
    import networkx as nx

    data: dict[str, Any] = nx.node_link_data(graph, edges="edges")
    return data


def newick(graph: nx.DiGraph[int]) -> str:
    """Newick, for tree viewers: every agent, inner ones too, is a quoted label such as `'agent 3 7/10'`."""
    out: list[str] = []
    # A stack instead of recursion: lineages may be longer than Python's stack. Strings on it are written as they are.
    stack: list[int | str] = [";", *_roots(graph)]
    while stack:
        item = stack.pop()
        if isinstance(item, str):
            out.append(item)
            continue
        children = sorted(graph.successors(item), reverse=True)
        stack.append(_newick_label(graph, item))
        if children:
            stack.append(")")
            for place, child in enumerate(children):
                stack += [",", child] if place else [child]
            stack.append("(")
    return "".join(out)


def dot(graph: nx.DiGraph[int]) -> str:
    """Graphviz DOT: agents filled the deeper the higher their mean, dashed while unmeasured; edges say the entry.

    A dashed edge leads from the peer that an agent was to learn from.
    """
    lines = [
        "digraph clade {",
        '  node [shape=box, style="rounded,filled", fontname="sans-serif", fontsize=10];',
        '  edge [fontname="sans-serif", fontsize=8, color="gray50"];',
    ]
    for id in sorted(graph):
        facts = graph.nodes[id]
        mean = facts.get("mean")
        own, whole = facts["passed"] + facts["failed"], facts["clade_passed"] + facts["clade_failed"]
        label = f"{id}\n{facts['passed']}/{own}\nclade {facts['clade_passed']}/{whole}"
        look = 'style="rounded,dashed"' if mean is None else f'fillcolor="0.580 {0.75 * mean:.3f} 1.000"'
        lines.append(f"  {id} [label={_dot_text(label)}, {look}];")
    for parent, child in sorted(graph.edges()):
        entry = graph.nodes[child].get("entry", "")
        short = entry if len(entry) <= _ENTRY_IN_DOT else entry[: _ENTRY_IN_DOT - 1] + "…"
        lines.append(f"  {parent} -> {child} [label={_dot_text(short)}];")
        if (peer := graph.nodes[child].get("peer")) is not None:
            lines.append(f"  {peer} -> {child} [style=dashed, constraint=false];")
    return "\n".join([*lines, "}", ""])


def json_text(graph: nx.DiGraph[int]) -> str:
    """`node_link` as JSON text."""
    return json.dumps(node_link(graph), indent=1, ensure_ascii=False) + "\n"


def _roots(graph: nx.DiGraph[int]) -> list[int]:
    return [id for id in graph if graph.in_degree(id) == 0]


def _newick_label(graph: nx.DiGraph[int], id: int) -> str:
    facts = graph.nodes[id]
    label = f"agent {id} {facts['passed']}/{facts['passed'] + facts['failed']}"
    return "'" + label.replace("'", "''") + "'"


def _dot_text(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
