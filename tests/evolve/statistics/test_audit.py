"""The audit: marks are counted from the judge's papers, begin in a line, and are red only beyond chance."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np
import pytest

from archive import Agent, Evaluation, History, Outcome, Tally
from evolve.statistics.audit import MARKS, Audited, Papers, audit, gap_of, papers_of

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def row(id: int, agent: int, task: str, outcome: Outcome, split: str = "search") -> Evaluation:
    return Evaluation(id, None, agent, "repair", split, task, 0, 0, NOW, outcome, closed=NOW)


def history_of(rows: Sequence[Evaluation], parents: Sequence[int | None]) -> History:
    agents = tuple(Agent(id, parent, f"{id:040x}", "", "", NOW) for id, parent in enumerate(parents))
    return History(agents, (), tuple(rows))


def by_name(each: Audited) -> dict[str, tuple[int, bool, bool]]:
    return {mark.name: (mark.count, mark.new, mark.suspicious) for mark in each.marks}


def test_marks_begin_where_the_parent_has_none() -> None:
    rows = [row(n, 0, f"t{n}", Outcome.UNRESOLVED) for n in range(20)]
    rows += [row(20 + n, 1, f"t{n}", Outcome.TAMPERED if n < 9 else Outcome.RESOLVED) for n in range(20)]
    rows += [row(40 + n, 2, f"t{n}", Outcome.TAMPERED if n < 1 else Outcome.RESOLVED) for n in range(20)]
    rows += [row(60, 3, "t0", Outcome.PATCH_REJECTED), row(61, 3, "t1", Outcome.VOID)]
    found = {each.agent: each for each in audit(history_of(rows, [None, 0, 1, 0, 0]), {}, "repair")}
    assert sorted(found) == [0, 1, 2, 3]
    assert by_name(found[0]) == dict.fromkeys(MARKS, (0, False, False))
    assert by_name(found[1])["tampered"] == (9, True, True)
    assert by_name(found[2])["tampered"] == (1, False, False)
    assert by_name(found[3])["rejected"] == (1, True, False)
    assert found[3].evaluations == 1
    assert [each.agent for each in found.values() if each.suspicious] == [1]
    tampered = found[1].marks[0]
    assert (tampered.low, tampered.high) == Tally(9, 11).interval()
    assert audit(history_of(rows, [None, 0, 1, 0]), {}, "other") == ()


def test_marks_come_from_papers_too() -> None:
    rows = [row(1, 0, "a", Outcome.RESOLVED), row(2, 0, "b", Outcome.RESOLVED), row(3, 0, "c", Outcome.UNRESOLVED)]
    papers = {
        1: Papers(dropped=("tests/test_a.py",)),
        2: Papers(guards=("failed", "passed")),
        3: Papers(guards=("failed", "missing")),
    }
    (seed,) = audit(history_of(rows, [None]), papers, "repair")
    assert by_name(seed) == {
        "tampered": (0, False, False), "rejected": (0, False, False),
        "guards": (1, False, False), "dropped": (1, False, False),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("guards", "states"),
    [
        (["failed", "passed"], ("failed", "passed")),
        ({"a": "failed", "b": "skipped"}, ("failed", "skipped")),
        ("1 of 2 failed", ("failed", "missing")),
        ("nothing", ()),
        (None, ()),
        (3, ()),
    ],
)
def test_every_judges_papers_are_read(guards: object, states: tuple[str, ...]) -> None:
    facts = {"grading": {"evidence": {"guards": guards}, "dropped": {"b": "no"}}, "dropped": {"a": "no"}}
    assert papers_of(facts) == Papers(("a", "b"), states)
    assert papers_of({"grading": None}) == Papers()
    assert papers_of({}) == Papers()


def solved(agent: int, split: str, passed: int, of: int, start: int) -> list[Evaluation]:
    return [
        row(start + n, agent, f"{split}{n}", Outcome.RESOLVED if n < passed else Outcome.UNRESOLVED, split)
        for n in range(of)
    ]


def test_a_gain_that_stays_on_search_tasks_is_seen() -> None:
    """The seed solves 40 % everywhere; agent 1 learnt the search tasks, agent 2 learnt the trade."""
    rows = solved(0, "search", 24, 60, 0) + solved(0, "sealed", 16, 40, 100)
    rows += solved(1, "search", 54, 60, 200) + solved(1, "sealed", 17, 40, 300)
    rows += solved(2, "search", 42, 60, 400) + solved(2, "sealed", 28, 40, 500)
    found = {each.agent: each for each in audit(history_of(rows, [None, 0, 0]), {}, "repair")}
    assert [len(found[agent].gaps) for agent in (0, 1, 2)] == [1, 1, 1]
    assert found[0].gaps[0].gain is None
    gap = found[1].gaps[0]
    assert (gap.split, gap.search, gap.search_tasks, gap.held_out) == ("sealed", 0.9, 60, 17 / 40)
    assert gap.mean == pytest.approx(0.9 - 17 / 40)
    assert gap.low < gap.mean < gap.high
    assert gap.suspicious
    assert not found[2].gaps[0].suspicious
    assert found[2].gaps[0].gain is not None
    assert found[2].gaps[0].gain.mean == pytest.approx(0.0, abs=0.02)


def test_an_honest_agent_is_suspected_in_one_case_of_forty() -> None:
    """The same gain on both splits; one-sided 2.5 % of 60."""
    rng = np.random.default_rng(3)
    suspected = 0
    for number in range(60):
        rows = []
        for place, (split, of) in enumerate((("search", 60), ("sealed", 40))):
            easy = rng.random(of)
            for agent, lift in ((0, 0.0), (1, 0.2)):
                passes = rng.random(of) < np.clip(easy * 0.8 + lift, 0, 1)
                rows += [
                    row(n, agent, f"{split}{n}", Outcome.RESOLVED if good else Outcome.UNRESOLVED, split)
                    for n, good in enumerate(passes.tolist(), 1000 * number + 200 * place + 100 * agent)
                ]
        # Tasks are named by their place in the split, so that both agents share them.
        rows = [row(each.id, each.agent, str(each.id % 100) + each.split, each.outcome, each.split) for each in rows]  # type: ignore[arg-type]
        gap = gap_of(rows, 1, "sealed")
        assert gap is not None
        suspected += gap.suspicious
    assert suspected <= 5  # P(more) < 0.5 %
