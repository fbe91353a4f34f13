"""What a fleet that stands tells, and to whom: one fleet for all these tests, which leave it as it was."""

from __future__ import annotations

from dataclasses import replace

import pytest

from evolve.vllm import FleetError, read_fleet, start, supervised, tail_of


@pytest.fixture(scope="module")
def standing(standing_plan, lab):
    """The fleet as it was when it became ready."""
    start(standing_plan)
    return lab.ready()


def test_a_fleet_is_ready_when_each_replica_has_answered(standing):
    assert [each.index for each in standing.replicas] == [0, 1]
    assert (standing.model, standing.served_name, standing.context_length) == ("owner/Qwen2.5-1B", "demo", 4096)
    assert standing.protocol == "tools"
    first = standing.replicas[0].load
    assert (first.running, first.waiting, first.kv_use, first.prefix_hit_rate) == (0, 0, 0.25, 0.8)
    assert standing.replicas[0].generated == 7  # its proof that it answers
    assert supervised("demo")


def test_nobody_else_can_read_the_key_or_reach_the_socket(standing, standing_plan, lab):
    replica = standing.replicas[0]
    assert len(standing.key) >= 32
    assert standing.key not in repr(standing)
    assert lab.ask(standing) == 200
    assert lab.ask(standing, key="wrong") == 401
    with open(f"/proc/{replica.handle.pid}/cmdline") as file:
        assert standing.key not in file.read()
    assert standing_plan.folder.stat().st_mode & 0o777 == 0o700
    for path in standing_plan.folder.iterdir():
        if path.name != "lock":
            assert path.stat().st_mode & 0o077 == 0, path
        if path.suffix in (".json", ".log"):
            assert standing.key not in path.read_text(), path


def test_each_replica_has_its_own_gpus_and_a_group_works_as_one(standing):
    for index, devices in ((0, "0,1"), (1, "4,5")):
        told = "\n".join(tail_of("demo", index, 50))
        assert f"visible devices: {devices}" in told
        assert '"--tensor-parallel-size", "2"' in told


def test_the_user_s_own_arguments_come_last(standing):
    told = "\n".join(tail_of("demo", 0, 50))
    assert '"--max-model-len", "512", "--tensor-parallel-size", "2", "--seed", "7"]' in told


def test_throughput_and_cache_hits_are_told(standing, lab):
    for _ in range(5):
        lab.ask(standing, replica=1)
    lab.eventually(lambda: read_fleet("demo").replicas[1].generated == 42)
    load = read_fleet("demo").replicas[1].load
    assert load.generated_per_second > 0
    assert load.prefix_hit_rate == 0.8


def test_up_of_what_runs_changes_nothing_and_other_options_are_refused(standing, standing_plan, lab):
    start(standing_plan)
    assert [each.handle for each in lab.ready().replicas] == [each.handle for each in standing.replicas]
    with pytest.raises(FleetError, match="a fleet demo runs already, with other options"):
        start(replace(standing_plan, max_model_len=256))
