"""The family tree as a table: its shape at the left, then what is known of each agent, at 80 columns."""

from __future__ import annotations

from collections import Counter

from rich.console import Group
from rich.table import Table
from rich.text import Text

from archive import Clade, Expansion, History, Outcome, clades
from evolve.cli.render import PLOT_WIDTH, fraction, percent, plain, plot
from evolve.statistics.beliefs import Beliefs
from evolve.statistics.posterior import Skill

DEEPEST = 9
"""Generations drawn as branches; below that an agent's line names its parent instead."""


def picture(history: History, believed: Beliefs) -> Group:
    """The tree, one line an agent, the best marked, and a legend."""
    by_agent = clades(history.agents, history.evaluations)
    if not by_agent:
        return Group(Text("no agents yet"))
    entries = {row.child: birth_text(row) for row in history.expansions if row.outcome is Outcome.BORN}
    lost = Counter(row.parent for row in history.expansions if row.outcome not in (None, Outcome.BORN, Outcome.VOID))
    # Expanded, so that of all columns the last one gives way.
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim", expand=True)
    table.add_column("agent", no_wrap=True)
    table.add_column("own", justify="right", no_wrap=True)
    table.add_column("raw", justify="right", no_wrap=True)
    table.add_column("0   95 %    1", width=PLOT_WIDTH, no_wrap=True)
    if believed.skills:
        table.add_column("skill  95 %", no_wrap=True)
    table.add_column("clade", justify="right", no_wrap=True)
    table.add_column("lost", justify="right", no_wrap=True)
    table.add_column("born of", no_wrap=True, overflow="ellipsis", ratio=1)
    for branches, id in layout(by_agent):
        own, style = by_agent[id].own, colour(by_agent[id], by_agent[0])
        name = Text.assemble(
            (branches, "dim"),
            (f"{id} ★" if id == believed.best else str(id), "bold" if id in (0, believed.best) else ""),
        )
        skill = [Text(interval(believed.skills[id]))] if believed.skills else []
        table.add_row(
            name,
            Text(fraction(own)),
            Text(percent(own.mean), style),
            Text(plot(own), style),
            *skill,
            Text(fraction(by_agent[id].whole) if by_agent[id].children else "", "dim"),
            Text(str(lost[id]) if lost[id] else "", "red"),
            Text("the seed", "dim") if id == 0 else plain(entries.get(id, ""), "dim"),
        )
    legend = (
        f"\n★ what the policy, {believed.policy}, would take away\n"
        "own: solved of measured in the search, raw: their share, with its interval\n"
        "clade: with all descendants   lost: expansions that gave no child\n"
    )
    if believed.skills:
        legend += "skill: of all search tasks; how hard its own were and its kin allowed for\n"
    legend += "green or red: the 95 % interval of raw lies wholly above or below the seed's mean"
    if any(row.peer is not None for row in history.expansions):
        legend += "\n⇠: the agent of another line that it was to learn from"
    if believed.too_large:
        legend += f"\n{believed.too_large}"
    return Group(table, Text(legend, "dim"))


def birth_text(row: Expansion) -> str:
    """What a child was to mend, and from whom of another line it was to learn."""
    return row.entry if row.peer is None else f"⇠{row.peer} {row.entry}"


def interval(skill: Skill) -> str:
    """In per cent: the mean, and the 95 % interval in brackets."""
    return f"{100 * skill.mean:3.0f} ({100 * skill.low:.0f}–{100 * skill.high:.0f})"


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
