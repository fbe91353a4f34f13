"""Simulated runs in a report: what `clade simulate --out` wrote, by world, each policy with its band over seeds."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.lines import Line2D

from evolve.cli.render import count
from evolve.report.course import Floats
from evolve.report.figures import short
from evolve.report.markup import Html, element
from evolve.report.overlay import Band, band_of
from evolve.report.page import Column, table
from evolve.report.sheet import grid
from evolve.report.style import DASHES, INK, SERIES, Picture, blank, in_percent
from evolve.report.ways import HEIGHT, framed
from evolve.settings import SettingsError
from evolve.simulate.outcome import Estimate, Row, Table
from evolve.simulate.outcome import table as compared
from evolve.simulate.results import read
from evolve.simulate.trace import Checkpoint, Trace

REFERENCE = "hgm"
"""The policy that the others are compared with, where it is among them."""
GRID = 160
SCALES: tuple[tuple[str, str, Callable[[Checkpoint], float]], ...] = (
    ("evaluations", "evaluations with a verdict", lambda point: point.evaluations),
    ("hours", "simulated hours", lambda point: point.hours),
    ("dollars", "simulated US dollars", lambda point: point.usd),
)


@dataclass(frozen=True, slots=True)
class World:
    """All policies that were simulated in one world with one plan, each over its seeds; all have some in common."""

    name: str
    plan: Mapping[str, Any]
    runs: Mapping[str, tuple[Trace, ...]]
    table: Table


def study_files(path: Path) -> list[Path]:
    """The files of simulated runs in what a person named: such a file, a world's folder, or the folder of all."""
    if path.is_file():
        return [path]
    return sorted(path.glob("*/*.jsonl")) or sorted(path.glob("*.jsonl"))


def read_worlds(files: Iterable[Path]) -> list[World]:
    """Simulated runs that were made alike together. Raises: `SettingsError` for a file that is none of such, or holds
    no run yet; `OSError`."""
    found: dict[str, dict[str, tuple[Trace, ...]]] = {}
    abouts: dict[str, dict[str, Any]] = {}
    for file in dict.fromkeys(file.resolve() for file in files):
        about, traces = read(file)
        if not {"world", "settings", "plan", "policy"} <= about.keys():
            raise SettingsError(f"{file} is not a file of simulated runs")
        if not traces:
            continue
        key = json.dumps([about["world"], about["settings"], about["plan"]], sort_keys=True)
        abouts[key] = about
        runs = found.setdefault(key, {})
        runs[_label(file, runs)] = traces
    if not found:
        raise SettingsError("there is no simulated run yet")
    return [_world(abouts[key], runs) for key, runs in found.items()]


def _label(file: Path, taken: Iterable[str]) -> str:
    """What runs are called: the policy with its options, as their file is, and whatever tells them from the others."""
    known = set(taken)
    names = (file.stem, f"{file.stem} of {file.parent.parent.name}")
    numbered = (f"{number}: {file.stem}" for number in itertools.count(2))  # in front: the end may be cut off
    return next(label for label in map(short, itertools.chain(names, numbered)) if label not in known)


def _world(about: Mapping[str, Any], runs: dict[str, tuple[Trace, ...]]) -> World:
    reference = REFERENCE if REFERENCE in runs else next(iter(runs))
    if not set.intersection(*({trace.seed for trace in traces} for traces in runs.values())):
        names = ", ".join(runs)
        raise SettingsError(f"in the world {about['world']} the policies {names} have no seed in common")
    return World(short(about["world"]), about["plan"], runs, compared(about["world"], runs, reference))


def pictures(world: World) -> list[Picture]:
    """Skill over evaluations, time and money, and at the end."""
    return [*(_way(world, *scale) for scale in SCALES), _ends(world)]


def _styles(world: World) -> dict[str, tuple[str, Any]]:
    """Each policy's colour and dash, the better ones first; the same in all figures."""
    rows = enumerate(world.table.rows)
    return {
        row.policy: (SERIES[number % len(SERIES)], DASHES[number // len(SERIES) % len(DASHES)]) for number, row in rows
    }


def _common(world: World) -> dict[str, list[Trace]]:
    """The traces over the seeds that all policies have."""
    seeds = set.intersection(*({trace.seed for trace in traces} for traces in world.runs.values()))
    return {policy: [trace for trace in traces if trace.seed in seeds] for policy, traces in world.runs.items()}


def _way(world: World, scale: str, label: str, of: Callable[[Checkpoint], float]) -> Picture:
    figure, axes = blank(HEIGHT + 0.2 * len(world.runs))
    common = _common(world)
    end = max(float(np.median([of(trace.last) for trace in traces])) for traces in common.values())
    grid = np.linspace(0, end, GRID)
    for policy, (colour, dash) in _styles(world).items():
        band = skill_band(common[policy], of, grid)
        axes.fill_between(grid, band.low, band.high, color=colour, alpha=0.2 if len(common) < 6 else 0.1, linewidth=0)
        axes.plot(grid, band.mean, color=colour, linestyle=dash, linewidth=1.8, label=policy)
    framed(axes, label, end)
    axes.set_ylabel("true skill of the chosen agent")
    figure.legend(loc="outside lower center", ncols=3)
    return Picture(
        f"{world.name}-{scale}",
        f"World {world.name}: true skill over {label}",
        f"True skill of the agent that the policy would name best at that moment (share of unseen tasks), mean and its "
        f"95 % interval over {count(len(next(iter(common.values()))), 'seed')} (Student's t); straight lines between "
        "checkpoints, from the first agent on; a run that has ended stands as at its end.",
        figure,
    )


def skill_band(traces: Sequence[Trace], of: Callable[[Checkpoint], float], grid: Floats) -> Band:
    """The mean true skill over the runs at each place of the grid."""
    rows = np.empty((len(traces), len(grid)))
    for row, trace in zip(rows, traces, strict=True):
        at = [0.0, *(of(point) for point in trace.checkpoints)]
        row[:] = np.interp(grid, at, [trace.seed_skill, *(point.skill for point in trace.checkpoints)])
    return band_of(grid, rows)


def _ends(world: World) -> Picture:
    rows = world.table.rows
    figure, axes = blank(1.4 + 0.3 * len(rows))
    styles = _styles(world)
    for line, row in enumerate(rows):
        colour = styles[row.policy][0]
        low, high = _span(row.skill)
        axes.hlines(line, low, high, color=colour, linewidth=2.2)
        axes.plot(row.skill.mean, line, "o", color=colour, ms=6, label="chosen" if line == 0 else None)
        axes.plot(
            row.skill.mean + row.regret.mean, line, "D", mfc="white", mec=colour, ms=5,
            label="the best of its tree" if line == 0 else None,
        )  # fmt: skip
    axes.axvline(world.table.seed_skill.mean, color=INK, linewidth=1.0, linestyle=(0, (5, 3)), label="the first agent")
    axes.set_yticks(range(len(rows)), [row.policy for row in rows])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlabel("true skill at the end, mean and 95 % interval over seeds")
    axes.grid(axis="x", color="#dddddd", linewidth=0.7)
    axes.set_axisbelow(True)
    in_percent(axes.xaxis)
    legend = figure.legend(loc="outside upper center", ncols=3)
    for handle in legend.legend_handles:
        if isinstance(handle, Line2D):
            handle.set(color="#444444", markeredgecolor="#444444")
    return Picture(
        f"{world.name}-skill",
        f"World {world.name}: skill at the end",
        "Filled: the agent that the policy chose; hollow: the best agent of its tree, so the way between them is what "
        "is lost by choosing wrongly.",
        figure,
    )


def _span(found: Estimate) -> tuple[float, float]:
    return (found.mean if found.low is None else found.low), (found.mean if found.high is None else found.high)


def parts(world: World, figures: Sequence[Html]) -> list[Html]:
    """What the page says of one world."""
    plan, rows = world.plan, world.table.rows
    reference = world.table.reference
    columns = [
        Column("policy", "short"), Column("true skill", "number"), Column("regret", "number"),
        Column("agents", "number"), Column("hours", "number"), Column("US dollars", "number"),
        Column(f"evaluations to {reference}", "number"), Column(f"beyond {reference}, points", "number"),
    ]  # fmt: skip
    title = f"World {world.name}: {count(plan['evaluations'], 'evaluation')}, {count(plan['workers'], 'worker')}, "
    note = (
        f"Mean and 95 % interval over seeds. True skill: share of unseen tasks solved by the agent chosen at the end "
        f"(the first agent: {_share(world.table.seed_skill)}). Regret: what the best of its tree solves more. "
        f"Evaluations until the mean skill is where {reference} ends. Beyond {reference}: paired by seed."
    )
    return [
        element("h2", title + _seeds(world)),
        grid(*figures),
        table(columns, (_cells(row, itself=row.policy == reference) for row in rows)),
        element("p", note),
    ]


def _seeds(world: World) -> str:
    """How many there are, of each policy where they differ."""
    numbers = {row.runs for row in world.table.rows}
    each = ", ".join(f"{row.policy} {row.runs:,}" for row in world.table.rows)
    return count(numbers.pop(), "seed") if len(numbers) == 1 else f"seeds: {each}"


def _cells(row: Row, *, itself: bool) -> list[str]:
    reached = "never" if row.to_level is None else _number(row.to_level, 0)
    beyond = "–" if row.difference is None else _number(row.difference, 1, 100)
    cells = [row.policy, _share(row.skill), _share(row.regret), _number(row.agents, 0), _number(row.hours, 1)]
    return [*cells, _number(row.usd, 0), "–" if itself else reached, beyond]


def _share(found: Estimate) -> str:
    low, high = _span(found)
    text = f"{100 * found.mean:.1f} %"
    return text if found.low is None else f"{text} ({100 * low:.1f} to {100 * high:.1f})"


def _number(found: Estimate, digits: int, times: float = 1) -> str:
    text = f"{times * found.mean:,.{digits}f}"
    if found.low is None:
        return text
    high = "…" if found.high is None else f"{times * found.high:,.{digits}f}"
    return f"{text} ({times * found.low:,.{digits}f} to {high})"


def document(world: World) -> dict[str, Any]:
    """For --json."""
    return {"plan": dict(world.plan), **asdict(world.table)}
