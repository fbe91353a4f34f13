"""Finalists: the few agents that a run believes in most, measured on all search tasks before one of them is chosen.

The best of many small samples looks better than it is (the winner's curse): the fewer evaluations, the more. Measured
alike on the same tasks, the finalists are compared on equal terms, and what flattered one of them washes out. What is
left of it is why the last word is said on sealed tasks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from archive import Evaluation, History, Tally, tallies

Results = dict[int, dict[str, bool]]
"""By agent and task, the first verdict."""

SPLIT = "search"


@dataclass(frozen=True, slots=True)
class Finalist:
    """An agent that is to be measured in full."""

    agent: int
    before: Tally
    """What the policy knew of it when it became a finalist."""
    open: tuple[str, ...]
    """Search tasks it has yet to be measured on."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The finalist that was chosen, and what all of them did on the tasks that all were measured on."""

    agent: int
    tasks: tuple[str, ...]
    results: Mapping[int, Tally]


def select(
    history: History, tasks: Sequence[str], agents: Sequence[int], *, benchmark: str, budget: int | None = None
) -> tuple[Finalist, ...]:
    """Agents (`Policy.finalists` names them), each with the search tasks it has left.

    Within a `budget` of evaluations, the first tasks are taken on which all finalists can be measured.
    """
    own, results = tallies(history.evaluations), first_verdicts(history.evaluations, benchmark)
    missing = [set(tasks) - results.get(each, {}).keys() for each in agents]
    wanted = affordable(missing, tasks, budget)
    return tuple(
        Finalist(each, own.get(each, Tally()), tuple(task for task in tasks if task in wanted & open_tasks))
        for each, open_tasks in zip(agents, missing, strict=True)
    )


def affordable(missing: Sequence[set[str]], tasks: Iterable[str], budget: int | None) -> set[str]:
    """The first tasks whose missing evaluations, of all agents together, a budget pays for."""
    chosen: set[str] = set()
    for task in tasks:
        price = sum(task in each for each in missing)
        if budget is not None and price > budget:
            break
        budget = None if budget is None else budget - price
        chosen.add(task)
    return chosen


def choose(history: History, agents: Sequence[int], *, benchmark: str) -> Choice:
    """The finalist that solves most of the search tasks that all were measured on; of equals the first named."""
    results = first_verdicts(history.evaluations, benchmark)
    common = set.intersection(*(set(results.get(agent, {})) for agent in agents))
    tasks = tuple(sorted(common))
    found = {agent: _tally(results.get(agent, {}), tasks) for agent in agents}
    return Choice(max(agents, key=lambda agent: found[agent].passed), tasks, found)


def first_verdicts(evaluations: Iterable[Evaluation], benchmark: str) -> Results:
    """Each agent's first evidence on each search task, whoever asked for it; repeats would count some tasks twice."""
    found: Results = {}
    for row in evaluations:
        if row.split == SPLIT and row.benchmark == benchmark and (row.passed or row.failed):
            found.setdefault(row.agent, {}).setdefault(row.task, row.passed)
    return found


def _tally(results: Mapping[str, bool], tasks: Iterable[str]) -> Tally:
    passes = [results[task] for task in tasks]
    return Tally(sum(passes), len(passes) - sum(passes))
