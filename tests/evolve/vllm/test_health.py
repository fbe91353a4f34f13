"""When a replica is taken for sick or for hanging, how its throughput is measured, and when it is given up."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from evolve.vllm.health import WELL, Failures, Finding, Look, Pulse
from evolve.vllm.metrics import Reading
from evolve.vllm.plan import Pace

PACE = Pace()


def busy(at: float, generated: int, prompt: int = 0) -> Look:
    return Look(at, 200, Reading(running=2, waiting=1, generated=generated, prompt=prompt))


def test_three_bad_looks_in_a_row_make_it_sick() -> None:
    pulse = Pulse(PACE)
    findings = [pulse.feel(Look(at, health, None)) for at, health in enumerate([503, None, 200, 503, 503])]
    assert findings == [WELL] * 5
    assert pulse.feel(Look(9, 503, None)) == Finding("sick", "/health answered 503 3 times in a row")
    assert pulse.feel(Look(9, None, None)).why == "/health did not answer 4 times in a row"


def test_running_requests_without_a_token_for_two_minutes_make_it_suspect() -> None:
    pulse = Pulse(PACE)
    assert pulse.feel(busy(0, 10)) == WELL
    assert pulse.feel(busy(119, 10)) == WELL
    assert pulse.feel(busy(120, 10)) == Finding("suspect", "2 requests running and no token for 120 s")
    pulse.relieved(130)
    assert pulse.feel(busy(249, 10)) == WELL
    assert pulse.feel(busy(250, 10)).kind == "suspect"


def test_tokens_of_prompts_and_idleness_are_no_hang() -> None:
    pulse = Pulse(PACE)
    pulse.feel(busy(0, 10))
    assert pulse.feel(busy(100, 10, prompt=500)) == WELL
    assert pulse.feel(busy(200, 10, prompt=500)) == WELL
    assert pulse.feel(Look(300, 200, Reading(running=0, generated=10, prompt=500))) == WELL
    assert pulse.feel(busy(410, 10, prompt=500)) == WELL
    assert pulse.feel(busy(420, 10, prompt=500)).kind == "suspect"


def test_metrics_that_do_not_answer_are_no_hang() -> None:
    pulse = Pulse(PACE)
    pulse.feel(busy(0, 10))
    assert pulse.feel(Look(500, 200, None)) == WELL


def test_throughput_is_that_of_the_last_half_minute() -> None:
    pulse = Pulse(PACE)
    assert pulse.load(0) is None
    for at in range(0, 100, 5):
        pulse.feel(busy(at, at * 10 if at < 50 else 500 + (at - 50) * 40))
    load = pulse.load(1234.0)
    assert load is not None
    assert load.generated_per_second == 40
    assert (load.running, load.waiting, load.kv_use, load.at) == (2, 1, None, 1234.0)


def test_a_counter_that_was_set_back_gives_no_negative_rate() -> None:
    pulse = Pulse(PACE)
    pulse.feel(busy(0, 1000))
    pulse.feel(busy(5, 10))
    load = pulse.load(0)
    assert load is not None
    assert load.generated_per_second == 0


def test_waits_double_up_to_a_minute_and_old_failures_are_forgotten() -> None:
    failures = Failures(PACE)
    waits = []
    for at in range(8):
        failures.add(at)
        waits.append(failures.wait)
    assert waits == [2, 4, 8, 16, 32, 60, 60, 60]
    failures.add(8 + PACE.window)
    assert failures.count == 1
    assert failures.wait == 2


def test_two_failures_end_one_that_was_never_ready_and_five_any() -> None:
    failures = Failures(PACE)
    hopes = []
    for at in range(5):
        failures.add(at)
        hopes.append((failures.hopeless(False), failures.hopeless(True)))
    assert hopes == [(False, False), (True, False), (True, False), (True, False), (True, True)]


@given(st.lists(st.tuples(st.floats(0, 100), st.sampled_from([200, 503, None]), st.integers(0, 50))))
def test_one_whose_tokens_grow_is_never_suspected(looks: list[tuple[float, int | None, int]]) -> None:
    pulse, at, tokens = Pulse(PACE), 0.0, 0
    for step, health, more in looks:
        at, tokens = at + step, tokens + more + 1
        finding = pulse.feel(Look(at, health, Reading(running=1, generated=tokens)))
        assert finding.kind != "suspect"
