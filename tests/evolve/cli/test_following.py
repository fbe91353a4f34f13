"""Skills worked out beside the loop: one piece of work at a time, and never more than a share of the time."""

from __future__ import annotations

import threading

import pytest

from archive import History
from evolve.cli.following import Following
from evolve.cli.live import follow
from evolve.settings import Settings
from evolve.statistics.posterior import Skill

SKILLS = {0: Skill(0.5, 0.4, 0.6, 1.0)}


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The monotonic clock, to be set by a test: a list whose last item is the time."""
    times = [100.0]
    monkeypatch.setattr("evolve.cli.following.time.monotonic", lambda: times[-1])
    return times


def test_one_piece_of_work_at_a_time(clock: list[float]) -> None:
    following, gate, done = Following(), threading.Event(), []

    def work() -> dict[int, Skill]:
        assert gate.wait(10)
        done.append(1)
        return SKILLS

    assert following.skills == {}
    assert following.ask(work)
    assert not following.ask(work), "it is under way"
    gate.set()
    following.wait()
    assert (following.skills, done) == (SKILLS, [1])


def test_no_more_than_its_share_of_the_time(clock: list[float]) -> None:
    following = Following(share=0.1)

    def work() -> dict[int, Skill]:
        clock.append(clock[-1] + 2)  # it takes two seconds
        return SKILLS

    assert following.ask(work)
    following.wait()
    clock.append(102 + 17.9)
    assert not following.ask(work)
    clock.append(102 + 18.0)
    assert following.ask(work)
    following.wait()


def test_rows_are_not_read_in_vain(clock: list[float]) -> None:
    following, gate, looks = Following(), threading.Event(), []

    def work() -> dict[int, Skill]:
        assert gate.wait(10)
        return SKILLS

    def history() -> History:
        looks.append(1)
        return History()

    assert following.ask(work)
    follow(following, history, ("a",), Settings())
    assert looks == [], "others are being worked out"
    gate.set()
    following.wait()
    follow(following, history, ("a",), Settings())
    following.wait()
    assert (looks, following.skills) == ([1], {})


def test_to_wait_for_nothing_is_no_wait() -> None:
    Following().wait()
