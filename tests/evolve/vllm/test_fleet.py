"""Whole lives of fleets: real supervisors over real servers, crashed, hung, drained, orphaned and taken over."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from http.client import HTTPException

import pytest

from evolve.vllm import FleetError, checked, read_fleet, start, stop, supervised, tail_of
from evolve.vllm.process import alive, start_time
from evolve.vllm.registry import read_supervisor


def quiet(_: str) -> None:
    """Says nothing."""


def log(name="demo"):
    return "\n".join(tail_of(name, None, 1000))


def kill_supervisor(lab):
    supervisor = read_supervisor("demo")
    os.kill(supervisor.pid, signal.SIGKILL)
    lab.eventually(lambda: not alive(supervisor))


@pytest.mark.slow
def test_an_old_version_is_reached_on_the_loopback_and_spared_new_arguments(plan, lab, monkeypatch):
    monkeypatch.setenv("STAND_IN_OLD", "1")
    plan = checked(plan)
    assert plan.known == frozenset()
    start(plan)
    fleet = lab.ready()
    assert fleet.replicas[0].url.startswith("http://127.0.0.1:")
    assert fleet.replicas[0].socket is None
    assert lab.ask(fleet) == 200


@pytest.mark.slow
def test_a_path_too_long_for_a_socket_is_replaced_by_a_port(plan, lab, monkeypatch, state):
    deep = state / ("deep" * 25)
    monkeypatch.setenv("XDG_STATE_HOME", str(deep))
    start(plan)
    try:
        assert lab.ready().replicas[0].url.startswith("http://127.0.0.1:")
    finally:
        stop("demo", quiet)


def test_what_the_version_lacks_is_refused_before_the_start(plan):
    checked(plan)
    with pytest.raises(FleetError, match=r"has no --tool-call-parser glm47; it has: hermes, .*qwen3_xml; take"):
        checked(replace(plan, tool_parser="glm47"))
    with pytest.raises(FleetError, match="has no --reasoning-parser glm45; it has: deepseek_r1, qwen3"):
        checked(replace(plan, reasoning_parser="glm45"))
    with pytest.raises(FleetError, match="cannot be run"):
        checked(replace(plan, program="/nowhere/vllm"))


def test_one_that_ends_is_started_again_and_its_workers_with_it(plan, lab):
    start(plan)
    fleet = lab.ready()
    first = fleet.replicas[0].handle
    assert len(lab.session_of(first.pid)) == 2
    lab.ask(fleet, "/misbehave/exit")
    after = lab.ready(restarts=1).replicas[0]
    assert after.handle != first
    assert lab.session_of(first.pid) == []
    assert after.generated == 14  # its past is not forgotten
    assert "it exited with 3: RuntimeError: CUDA error: an illegal memory access" in log()


@pytest.mark.slow
def test_one_that_was_killed_leaves_no_worker_behind(plan, lab):
    start(plan)
    first = lab.ready().replicas[0].handle
    os.kill(first.pid, signal.SIGKILL)
    lab.ready(restarts=1)
    assert lab.session_of(first.pid) == []
    assert "it was ended by SIGKILL" in log()


@pytest.mark.slow
def test_one_that_answers_503_is_started_again(plan, lab):
    start(plan)
    lab.ask(lab.ready(), "/misbehave/sick")
    lab.ready(restarts=1)
    assert "/health answered 503 3 times in a row" in log()


def test_one_that_hangs_is_started_again(plan, lab):
    start(plan)
    fleet = lab.ready()
    lab.ask(fleet, "/misbehave/hang")
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(lab.ask, fleet)
        lab.ready(restarts=1)
        assert isinstance(waiting.exception(), OSError | HTTPException)  # the server is gone
    assert "it hangs: 1 requests running and no token for" in log()


@pytest.mark.slow
def test_a_long_answer_is_no_hang(plan, lab, monkeypatch):
    """No token for longer than the limit, but it answers another question meanwhile."""
    monkeypatch.setenv("STAND_IN_SLOW", "1.5")
    start(replace(plan, pace=replace(plan.pace, probe=10)))
    fleet = lab.ready()
    assert lab.ask(fleet) == 200
    assert "asking it for a token" in log()
    assert read_fleet("demo").replicas[0].restarts == 0


@pytest.mark.slow
def test_a_failure_of_the_moment_is_got_over(plan, lab, monkeypatch, tmp_path):
    monkeypatch.setenv("STAND_IN_FAIL_ONCE", str(tmp_path / "failed"))
    start(plan)
    assert lab.ready(restarts=1).replicas[0].restarts == 1


@pytest.mark.slow
def test_one_that_never_comes_up_is_given_up_with_the_cause(plan, lab, monkeypatch):
    monkeypatch.setenv("STAND_IN_FAIL", "no such weights")
    start(plan)
    lab.eventually(lambda: not supervised("demo"))
    replica = read_fleet("demo").replicas[0]
    assert replica.state == "dead"
    assert replica.why == "it exited with 1: ValueError: no such weights; gave up after 2 failures"
    monkeypatch.delenv("STAND_IN_FAIL")
    start(plan)  # and can be started again
    lab.ready()


@pytest.mark.slow
def test_one_that_fails_again_and_again_is_given_up(plan, lab):
    start(plan)
    for restarts in range(3):
        lab.ask(lab.ready(restarts=restarts), "/misbehave/exit")
    lab.eventually(lambda: not supervised("demo"))
    assert "gave up after 3 failures" in read_fleet("demo").replicas[0].why


@pytest.mark.slow
def test_one_that_does_not_answer_its_first_question_is_not_ready(plan, lab, monkeypatch):
    monkeypatch.setenv("STAND_IN_MUTE", "1")
    start(plan)
    lab.eventually(lambda: not supervised("demo"))
    assert "the first completion failed: it answered 500:" in read_fleet("demo").replicas[0].why


@pytest.mark.slow
def test_a_start_takes_no_longer_than_it_may_and_tells_how_far_it_is(plan, lab, monkeypatch):
    monkeypatch.setenv("STAND_IN_LOAD", "60")
    start(replace(plan, pace=replace(plan.pace, start=1.0)))
    lab.eventually(lambda: (fleet := read_fleet("demo")) and "50% Completed" in fleet.replicas[0].why)
    lab.eventually(lambda: not supervised("demo"))
    assert "not ready within 1 s (Loading safetensors checkpoint shards: 50% Completed)" in log()


def test_running_requests_are_answered_before_the_end(plan, lab, monkeypatch):
    monkeypatch.setenv("STAND_IN_SLOW", "1")
    start(replace(plan, pace=replace(plan.pace, hang=60)))
    fleet = lab.ready()
    statuses = []
    asking = threading.Thread(target=lambda: statuses.append(lab.ask(fleet)))
    asking.start()
    lab.eventually(lambda: read_fleet("demo").replicas[0].load.running == 1)
    said = []
    stop("demo", said.append)
    asking.join()
    assert statuses == [200]
    assert "replica 0: draining" in said
    assert read_fleet("demo") is None
    assert lab.session_of(fleet.replicas[0].handle.pid) == []
    assert sorted(path.name for path in plan.folder.iterdir()) == ["lock", "replica-0.log", "supervisor.log"]


@pytest.mark.slow
def test_one_that_ignores_sigterm_is_killed_with_its_workers(plan, lab, monkeypatch):
    monkeypatch.setenv("STAND_IN_STUBBORN", "1")
    start(plan)
    pid = lab.ready().replicas[0].handle.pid
    stop("demo", quiet)
    assert lab.session_of(pid) == []


@pytest.mark.slow
def test_a_fleet_that_is_still_starting_can_be_ended(plan, lab, monkeypatch):
    monkeypatch.setenv("STAND_IN_LOAD", "60")
    start(plan)
    handle = lab.eventually(lambda: (fleet := read_fleet("demo")) and fleet.replicas[0].handle)
    stop("demo", quiet)
    assert lab.session_of(handle.pid) == []


def test_the_next_up_takes_over_what_a_crashed_supervisor_left(plan, lab):
    start(plan)
    fleet = lab.ready()
    kill_supervisor(lab)
    assert not supervised("demo")
    assert lab.ask(fleet) == 200  # it serves on
    with pytest.raises(FleetError, match="runs already, with other options; end it with `clade vllm down demo`"):
        start(replace(plan, max_model_len=512))
    start(plan)
    after = lab.ready()
    assert supervised("demo")
    assert after.replicas[0].handle == fleet.replicas[0].handle
    assert after.key == fleet.key
    assert "replica 0: taken over" in log()
    lab.ask(after, "/misbehave/exit")  # and is watched again
    lab.ready(restarts=1)


@pytest.mark.slow
def test_what_died_while_nobody_looked_is_started_again(plan, lab):
    start(plan)
    first = lab.ready().replicas[0].handle
    kill_supervisor(lab)
    os.kill(first.pid, signal.SIGKILL)
    lab.eventually(lambda: not alive(first))
    start(plan)
    lab.eventually(lambda: read_fleet("demo").replicas[0].handle not in (None, first))
    lab.ready()
    assert lab.session_of(first.pid) == []


def test_down_clears_away_after_a_crashed_supervisor(plan, lab):
    start(replace(plan, replicas=2))
    fleet = lab.ready()
    kill_supervisor(lab)
    stop("demo", quiet)
    assert [lab.session_of(each.handle.pid) for each in fleet.replicas] == [[], []]
    assert read_fleet("demo") is None


@pytest.mark.slow
def test_down_ends_what_the_supervisor_could_not_write_down_any_more(plan, lab):
    start(plan)
    fleet = lab.ready()
    kill_supervisor(lab)
    (plan.folder / "fleet.json").unlink()
    stop("demo", quiet)
    assert lab.session_of(fleet.replicas[0].handle.pid) == []


@pytest.mark.slow
def test_down_ends_a_fleet_whose_files_are_damaged(plan, lab):
    start(plan)
    fleet = lab.ready()
    kill_supervisor(lab)
    for file in ("fleet.json", "plan.json"):
        (plan.folder / file).write_text('{"name": ')
    with pytest.raises(FleetError, match=r"fleet\.json is damaged .*; end the fleet with `clade vllm down demo`"):
        read_fleet("demo")
    stop("demo", quiet)
    assert lab.session_of(fleet.replicas[0].handle.pid) == []
    assert read_fleet("demo") is None


@pytest.mark.slow
def test_a_stranger_that_has_inherited_a_number_is_left_alone(plan, lab):
    start(plan)
    lab.ready()
    kill_supervisor(lab)
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True) as stranger:
        try:
            written = json.loads((plan.folder / "fleet.json").read_text())
            written["replicas"][0]["handle"] |= {"pid": stranger.pid, "start": start_time(stranger.pid) - 1}
            (plan.folder / "fleet.json").write_text(json.dumps(written))
            stop("demo", quiet)
            assert stranger.poll() is None
        finally:
            stranger.kill()


def test_a_fleet_that_is_not_there_cannot_be_ended(state):
    with pytest.raises(FleetError, match="there is no fleet nobody; `clade vllm status` lists"):
        stop("nobody", quiet)
