"""Time of a machine paid by the hour, shared by the calls on it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolve.llm.machine_time import MachineTime


def test_a_call_alone_has_the_machine_to_itself() -> None:
    now = [10.0]
    machine = MachineTime(lambda: now[0])
    entered = machine.enter("mine")
    now[0] += 6.0
    assert machine.leave("mine", entered) == 6.0


def test_calls_under_way_together_share_and_services_do_not() -> None:
    now = [0.0]
    machine = MachineTime(lambda: now[0])
    first = machine.enter("mine")
    now[0] = 4.0
    second, other = machine.enter("mine"), machine.enter("other")
    now[0] = 10.0
    assert machine.leave("mine", first) == 4.0 + 6.0 / 2
    assert machine.leave("other", other) == 6.0
    now[0] = 11.0
    assert machine.leave("mine", second) == 6.0 / 2 + 1.0


@given(st.lists(st.tuples(st.floats(0.001, 100.0), st.booleans()), max_size=60))
def test_all_calls_together_are_charged_the_time_in_which_one_was_under_way(steps: list[tuple[float, bool]]) -> None:
    now = [0.0]
    machine = MachineTime(lambda: now[0])
    flying: list[float] = []
    busy = charged = 0.0
    for seconds, begins in steps:
        if begins or not flying:
            flying.append(machine.enter("mine"))
        else:
            charged += machine.leave("mine", flying.pop(0))
        now[0] += seconds
        busy += seconds if flying else 0.0
    charged += sum(machine.leave("mine", entered) for entered in flying)
    assert charged == pytest.approx(busy)
