"""Named worlds: those made to look like published benchmarks, and those made to mislead.

`swe` and `polyglot` are priors; those with a letter were fitted to what the HGM paper published, two far apart for each
benchmark, because its table does not tell them from one another (docs/calibration.md).

A world that a policy's author made up flatters that policy. So there are worlds in which what a policy builds on is
absent (no difficulty to adjust for, no kinship), and worlds in which the obvious thing is wrong.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import Literal

from evolve.settings import SettingsError
from evolve.simulate.parameters import WorldSettings

WORKERS = 20
"""Moves under way at once, unless a world says otherwise: as in HGM's and DGM's runs."""


@dataclass(frozen=True, slots=True)
class Preset:
    """A named world."""

    name: str
    kind: Literal["calibrated", "adversarial"]
    about: str
    """One line."""
    settings: WorldSettings
    workers: int = WORKERS


_SWE = WorldSettings()

PRESETS: tuple[Preset, ...] = (
    Preset("swe", "calibrated", "like 60 tasks of SWE-bench Verified, first agent at 40 %", _SWE),
    Preset(
        "polyglot",
        "calibrated",
        "like 60 tasks of Polyglot, first agent at 20 %",
        WorldSettings(seed_skill=0.203, step_sd=0.4, timings="polyglot"),
    ),
    Preset(
        "swe-a",
        "calibrated",
        "swe, fitted to HGM's table: lines alike, many broken",
        WorldSettings(
            difficulty_sd=3.31, step_sd=0.54, capacity_mean=0.09, capacity_sd=0.06, capacity_kept=0.93, broken=0.28
        ),
    ),
    Preset(
        "swe-b",
        "calibrated",
        "as well fitted: lines differ, few broken",
        WorldSettings(
            difficulty_sd=3.42, step_sd=0.64, capacity_mean=-0.16, capacity_sd=0.38, capacity_kept=0.73, broken=0.04
        ),
    ),
    Preset(
        "polyglot-a",
        "calibrated",
        "polyglot, fitted to HGM's table: a line's luck is short",
        WorldSettings(
            seed_skill=0.203,
            timings="polyglot",
            difficulty_sd=2.78,
            step_sd=0.61,
            capacity_mean=-0.40,
            capacity_sd=0.32,
            capacity_kept=0.24,
            broken=0.11,
        ),
    ),
    Preset(
        "polyglot-b",
        "calibrated",
        "as well fitted: good lines stay good",
        WorldSettings(
            seed_skill=0.203,
            timings="polyglot",
            difficulty_sd=2.69,
            step_sd=0.70,
            capacity_mean=-0.38,
            capacity_sd=0.36,
            capacity_kept=0.65,
            broken=0.16,
        ),
    ),
    Preset(
        "flat",
        "adversarial",
        "all agents are equal: whatever looks better is luck",
        WorldSettings(step_sd=0, capacity_mean=0, capacity_sd=0, saturation=0, broken=0, own_sd=0, contrast_gain=0),
    ),
    Preset(
        "decline",
        "adversarial",
        "most children are worse than their parents",
        WorldSettings(capacity_mean=-0.6, step_sd=0.5, saturation=0),
    ),
    Preset(
        "greedy-trap",
        "adversarial",
        "who gains early has lost the capacity to go on",
        WorldSettings(capacity_mean=-0.1, capacity_sd=0.4, capacity_kept=0.95, saturation=0, sterile=0.35),
    ),
    Preset(
        "deceptive",
        "adversarial",
        "the way up leads through a valley: one child in seven is worse, and its line far better",
        WorldSettings(capacity_mean=-0.3, capacity_kept=0.95, pioneers=0.15, pioneer_cost=0.8, pioneer_gain=0.5),
    ),
    Preset(
        "independent",
        "adversarial",
        "kin tells nothing: every child is the first agent changed anew, whoever wrote it",
        WorldSettings(saturation=1, capacity_kept=0, own_fresh=1, step_sd=0.7),
    ),
    Preset(
        "equal-tasks",
        "adversarial",
        "all tasks are about equally hard: no difficulty to adjust for",
        WorldSettings(difficulty_sd=0.3),
    ),
    Preset(
        "flipped-tasks",
        "adversarial",
        "two families of tasks: what helps with one harms with the other",
        WorldSettings(trade_sd=0.8, step_sd=0.25),
    ),
    Preset(
        "weak-seed",
        "adversarial",
        "the first agent solves one task in fifty, and there is a way up",
        WorldSettings(seed_skill=0.02, capacity_mean=0.2, step_sd=0.9),
    ),
    Preset(
        "heavy",
        "adversarial",
        "hard tasks take by far the longest, and 50 workers do not wait for them",
        WorldSettings(slow_when_hard=True),
        workers=50,
    ),
)


def preset(name: str) -> Preset:
    """The world of that name. Raises: `SettingsError`, with the nearest name."""
    for each in PRESETS:
        if each.name == name:
            return each
    names = [each.name for each in PRESETS]
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"did you mean `{near[0]}`?" if near else f"there are: {', '.join(names)}"
    raise SettingsError(f"there is no world called {name!r}; {hint}")
