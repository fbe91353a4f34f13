"""What a run can be expected to give: by hand from made-up traces."""

from __future__ import annotations

import pytest

from evolve.simulate import Checkpoint, Trace
from evolve.simulate.prospect import prospect
from evolve.statistics.power import found, room


def ended(gain: float) -> Trace:
    point = Checkpoint(50, 5, 6, 1.0, 1.0, 3, 0.4 + gain, 0.4 + gain, 0.9)
    return Trace(0, 0.4, 0, "the budget is spent", (point,))


def test_by_hand():
    seen = prospect([ended(gain) for gain in (-0.1, 0.0, 0.1, 0.2)], tasks=100, base=0.4, flips=0.1)
    assert (seen.runs, seen.tasks, seen.better) == (4, 100, 0.5)
    assert seen.gain == pytest.approx(0.05)
    assert (seen.low, seen.high) == (pytest.approx(-0.07), pytest.approx(0.17))
    assert seen.shown == pytest.approx((found(100, 0.1, 0.1) + found(100, 0.2, 0.1)) / 4)


def test_no_gain_is_larger_than_there_is_room_for():
    seen = prospect([ended(0.5)], tasks=20, base=0.7, flips=0.2)
    assert seen.shown == pytest.approx(found(20, room(0.7, 0.2), 0.2))
