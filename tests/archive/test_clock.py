"""The times of rows: they tell the order of what happened, whatever a machine's clock does."""

from datetime import UTC, datetime, timedelta

import pytest

from archive import Archive, Outcome


@pytest.fixture
def clock(monkeypatch):
    """The machine's clock, to be set by a test: a list whose last item is the time."""
    times = [datetime(2026, 1, 1, 12, tzinfo=UTC)]

    class Clock(datetime):
        @classmethod
        def now(cls, tz=None):
            return times[-1]

    monkeypatch.setattr("archive.memory.datetime", Clock)
    return times


def moves(archive, decide, *numbers):
    """An expansion that gives a child, and an evaluation of it, in order; all their times in the order of writing."""
    told = []
    for number in numbers:
        row = archive.open_expansion(decide("expand", 0), entry="task:a", seed=1)
        told.append(row.opened)
        code = {"__main__.py": b"%d" % number}
        row = archive.close_expansion(row.id, Outcome.BORN, reason="", files=code, shape=f"shape-{number}")
        told += [archive.history().agents[-1].born, row.closed]
        each = archive.open_evaluation(
            decide("evaluate", row.child, "a"), agent=row.child, benchmark="b", split="search", task="a", attempt=0,
            seed=1,
        )  # fmt: skip
        told.append(each.opened)
        told.append(archive.close_evaluation(each.id, Outcome.RESOLVED, reason="").closed)
    return told


def test_times_are_strictly_increasing_even_if_the_clock_is_set_back(tmp_path, clock, decide):
    with Archive.create(tmp_path / "run") as archive:
        told = [archive.add_seed({"__main__.py": b"0"}, "seed").born]
        told += moves(archive, decide, 1)
        clock.append(clock[-1] - timedelta(hours=1))
        told += moves(archive, decide, 2)
    clock.append(clock[-1] - timedelta(days=1))
    with Archive.open(tmp_path / "run", write=True) as archive:
        told += moves(archive, decide, 3)
        clock.append(clock[0] + timedelta(days=1))
        told += moves(archive, decide, 4)
    assert told == sorted(set(told))
    assert told[-5] == clock[-1], "and they are the clock's, as soon as that is later again"
    with Archive.open(tmp_path / "run") as archive:
        rows = archive.history()
    kept = [*(row.born for row in rows.agents), *(row.closed for row in rows.evaluations)]
    assert sorted(kept) == [time for time in told if time in kept]
