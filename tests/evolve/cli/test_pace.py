"""Time and money left, by the tightest of a run's caps, also after a resume."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from archive import Archive, Bill, Evaluation, Outcome
from evolve.cli.pace import Pace, Work, left, work_before
from evolve.settings import Budget, Settings


def closed(outcome: Outcome) -> Evaluation:
    return Evaluation(1, 1, 0, "repair", "search", "t", 0, 1, datetime.now(UTC), outcome=outcome)


WORK = Work(evaluations=10, seconds=600.0, usd=1.0, tokens=10_000)


@pytest.mark.parametrize(
    ("budget", "cap", "seconds", "usd"),
    [
        (Budget(), "evaluations", 1200.0, 2.0),
        (Budget(usd=2.5), "usd", 900.0, 1.5),
        (Budget(tokens=15_000), "tokens", 300.0, 0.5),
        (Budget(hours=0.5), "hours", 1200.0, 2.0),
        (Budget(hours=0.25), "hours", 300.0, 0.5),
        (Budget(usd_per_hour=12.0), "evaluations", 1200.0, 2.0),
        (Budget(usd_per_hour=1.0), "usd_per_hour", 7200.0, 2.0),
        (Budget(usd=1.0), "usd", 0.0, 0.0),
    ],
)
def test_the_tightest_cap_by_hand(budget: Budget, cap: str, seconds: float, usd: float) -> None:
    found = left(WORK, WORK, 20, budget)
    assert found is not None
    if cap == "hours" and seconds == 1200.0:  # as long as the evaluations take: either may be named
        cap = found.cap
    assert found.cap == cap
    assert found.seconds == pytest.approx(seconds)
    assert found.usd == pytest.approx(usd)


def test_no_work_is_no_pace() -> None:
    assert left(Work(), WORK, 20, Budget()) is None
    assert Pace(Settings(), Bill).rate(10) == "no pace yet"


def test_a_session_tells_time_and_money(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, usd = [1000.0], [1.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    pace = Pace(Settings.model_validate({"budget": {"usd": 4.0}}), lambda: Bill(usd=usd[0]))
    pace.begin()
    clock[0] += 60
    for _ in range(6):
        pace.close(closed(Outcome.RESOLVED))
    pace.close(closed(Outcome.VOID))
    assert pace.rate(60) == "6 a minute, about 10 min left"
    usd[0] = 2.0
    assert pace.rate(60) == "6 a minute, about 2 min and $2.00 left, by the budget's dollars"
    assert pace.rate(6) == "6 a minute, about 60 s and $1.00 left"
    clock[0] += 3540
    assert pace.rate(60).startswith("6 an hour")
    assert pace.money == "$2.00 of $4.00"


def test_a_resumed_run_has_a_pace_at_once_and_its_hours_count(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    before = Work(evaluations=30, seconds=3600.0, usd=3.0)
    settings = Settings.model_validate({"budget": {"hours": 1.5}})
    pace = Pace(settings, lambda: Bill(usd=3.0), before)
    assert pace.rate(60) == "30 an hour, about 30 min and $1.50 left, by the budget's hours"
    pace.begin()
    clock[0] += 60
    for _ in range(5):
        pace.close(closed(Outcome.UNRESOLVED))
    assert pace.rate(5) == "5 a minute, about 60 s left", "its own pace, once there is one"


def test_what_earlier_sessions_did_is_in_the_archive(grown: Path) -> None:
    with Archive.open(grown) as archive:
        history, about = archive.history(), archive.about
        found = work_before(history, about, Bill(3, 100, 0, 20, 0.5))
    search = [row for row in history.evaluations if row.decision is not None]
    assert found.evaluations == sum(row.passed or row.failed for row in search)
    assert (found.seconds, found.usd, found.tokens) == (1.25 * 3600, 0.5, 120)
