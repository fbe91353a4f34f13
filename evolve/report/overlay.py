"""Several runs in the same axes: those that differ by their seed only as one band, each other one with its interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes

from archive import Bill
from evolve.cli.render import bill_text, count, percent, points, sure
from evolve.cli.summary import duration
from evolve.report.course import Course, Floats
from evolve.report.facts import RunFacts
from evolve.report.figures import short
from evolve.report.markup import Html, element
from evolve.report.page import Column, table
from evolve.report.sheet import grid, name
from evolve.report.style import DASHES, SERIES, Picture, blank
from evolve.report.ways import HEIGHT, MOST_POINTS, Scale, framed, scales
from evolve.simulate.outcome import estimate

GRID = 240
"""Places at which the band over seeds is computed."""


@dataclass(frozen=True, slots=True)
class Group:
    """Runs that differ in nothing but their seed (and in how they were carried out)."""

    label: str
    runs: tuple[RunFacts, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Band:
    """The mean over seeds and its 95 % interval at places of a scale."""

    at: Floats
    mean: Floats
    low: Floats
    high: Floats


def groups(runs: Sequence[RunFacts]) -> list[Group]:
    """In the order of their first runs."""
    alike: dict[str, list[RunFacts]] = {}
    for run in runs:
        same = run.settings.model_copy(update={"seed": 0, "workers": 1, "database": None})
        alike.setdefault(same.model_dump_json(), []).append(run)
    return [Group(_label(each), tuple(each)) for each in alike.values()]


def _label(runs: Sequence[RunFacts]) -> str:
    if len(runs) == 1:
        return short(f"{runs[0].name} ({runs[0].policy})")
    return short(f"{runs[0].policy}, {len(runs)} seeds: {', '.join(run.name for run in runs)}")


def overlaid(runs: Sequence[RunFacts]) -> list[Picture]:
    """The figures; none before any run has a verdict."""
    measured = [run for run in runs if len(run.course.agent)]
    return (
        [_overlaid(groups(measured), scale) for scale in scales([run.course for run in measured])] if measured else []
    )


def _overlaid(found: Sequence[Group], scale: Scale) -> Picture:
    figure, axes = blank(HEIGHT + 0.2 * len(found))
    end = max(float(scale.of(run.course)[-1]) for group in found for run in group.runs)
    for number, group in enumerate(found):
        colour, dash = SERIES[number % len(SERIES)], DASHES[number // len(SERIES) % len(DASHES)]
        courses = [run.course for run in group.runs]
        if len(courses) == 1:
            _one(axes, courses[0], scale, colour, dash, group.label)
        else:
            _many(axes, courses, scale, end, colour, dash, group.label)
    framed(axes, scale.label, end)
    axes.set_ylim(0, 1)
    axes.set_ylabel("share of tasks solved, believed")
    figure.legend(loc="outside lower left", ncols=1)
    return Picture(
        f"best-{scale.name}",
        f"Best belief over {scale.label}",
        "At each point the agent that a run would have named best with what was known then. A run by itself: mean and "
        "95 % interval of that agent's posterior. Runs that differ by their seed only: their mean and its 95 % "
        "interval over seeds (Student's t), each run a thin line; a run that has ended stands as at its end.",
        figure,
    )


def _one(axes: Axes, course: Course, scale: Scale, colour: str, dash: object, label: str) -> None:
    places = course.thinned(MOST_POINTS)
    x = scale.of(course)[places]
    axes.fill_between(x, course.low[places], course.high[places], step="post", color=colour, alpha=0.12, linewidth=0)
    axes.plot(
        x, course.belief[places], drawstyle="steps-post", color=colour, linestyle=dash, linewidth=1.8, label=label
    )  # fmt: skip


def _many(
    axes: Axes, courses: Sequence[Course], scale: Scale, end: float, colour: str, dash: object, label: str
) -> None:
    grid = np.linspace(0, end, GRID)
    rows = over_seeds(courses, scale, grid)
    for row in rows:
        axes.plot(grid, row, drawstyle="steps-post", color=colour, linewidth=0.6, alpha=0.5)
    begun = ~np.isnan(rows).any(axis=0)
    band = band_of(grid[begun], rows[:, begun])
    axes.fill_between(
        band.at, np.clip(band.low, 0, 1), np.clip(band.high, 0, 1), color=colour, alpha=0.18, linewidth=0
    )  # fmt: skip
    axes.plot(band.at, band.mean, color=colour, linestyle=dash, linewidth=2.0, label=label)


def over_seeds(courses: Sequence[Course], scale: Scale, grid: Floats) -> Floats:
    """Belief of each run at each place of the grid, one row a run: as at its last verdict before; nan before the
    first."""
    rows = np.full((len(courses), len(grid)), np.nan)
    for row, course in zip(rows, courses, strict=True):
        places = np.searchsorted(scale.of(course), grid, side="right") - 1
        row[places >= 0] = course.belief[places[places >= 0]]
    return rows


def band_of(at: Floats, rows: Floats) -> Band:
    """Over the rows, which are runs. With one run there is no interval: it is the mean itself."""
    found = [estimate(column) for column in rows.T]
    mean = np.array([each.mean for each in found])
    low = np.array([each.mean if each.low is None else each.low for each in found])
    high = np.array([each.mean if each.high is None else each.high for each in found])
    return Band(at, mean, low, high)


def parts(runs: Sequence[RunFacts], figures: Sequence[Html]) -> list[Html]:
    """What the page says of the runs together."""
    columns = [
        Column("run"), Column("benchmark", "short"), Column("policy", "short"), Column("state", "short"),
        Column("agents", "number"), Column("evaluations", "number"), Column("best", "number"),
        Column("raw", "number"), Column("95 %", "number"), Column("seed", "number"), Column("95 %", "number"),
        Column("at work", "number"), Column("spent", "number"), Column("against the seed, points, 95 % credible"),
    ]  # fmt: skip
    said = [element("h2", f"{count(len(runs), 'run')} together"), grid(*figures)]
    benchmarks = sorted({run.benchmark for run in runs})
    if len(benchmarks) > 1:
        text = f"The runs are of different benchmarks ({', '.join(benchmarks)}): their shares cannot be compared."
        said.insert(1, element("p", text, class_="warning"))
    note = "Each run's best was chosen on the tasks that it is scored on, which flatters it; results on sealed tasks "
    return [*said, table(columns, map(_row, runs)), element("p", note + "do not.")]


def _row(run: RunFacts) -> list[str]:
    status, best, seed = run.status, run.best, run.status["seed"]
    last = [each for each in run.comparisons if each.split != "validation"][-1:]
    against = [
        f"{each.split}: {points(each.paired.difference)} ({points(each.paired.low)} to {points(each.paired.high)}), "
        f"P(better) {sure(each.paired.p_better)}, p = {each.paired.p:.2g}, {count(each.paired.n, 'task')}"
        for each in last
    ]
    hours = f"{duration(3600 * float(run.course.hours[-1]))}" if run.course.hours.size else "–"
    return [
        name(run.name), run.benchmark, run.policy, status["state"], f"{status['agents']:,}",
        f"{status['evaluations']:,}", "–" if best is None else str(best["agent"]), *_score(best), *_score(seed),
        hours, bill_text(Bill(**status["spent"])).split(",")[0], *(against or ["–"]),
    ]  # fmt: skip


def _score(facts: dict[str, float] | None) -> tuple[str, str]:
    if facts is None or facts["mean"] is None:
        return "–", "–"
    return percent(facts["mean"]), f"{percent(facts['low'])} to {percent(facts['high'])}"
