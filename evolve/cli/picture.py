"""The family tree as a table: its shape at the left, then what is known of each agent, at 80 columns."""

from __future__ import annotations

from collections import Counter

from rich.console import Group
from rich.table import Table
from rich.text import Text

from archive import Clade, History, Outcome, best_belief, clades
from evolve.cli.render import PLOT_WIDTH, fraction, percent, plain, plot

DEEPEST = 9
"""Generations drawn as branches; below that an agent's line names its parent instead."""


def picture(history: History, epsilon: float) -> Group:
    """The tree, one line an agent, the best marked, and a legend."""
    by_agent = clades(history.agents, history.evaluations)
    if not by_agent:
        return Group(Text("no agents yet"))
    best = best_belief(history.agents, {id: clade.own for id, clade in by_agent.items()}, epsilon)
    entries = {row.child: row.entry for row in history.expansions if row.outcome is Outcome.BORN}
    lost = Counter(row.parent for row in history.expansions if row.outcome not in (None, Outcome.BORN, Outcome.VOID))
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    table.add_column("agent", no_wrap=True)
    table.add_column("own", justify="right", no_wrap=True)
    table.add_column("mean", justify="right", no_wrap=True)
    table.add_column("0   95 %    1", width=PLOT_WIDTH, no_wrap=True)
    table.add_column("clade", justify="right", no_wrap=True)
    table.add_column("lost", justify="right", no_wrap=True)
    table.add_column("born of", no_wrap=True, overflow="ellipsis", ratio=1)
    for branches, id in layout(by_agent):
        own, style = by_agent[id].own, colour(by_agent[id], by_agent[0])
        name = Text.assemble(
            (branches, "dim"), (f"{id} ★" if id == best else str(id), "bold" if id in (0, best) else "")
        )
        table.add_row(
            name,
            Text(fraction(own)),
            Text(percent(own.mean), style),
            Text(plot(own), style),
            Text(fraction(by_agent[id].whole) if by_agent[id].children else "", "dim"),
            Text(str(lost[id]) if lost[id] else "", "red"),
            Text("the seed", "dim") if id == 0 else plain(entries.get(id, ""), "dim"),
        )
    legend = (
        f"\n★ best belief (by the {epsilon:g}-quantile of its posterior)\n"
        "own: solved of measured in the search   clade: with all descendants\n"
        "lost: expansions that gave no child\n"
        "green or red: the 95 % interval lies wholly above or below the seed's mean"
    )
    return Group(table, Text(legend, "dim"))


def colour(clade: Clade, seed: Clade) -> str:
    """Green or red only where the evidence is clear of the seed's mean."""
    if clade.own.mean is None or seed.own.mean is None or clade.agent == seed.agent:
        return ""
    low, high = clade.own.interval()
    return "green" if low > seed.own.mean else "red" if high < seed.own.mean else ""


def layout(by_agent: dict[int, Clade]) -> list[tuple[str, int]]:
    """Every agent after its parent, with the branches to draw before its id. Lineages may outgrow Python's stack."""
    lines: list[tuple[str, int]] = []
    stack = [(0, "", "", 0)]
    while stack:
        id, lead, own, depth = stack.pop()
        lines.append((lead + own, id))
        children = by_agent[id].children
        for child in reversed(children):
            if depth >= DEEPEST:
                stack.append((child, "", f"⋯ child of {id}: ", depth + 1))
            else:
                below = {"": "", "├╴": "│ ", "└╴": "  "}[own]
                stack.append((child, lead + below, "└╴" if child == children[-1] else "├╴", depth + 1))
    return lines
