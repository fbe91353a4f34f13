"""What a child is to mend."""

from collections import Counter
from datetime import UTC, datetime

import numpy as np
import pytest

from archive import Evaluation, Outcome
from evolve.entry import choose_entry


def rows(*outcomes):
    now = datetime.now(UTC)
    return [
        Evaluation(id, id, 0, "repair", "search", f"t{id}", 0, 0, now, outcome=outcome, closed=now)
        for id, outcome in enumerate(outcomes)
    ]


def names(evaluations, overflowed=(), draws=400):
    entries = (choose_entry(evaluations, overflowed, np.random.default_rng(seed)) for seed in range(draws))
    return Counter(entry.name for entry in entries)


def test_a_failed_task_is_chosen_never_a_solved_one():
    drawn = names(rows(Outcome.RESOLVED, Outcome.UNRESOLVED, Outcome.UNRESOLVED))
    assert set(drawn) == {"task:t1", "task:t2"}


@pytest.mark.parametrize(
    ("outcome", "name"),
    [
        (Outcome.EMPTY_PATCH, "weakness:empty_patches"),
        (Outcome.TIMED_OUT, "weakness:time_outs"),
        (Outcome.AGENT_CRASHED, "weakness:crashes"),
        (Outcome.OVER_BUDGET, "weakness:over_budget"),
    ],
)
def test_a_frequent_weakness_is_chosen_a_quarter_of_the_time(outcome, name):
    drawn = names(rows(outcome, *[Outcome.UNRESOLVED] * 5))
    assert drawn[name] / 400 == pytest.approx(0.25, abs=0.07)


def test_a_rare_one_is_not_a_weakness():
    assert not any(name.startswith("weakness") for name in names(rows(Outcome.EMPTY_PATCH, *[Outcome.UNRESOLVED] * 10)))


def test_overflow_needs_two_cases():
    failed = rows(Outcome.UNRESOLVED, Outcome.UNRESOLVED)
    assert "weakness:context_overflow" not in names(failed, failed[:1])
    assert names(failed, failed)["weakness:context_overflow"] / 400 == pytest.approx(0.25, abs=0.07)


@pytest.mark.parametrize("evaluations", [rows(), rows(Outcome.RESOLVED)])
def test_an_agent_without_failures_gets_a_general_entry(evaluations):
    entry = choose_entry(evaluations, (), np.random.default_rng(0))
    assert entry.name == "weakness:none_seen"
    assert entry.weakness
