"""What a run believes of its agents: which one its policy would take away, and all skills beside the raw scores.

The *raw* score of an agent is the share of its own tasks that it solved; its *skill* (`evolve.statistics.posterior`) is
the share of all search tasks that it would solve, easy tasks, kin and chance allowed for. Nothing is stored: both are
worked out from rows each time they are asked for, which is why a large tree's skills are left out (`QUICK`, `PATIENT`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from archive import History
from evolve.settings import Settings
from evolve.state import view_of
from evolve.statistics.posterior import Skill, skills

DRAWS = 400
"""Of the posterior: an end of an interval is then good to a seventh of the posterior's standard deviation."""
QUICK = 1_500
"""Agents and verdicts together, for what is looked at again and again: about 2 seconds of one processor."""
PATIENT = 6_000
"""The same for what is asked once: about 8 seconds."""
WIDEST = 800
"""Agents and tasks together, with which the covariance's inverse takes 0.1 seconds, several times over."""


@dataclass(frozen=True, slots=True)
class Beliefs:
    """What a run believes of its agents."""

    policy: str
    epsilon: float | None
    """Quantile of the posterior by which the policy ranks agents, if it does."""
    best: int | None
    """The agent that the policy would take away; None without evidence."""
    skills: Mapping[int, Skill] = field(default_factory=dict)
    """By agent. Empty without evidence, and where `too_large` says why."""
    too_large: str | None = None
    """One sentence on why there are no skills."""


def beliefs_of(history: History, settings: Settings, tasks: Sequence[str], *, most: int = QUICK) -> Beliefs:
    """What a run's rows say by its own policy. `tasks`: the search split (`search_tasks`).

    Raises: `ArchiveError` if the tree has a hole.
    """
    policy = settings.policy
    found = skills_within(history, tasks, settings.benchmark_name, most)
    return Beliefs(
        policy=policy.name,
        epsilon=getattr(policy, "epsilon", None),
        best=policy.best(view_of(history, tasks, settings)) if history.agents else None,
        skills={} if isinstance(found, str) else found,
        too_large=found if isinstance(found, str) else None,
    )


def skills_within(history: History, tasks: Sequence[str], benchmark: str, most: int) -> Mapping[int, Skill] | str:
    """Every agent's skill over these tasks; none without evidence; a sentence where it would take too long."""
    verdicts = sum(
        row.benchmark == benchmark and row.split == "search" and (row.passed or row.failed)
        for row in history.evaluations
    )
    if not verdicts or not tasks:
        return {}
    agents = len(history.agents)
    if agents + verdicts > most or agents + len(tasks) > WIDEST:
        return (
            f"raw scores only: to work out the skills of {agents:,} agents from {verdicts:,} verdicts on "
            f"{len(tasks):,} tasks would take too long here"
        )
    return skills(history, tasks, benchmark=benchmark, draws=DRAWS)


def search_tasks(about: Mapping[str, str], history: History, benchmark: str) -> tuple[str, ...]:
    """A run's search split in the benchmark's order, as `clade run` noted it, then tasks that only rows know.

    Of an archive without that note, the tasks that anybody was measured on, by name.
    """
    noted = tuple(str(task) for task in json.loads(about.get("tasks", "[]")))
    rows = {row.task for row in history.evaluations if row.benchmark == benchmark and row.split == "search"}
    return (*noted, *sorted(rows - set(noted)))
