"""What a run believes: its own policy's best agent, skills beside raw scores, and large trees left alone."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from archive import Agent, Evaluation, Expansion, History, Outcome
from evolve.settings import Settings
from evolve.statistics import beliefs
from evolve.statistics.beliefs import beliefs_of, search_tasks, skills_within
from evolve.statistics.posterior import skills

START = datetime(2026, 1, 1, tzinfo=UTC)
EASY, HARD = tuple(f"easy-{n}" for n in range(6)), tuple(f"hard-{n}" for n in range(6))
TASKS = EASY + HARD


class Rows:
    """A run's rows, each a second after the one before."""

    def __init__(self) -> None:
        self.agents: list[Agent] = []
        self.expansions: list[Expansion] = []
        self.evaluations: list[Evaluation] = []
        self.moves = 0

    def born(self, parent: int | None) -> None:
        id, now = len(self.agents), self.moment()
        self.agents.append(Agent(id, parent, f"{id:040x}", f"{id:040x}", str(id), now))
        if parent is not None:
            row = Expansion(id, self.moves, parent, "task:x", 0, now, Outcome.BORN, child=id, closed=self.moment())
            self.expansions.append(row)

    def measured(self, agent: int, task: str, passed: bool, *, asked: bool = False) -> None:
        outcome = Outcome.RESOLVED if passed else Outcome.UNRESOLVED
        opened, number = self.moment(), None if asked else self.moves
        row = Evaluation(
            len(self.evaluations) + 1, number, agent, "repair", "search", task, 0, 0, opened, outcome,
            closed=self.moment(),
        )  # fmt: skip
        self.evaluations.append(row)

    def moment(self) -> datetime:
        self.moves += 1
        return START + timedelta(seconds=self.moves)

    def history(self) -> History:
        return History(tuple(self.agents), tuple(self.expansions), tuple(self.evaluations))


@pytest.fixture
def flattered() -> History:
    """Agent 1 solved all of the easy tasks, which everybody solves; agent 2 most of the hard ones, and nobody else."""
    rows = Rows()
    for parent in (None, 0, 0, 0):
        rows.born(parent)
    for agent in (0, 3):
        for task in TASKS:
            rows.measured(agent, task, task in EASY)
    for number in range(6):
        rows.measured(1, EASY[number], True)
        rows.measured(2, HARD[number], number > 0)
    return rows.history()


def believed(history: History, policy: str) -> beliefs.Beliefs:
    return beliefs_of(history, Settings.model_validate({"policy": {"name": policy}}), TASKS)


def test_the_best_agent_is_the_policy_s(flattered: History) -> None:
    assert believed(flattered, "hgm").best == 1
    assert believed(flattered, "kin").best == 2
    assert (believed(flattered, "hgm").policy, believed(flattered, "hgm").epsilon) == ("hgm", 0.25)
    assert believed(flattered, "sica").epsilon is None


def test_skill_is_not_flattered_by_easy_tasks(flattered: History) -> None:
    found = believed(flattered, "hgm").skills
    assert found[2].mean > found[1].mean
    assert all(each.low < each.mean < each.high for each in found.values())
    assert found == skills(flattered, TASKS, benchmark="repair", draws=beliefs.DRAWS), "the same every time"


def test_without_evidence_nothing_is_believed() -> None:
    assert believed(History(), "hgm").best is None
    rows = Rows()
    rows.born(None)
    for policy in ("hgm", "kin", "sica"):
        found = believed(rows.history(), policy)
        assert (found.best, found.skills, found.too_large) == (None, {}, None)


def test_a_large_tree_has_raw_scores_only_and_says_so(flattered: History, monkeypatch: pytest.MonkeyPatch) -> None:
    agents, verdicts = len(flattered.agents), len(flattered.evaluations)
    assert isinstance(skills_within(flattered, TASKS, "repair", agents + verdicts), dict)
    refused = skills_within(flattered, TASKS, "repair", agents + verdicts - 1)
    assert refused == (
        "raw scores only: to work out the skills of 4 agents from 36 verdicts on 12 tasks would take too long here"
    )
    monkeypatch.setattr(beliefs, "WIDEST", agents + len(TASKS) - 1)
    found = believed(flattered, "kin")
    assert (found.best, found.skills) == (2, {})
    assert found.too_large == refused


def test_the_search_split_is_as_it_was_noted_and_evidence_beyond_it_stays() -> None:
    rows = Rows()
    rows.born(None)
    rows.measured(0, "b", True)
    rows.measured(0, "old", True, asked=True)
    history = rows.history()
    assert search_tasks({}, history, "repair") == ("b", "old")
    assert search_tasks({"tasks": json.dumps(["c", "b", "a"])}, history, "repair") == ("c", "b", "a", "old")
    assert search_tasks({}, history, "other") == ()
