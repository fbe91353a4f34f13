"""The other figures of one run: agents with their intervals, best against seed, foresight, outcomes, cost."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from archive import Outcome, visible
from evolve.cli.render import count
from evolve.llm.spending import Sum
from evolve.report.facts import RunFacts
from evolve.report.style import BLUE, GREEN, GREY, INK, ORANGE, WIDTH, Picture, blank, in_percent

ROW = 0.24
"""Inches a line of a chart of lines takes."""
MOST_AGENTS = 30
MANY = 120
"""Marks of a figure that are drawn smaller;"""
MOST_VECTORS = 800
"""more are drawn as pixels, which no reader can tell from shapes."""
COLOURS = {"search": GREY, "sealed": GREEN}
GOOD = frozenset({Outcome.RESOLVED, Outcome.BORN})
LONGEST_NAME = 40
"""Characters of a model's name that a figure shows."""


def agents(run: RunFacts) -> Picture | None:
    """The agents of the best belief, each with its raw interval and its skill; None before the first verdict."""
    order = run.ranking
    if not order:
        return None
    shown = list(order[:MOST_AGENTS])
    if 0 in order and 0 not in shown:
        shown[-1] = 0
    figure, axes = blank(1.3 + ROW * len(shown))
    lines = np.arange(len(shown), dtype=float)
    apart = 0.16 if run.believed.skills else 0.0
    own = [run.family[agent].own for agent in shown]
    spans = np.array([tally.interval() for tally in own])
    axes.hlines(lines - apart, spans[:, 0], spans[:, 1], color=BLUE, linewidth=1.6)
    axes.plot(
        [tally.mean or 0.0 for tally in own], lines - apart, "o", color=BLUE, ms=5, label="raw: solved of measured"
    )
    if run.believed.skills:
        skills = [run.believed.skills[agent] for agent in shown]
        axes.hlines(
            lines + apart, [each.low for each in skills], [each.high for each in skills], color=ORANGE, linewidth=1.6
        )
        axes.plot(
            [each.mean for each in skills], lines + apart, "D", color=ORANGE, ms=4.2,
            label="skill: adjusted for tasks and kin",
        )  # fmt: skip
    axes.set_yticks(
        lines,
        [f"{agent}{' (seed)' if agent == 0 else ''}   {own[at].passed}/{own[at].n}" for at, agent in enumerate(shown)],
    )
    axes.set_ylim(len(shown) - 0.4, -0.6)
    axes.set_xlim(-0.01, 1.01)
    in_percent(axes.xaxis)
    axes.set_xlabel("share of tasks solved, 95 % intervals")
    axes.set_ylabel("agent, solved/measured")
    axes.grid(axis="x", color="#dddddd", linewidth=0.7)
    axes.set_axisbelow(True)
    figure.legend(loc="outside upper center", ncols=2)
    which = "All measured agents" if len(shown) == len(order) else f"{len(shown)} of {len(order)} measured agents"
    skill = "" if not run.believed.skills else (
        "Skill: the share of the search tasks that it would solve, all verdicts of the run explained at once by how "
        "easy tasks are, how able agents are and who is whose child."
    )  # fmt: skip
    return Picture(
        "agents",
        "Agents and their intervals",
        f"{which}, the best belief first. Raw: its own verdicts, on the tasks it happened to be measured on. {skill}",
        figure,
    )


def pairs(run: RunFacts) -> Picture | None:
    """The chosen agent against the seed on the same tasks; None where there is nothing to compare."""
    rows = run.comparisons
    if not rows:
        return None
    figure, axes = blank(1.1 + 0.5 * len(rows))
    for line, each in enumerate(rows):
        colour, paired = COLOURS.get(each.split, BLUE), each.paired
        axes.hlines(line, 100 * paired.low, 100 * paired.high, color=colour, linewidth=2.4)
        axes.plot(100 * paired.difference, line, "o", color=colour, ms=7)
    axes.axvline(0, color=INK, linewidth=0.9)
    axes.set_yticks(
        range(len(rows)), [f"agent {each.agent}, {each.split}\n{count(each.paired.n, 'task')}" for each in rows]
    )
    axes.set_ylim(len(rows) - 0.5, -0.5)
    edge = max(abs(100 * end) for each in rows for end in (each.paired.low, each.paired.high, 0.1))
    axes.set_xlim(-1.08 * edge, 1.08 * edge)
    axes.set_xlabel("percentage points more than the reference solves, 95 % credible")
    axes.grid(axis="x", color="#dddddd", linewidth=0.7)
    axes.set_axisbelow(True)
    return Picture(
        "paired",
        "Better than the seed?",
        "Difference on the same tasks, each on its own line. On search tasks the best agent was chosen, which flatters "
        "it; the sealed split is opened once, by clade final, and was seen by no choice.",
        figure,
    )


def foresight(run: RunFacts) -> Picture | None:
    """What was believed of clades against what they reached; None where no clade has both."""
    reached = run.foresight.reached
    drawn = [each for each in run.foresight.estimates if (~np.isnan(each.value) & ~np.isnan(reached)).any()]
    if not drawn:
        return None
    figure, axes = blank(4.6)
    axes.plot([0, 1], [0, 1], color="#999999", linewidth=0.9, linestyle=(0, (4, 3)))
    for each, colour, mark in zip(run.foresight.estimates, (BLUE, ORANGE), "o^", strict=True):
        both = ~np.isnan(each.value) & ~np.isnan(reached)
        if not both.any():
            continue
        many = both.sum() > MANY
        size = 14 + 110 * np.sqrt(each.weight[both] / max(1, each.weight.max()))
        axes.scatter(
            each.value[both], reached[both], s=size / (3 if many else 1), marker=mark, facecolor=colour, alpha=0.45,
            edgecolor=colour, linewidth=0.8, rasterized=both.sum() > MOST_VECTORS,
            label=f"{each.name}: r = {_r(each.correlation.weighted)} weighted, {_r(each.correlation.unweighted)} not",
        )  # fmt: skip
    axes.set_xlabel("estimate")
    axes.set_ylabel("reached: the highest mean of a descendant")
    for axis, limit in ((axes.xaxis, axes.set_xlim), (axes.yaxis, axes.set_ylim)):
        in_percent(axis)
        limit(-0.03, 1.03)
    axes.grid(color="#e4e4e4", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.set_aspect("equal")
    legend = figure.legend(loc="outside lower center", ncols=1)
    for handle in legend.legend_handles:
        if handle is not None and hasattr(handle, "set_sizes"):
            handle.set_sizes([40])
    return Picture(
        "cmp",
        "CMP: estimate against what was reached",
        f"One mark an agent with a measured descendant ({drawn[0].correlation.agents} to "
        f"{drawn[-1].correlation.agents}), the larger the more verdicts its estimate rests on. Clade metaproductivity "
        f"(CMP) as reached is the highest mean of any descendant. Estimated by the mean of the rest of the clade, "
        f"without the agent's own verdicts and the branch that reached it (HGM), and by the agent's own mean (DGM, "
        f"SICA); r is Pearson's.",
        figure,
    )


def _r(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}".replace("-", "−")


def outcomes(run: RunFacts) -> Picture | None:
    """How moves ended; None before the first did."""
    kinds = [
        ("expansions", run.status["expansions_by_outcome"]),
        ("evaluations", run.status["evaluations_by_outcome"]),
    ]
    kinds = [(name, counts) for name, counts in kinds if counts]
    if not kinds:
        return None
    heights = [0.75 + ROW * len(counts) for _, counts in kinds]
    figure = Figure(figsize=(WIDTH, sum(heights) + 0.45), layout="constrained")
    for axes, (name, counts) in zip(
        np.atleast_1d(np.array(figure.subplots(len(kinds), height_ratios=heights))), kinds, strict=True
    ):
        colours = [_colour(Outcome(outcome)) for outcome in counts]
        _bars(axes, list(counts), list(counts.values()), colours, [f"{number:,}" for number in counts.values()])
        axes.set_xlabel(f"number of {name}")
    return Picture(
        "outcomes",
        "Outcomes",
        "How the run's moves ended. Blue: a task solved, or a child born; orange: it counts against the agent, or gave "
        "no child; grey: VOID, the house's fault, which counts against nobody.",
        figure,
    )


def _colour(outcome: Outcome) -> str:
    if outcome is Outcome.VOID:
        return "#9a9a9a"
    return BLUE if outcome in GOOD else ORANGE


def cost(run: RunFacts) -> Picture | None:
    """What the models cost by role; in tokens where nothing was charged, None where nothing was called."""
    by_role = run.cost.by["role"]
    if not by_role:
        return None
    paid = any(each.bill.usd > 0 for each in by_role.values())
    amounts = [_amount(each, paid=paid) for each in by_role.values()]
    said = [f"${amount:,.2f}" if paid else f"{amount:,.2f} M" for amount in amounts]
    said = [f"{text}, {each.bill.calls:,} calls" for text, each in zip(said, by_role.values(), strict=True)]
    figure, axes = blank(0.85 + 0.32 * len(by_role))
    names = [short(name) for name in by_role]
    _bars(axes, names, amounts, [BLUE] * len(names), said)
    axes.set_xlabel("US dollars" if paid else "million tokens (nothing was charged)")
    return Picture("cost", "Cost by role", "What the models' calls cost, by what they were asked for.", figure)


def _amount(each: Sum, *, paid: bool) -> float:
    return each.bill.usd if paid else (each.bill.input_tokens + each.bill.output_tokens) / 1e6


def short(name: str) -> str:
    """A stranger's name as a figure may show it: one line, no control character, not too long."""
    shown = visible(name[: LONGEST_NAME + 1], keep="")
    shown = f" {shown}" if shown.startswith("_") else shown  # legends leave out what begins with an underscore
    return shown if len(shown) <= LONGEST_NAME else shown[: LONGEST_NAME - 1] + "…"


def _bars(
    axes: Axes, names: Sequence[str], amounts: Sequence[float], colours: Sequence[str], said: Sequence[str]
) -> None:
    """Horizontal bars, the first one on top, each with its number at its end."""
    lines = range(len(names))
    bars = axes.barh(lines, amounts, color=colours, height=0.68)
    axes.bar_label(bars, said, padding=4, fontsize=9)
    axes.set_yticks(lines, names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    widest = max(map(len, said))
    axes.set_xlim(0, max(max(amounts), 1e-9) * (1.04 + 0.022 * widest))
    axes.xaxis.set_major_locator(MaxNLocator(integer=all(isinstance(each, int) for each in amounts)))
