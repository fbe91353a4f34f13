"""All that a report says of one run, gathered from its rows, its notes and its ledger; frozen, and drawn by others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click

from archive import Archive, Clade, Expansion, History, Outcome, Tally, clades, holder
from evolve.cli.cost import Cost, costs
from evolve.cli.reading import believed_in, reading
from evolve.cli.render import count
from evolve.cli.summary import Facts, against, best_facts, line_of, status_facts
from evolve.llm.spending import LEDGER, read_book
from evolve.report.course import Course, course
from evolve.report.foresight import Foresight, foresight
from evolve.settings import Settings
from evolve.state import view_of
from evolve.statistics.beliefs import Beliefs, search_tasks
from evolve.statistics.paired import Paired, compare, successes
from evolve.statistics.sealed import OPENED, SPLIT, openings

LOOKED_AT = {
    "search": "it was chosen as the best on these tasks, which flatters it",
    "validation": "no choice was made on these tasks, unless by you",
}
"""What to bear in mind with a result on a split that is open to everybody."""


@dataclass(frozen=True, slots=True)
class Step:
    """One birth in the best agent's line."""

    agent: int
    parent: int
    entry: str
    issue: str
    fixed: tuple[str, ...]
    """Tasks that the parent always failed and the child always solved."""
    broken: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """An agent and the seed (or another reference) on the tasks of a split that both were measured on."""

    split: str
    agent: int
    reference: int
    paired: Paired
    note: str
    """What to bear in mind with it."""


@dataclass(frozen=True, slots=True)
class RunFacts:
    """One run, as it stood when it was read."""

    name: str
    settings: Settings
    about: Mapping[str, str]
    believed: Beliefs
    ranking: tuple[int, ...]
    """Measured agents, the one that the policy believes in most first."""
    status: Facts
    """As `clade status --json`."""
    best: Facts | None
    """As `clade best --json`; None while nothing is measured."""
    course: Course
    family: tuple[Clade, ...]
    """By agent id."""
    births: Mapping[int, Expansion]
    """By child."""
    lost: Mapping[int, int]
    """Expansions without a child, by parent; void ones left out."""
    foresight: Foresight
    cost: Cost
    comparisons: tuple[Comparison, ...]
    """Of the best agent, and of the one that `clade final` chose on the sealed split."""
    sealed: Facts | None
    """As `clade final --json`; None while the sealed split is shut, or nothing on it has a verdict."""
    line: tuple[Step, ...]
    """From the seed's child to the best agent."""

    @property
    def policy(self) -> str:
        return self.settings.policy.name

    @property
    def benchmark(self) -> str:
        return self.settings.benchmark_name

    def document(self) -> dict[str, Any]:
        """For --json."""
        way = self.course
        columns = (way.evaluations, way.hours, way.usd, way.tokens, way.agent, way.belief, way.low, way.high)
        names = ("evaluations", "hours", "usd", "tokens", "agent", "belief", "low", "high")
        rows = zip(*(column.tolist() for column in columns), strict=True)
        return {
            "run": self.name,
            "benchmark": self.benchmark,
            "policy": self.policy,
            "status": self.status,
            "best": self.best,
            "course": [dict(zip(names, row, strict=True)) for row in rows],
            "skills": {str(agent): asdict(skill) for agent, skill in self.believed.skills.items()},
            "correlations": [
                {"estimate": each.name, **asdict(each.correlation)} for each in self.foresight.estimates
            ],
            "comparisons": [asdict(each) for each in self.comparisons],
            "final": self.sealed,
        }  # fmt: skip


def read_run(folder: Path) -> RunFacts:
    """A run, also while it goes on. Raises: `ArchiveError`, `SettingsError`, `ModelError` (its ledger), `OSError`."""
    with reading(folder) as (archive, settings):
        history, about = archive.history(), dict(archive.about)
        believed = believed_in(archive, history, settings)
        sealed = sealed_of(archive, history, settings, believed)
    at_work = holder(folder) is not None
    cost = costs(read_book(folder / LEDGER), history, ("role", "model"), alive=at_work)
    name = folder.resolve().name
    return facts_of(name, settings, history, about, believed, cost, sealed=sealed, at_work=at_work)


def facts_of(
    name: str,
    settings: Settings,
    history: History,
    about: Mapping[str, str],
    believed: Beliefs,
    cost: Cost,
    *,
    sealed: Facts | None = None,
    at_work: bool = False,
) -> RunFacts:
    """Everything that rows and notes say of a run. `at_work`: a process is writing it."""
    tasks = search_tasks(about, history, settings.benchmark_name)
    view = view_of(history, tasks, settings)
    best = best_facts(history, believed)
    births = {row.child: row for row in history.expansions if row.outcome is Outcome.BORN and row.child is not None}
    lost = Counter(row.parent for row in history.expansions if row.outcome not in (None, Outcome.BORN, Outcome.VOID))
    return RunFacts(
        name=name,
        settings=settings,
        about=about,
        believed=believed,
        ranking=settings.policy.finalists(view, view.agents) if view.evaluations else (),
        status=status_facts(history, about, "a process at this moment" if at_work else None, believed),
        best=best,
        course=course(history, tasks, settings),
        family=tuple(clades(history.agents, history.evaluations).values()),
        births=births,
        lost=lost,
        foresight=foresight(view),
        cost=cost,
        comparisons=comparisons(history, settings.benchmark_name, None if best is None else best["agent"], sealed),
        sealed=sealed,
        line=() if best is None else line(history, best["agent"], births),
    )


def comparisons(history: History, benchmark: str, agent: int | None, sealed: Facts | None) -> tuple[Comparison, ...]:
    """The best agent beside the seed where one may look as often as one likes, and what the sealed split said."""
    rows = [row for row in history.evaluations if row.benchmark == benchmark and row.agent in (0, agent)]
    found = []
    for split, note in LOOKED_AT.items():
        paired = compare(successes(rows, agent, split), successes(rows, 0, split)) if agent else None
        if agent and paired is not None:
            found.append(Comparison(split, agent, 0, paired, note))
    if sealed is not None:
        tallies = {side: Tally(**sealed["paired"][side]) for side in ("a", "b")}
        paired = Paired(**{**sealed["paired"], **tallies})
        note = f"no choice was made on these tasks; opened {count(sealed['times_opened'], 'time')}"
        found.append(Comparison(SPLIT, sealed["agent"], sealed["reference"], paired, note))
    return tuple(found)


def sealed_of(archive: Archive, history: History, settings: Settings, believed: Beliefs) -> Facts | None:
    """What `clade final` says."""
    said = openings(archive.events(OPENED), settings.benchmark_name)
    if not said:
        return None
    from evolve.cli import final  # imported here: it measures too, and with it come sandboxes and models

    try:
        return final.facts_of(said, history, believed)
    except click.ClickException:  # opened, and no verdict yet
        return None


def line(history: History, agent: int, births: Mapping[int, Expansion]) -> tuple[Step, ...]:
    """How an agent came to be, birth by birth."""
    steps = []
    for each in line_of(history, history.agents[agent])[1:]:
        assert each.parent is not None, "only the seed has no parent, and the line begins after it"
        fixed, broken = against(history.evaluations, each.id, each.parent)
        birth = births.get(each.id)
        entry, issue = ("", "") if birth is None else (birth.entry, birth.issue)
        steps.append(Step(each.id, each.parent, entry, issue, tuple(fixed), tuple(broken)))
    return tuple(steps)
