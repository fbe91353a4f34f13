"""The family tree as a figure: generations from left to right, a branch's agents one below the other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import Normalize
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator

from archive import Clade
from evolve.report.course import Floats
from evolve.report.facts import RunFacts
from evolve.report.style import INK, ORANGE, SCALE, Picture, blank, in_percent

ROW = 0.21
"""Inches that a leaf takes where there is room,"""
HIGHEST = 9.0
"""and of the whole figure at most."""
ALL_NAMED = 45
"""Leaves up to which every agent is named; beyond, only some are."""
MOST_VECTORS = 800
"""Agents that are drawn as shapes; more are drawn as pixels, which no reader can tell from shapes."""
NAMED = 5
"""Agents named in a large tree beside the seed: those of the best belief."""


def layout(family: Sequence[Clade]) -> Floats:
    """Generation and place of each agent, by id: leaves take consecutive rows, parents the middle of their children."""
    place = np.zeros((len(family), 2))
    for clade in family:
        place[list(clade.children), 0] = place[clade.agent, 0] + 1
    row, stack = 0, [0] if family else []
    while stack:  # no recursion: lineages may be longer than Python's stack
        clade = family[stack.pop()]
        if not clade.children:
            place[clade.agent, 1] = row
            row += 1
        stack.extend(reversed(clade.children))
    for clade in reversed(family):
        if clade.children:
            place[clade.agent, 1] = (place[clade.children[0], 1] + place[clade.children[-1], 1]) / 2
    return place


def tree(run: RunFacts) -> Picture | None:
    """The figure; None while there is no agent."""
    family = run.family
    if not family:
        return None
    place = layout(family)
    leaves = int(place[:, 1].max()) + 1
    figure, axes = blank(min(HIGHEST, 1.5 + ROW * leaves))
    axes.set_rasterization_zorder(2 if len(family) > MOST_VECTORS else None)
    size = 46.0 if leaves <= ALL_NAMED else max(3.0, 46.0 * ALL_NAMED / leaves)
    _edges(axes, family, place, size)
    peers = {child: birth.peer for child, birth in run.births.items() if birth.peer is not None}
    if peers:
        _lessons(axes, peers, place)
    known = np.array([clade.own.n > 0 for clade in family])
    beliefs = np.array([clade.own.belief for clade in family])
    axes.scatter(
        place[~known, 0], place[~known, 1], s=size, facecolor="white", edgecolor="#777777", linewidth=0.8, zorder=1.5
    )
    dots = axes.scatter(
        place[known, 0], place[known, 1], s=size, c=beliefs[known], cmap=SCALE, norm=Normalize(0, 1),
        edgecolor="#333333", linewidth=0.5 if size > 8 else 0.0, zorder=1.6,
    )  # fmt: skip
    best = None if run.best is None else run.best["agent"]
    if best is not None:
        axes.scatter(
            place[best, 0],
            place[best, 1],
            s=3.2 * max(size, 20),
            facecolor="none",
            edgecolor=ORANGE,
            linewidth=1.8,
            zorder=3,
        )
    _names(axes, run, place, leaves, best)
    axes.set_xlabel("generation")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    deepest = max(1.0, float(place[:, 0].max()))
    axes.set_xlim(-0.04 * deepest - 0.1, 1.04 * deepest + 0.25)
    axes.set_ylim(leaves - 0.4, -0.8)
    axes.yaxis.set_visible(False)
    axes.spines["left"].set_visible(False)
    bar = figure.colorbar(dots, ax=axes, location="top", fraction=0.03, pad=0.01, aspect=50)
    bar.set_label("share of tasks solved, believed from its own verdicts", fontsize=9)
    in_percent(bar.ax.xaxis)
    marked = "" if best is None else f"; ringed: the best belief, agent {best}"
    marked += "; dashed: from the agent of another line that it was to learn from" if peers else ""
    rows = "all agents are numbered" if leaves <= ALL_NAMED else "numbered: the seed and some of the best"
    return Picture(
        "tree",
        "The family tree",
        f"{len(family)} agents in {int(place[:, 0].max()) + 1} generations, each to the right of its parent; white: "
        f"not measured{marked}; {rows}. Intervals are in the table.",
        figure,
    )


def _edges(axes: Axes, family: Sequence[Clade], place: Floats, size: float) -> None:
    """From each parent across to its generation's column, then to the child's row."""
    lines = []
    for clade in family:
        for child in clade.children:
            (x, y), (to, row) = place[clade.agent], place[child]
            bend = x + 0.35 * (to - x)
            lines.append([(x, y), (bend, y), (bend + 0.15 * (to - x), row), (to, row)])
    width = 0.9 if size > 8 else 0.4
    axes.add_collection(LineCollection(lines, colors="#8a8a8a", linewidths=width, zorder=1))


def _lessons(axes: Axes, peers: Mapping[int, int], place: Floats) -> None:
    """Dashed, from the peer of a child to the child; bent, not to run through the agents of a generation."""
    bend = np.array([0.12, 0.0])
    lines = [[place[peer], (place[peer] + place[child]) / 2 + bend, place[child]] for child, peer in peers.items()]
    axes.add_collection(LineCollection(lines, colors="#8a8a8a", linewidths=0.8, linestyles="dashed", zorder=0.9))


def _names(axes: Axes, run: RunFacts, place: Floats, leaves: int, best: int | None) -> None:
    """Beside leaves at their right, above other agents; in a large tree only those that matter, as far as they fit."""
    if leaves <= ALL_NAMED:
        named = [clade.agent for clade in run.family]
    else:
        wanted = [*([] if best is None else [best]), 0, *run.ranking[:NAMED]]
        named = apart(wanted, place, float(place[:, 0].max()) / 11, leaves / 45)
    for agent in named:
        leaf = not run.family[agent].children
        axes.annotate(
            str(agent), (float(place[agent, 0]), float(place[agent, 1])), xytext=(7, 0) if leaf else (0, 5),
            textcoords="offset points", ha="left" if leaf else "center", va="center" if leaf else "bottom",
            fontsize=8.5, fontweight="bold" if agent == best else "normal", color=INK, zorder=4,
            path_effects=[withStroke(linewidth=2.5, foreground="white")],
        )  # fmt: skip


def apart(agents: Iterable[int], place: Floats, across: float, down: float) -> list[int]:
    """Those of the agents that are not so near to one before them that their names would touch."""
    kept: list[int] = []
    for agent in agents:
        gaps = np.abs(place[kept] - place[agent])
        if not ((gaps[:, 0] < across) & (gaps[:, 1] < down)).any():
            kept.append(agent)
    return kept
