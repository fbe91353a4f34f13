"""What a fleet is asked for on the command line, and what its servers are started with."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from evolve.vllm import FleetError, Plan, family_of, gpu_groups, name_of, own_arguments, parsers, replica_count
from evolve.vllm.plan import OPTIONAL, arguments, environment, read_plan, write_plan

PLAN = Plan("demo", "owner/model", "process", "/bin/vllm")


@pytest.mark.parametrize(
    ("text", "groups"),
    [
        ("0", ((0,),)),
        ("0,1", ((0,), (1,))),
        ("0-1,2-3", ((0, 1), (2, 3))),
        (" 4-7 , 2", ((4, 5, 6, 7), (2,))),
    ],
)
def test_groups_of_gpus(text: str, groups: tuple[tuple[int, ...], ...]) -> None:
    assert gpu_groups(text) == groups


@pytest.mark.parametrize("text", ["", "a", "0;1", "1-", "3-1", "0,0", "0-2,2-3", "-1"])
def test_what_is_no_list_of_gpus_is_refused(text: str) -> None:
    with pytest.raises(FleetError, match="--gpus"):
        gpu_groups(text)


def test_replicas_are_as_many_as_groups() -> None:
    assert replica_count(None, ()) == 1
    assert replica_count(3, ()) == 3
    assert replica_count(None, gpu_groups("0,1")) == 2
    assert replica_count(2, gpu_groups("0-1,2-3")) == 2
    with pytest.raises(FleetError, match=r"--gpus names 2 group\(s\) of GPUs for --replicas 3"):
        replica_count(3, gpu_groups("0,1"))


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("Qwen/Qwen3-Coder-30B-A3B-Instruct", "qwen3-coder-30b-a3b-instruct"),
        ("/models/My Model!/", "my-model-"),
        ("a/" + "x" * 60, "x" * 40),
    ],
)
def test_a_fleet_is_named_after_its_model(model: str, name: str) -> None:
    assert name_of(model) == name


def test_a_model_without_a_usable_name_needs_one() -> None:
    with pytest.raises(FleetError, match="give one with --name"):
        name_of("owner/模型")


def test_a_name_cannot_lead_out_of_the_folder() -> None:
    for name in ("../x", "a/b", "", "-a", "A"):
        with pytest.raises(FleetError, match="cannot be a fleet's name"):
            _ = replace(PLAN, name=name).folder


def test_parsers_are_the_user_s_else_the_family_s() -> None:
    coder = family_of("Qwen/Qwen3-8B")
    assert parsers("m", coder, None, None) == ("hermes", "qwen3")
    assert parsers("m", coder, "qwen3_xml", "none") == ("qwen3_xml", None)
    assert parsers("m", coder, "none", None) == (None, "qwen3")
    assert parsers("m", None, "hermes", None) == ("hermes", None)
    with pytest.raises(FleetError, match=r'--tool-parser none and set protocol = "fenced"'):
        parsers("owner/unknown", None, None, "qwen3")


def test_arguments_are_those_that_the_version_knows() -> None:
    assert arguments(PLAN, 0, ("--uds", "/s")) == ["owner/model", "--served-model-name", "demo", "--uds", "/s"]
    known = replace(PLAN, known=frozenset(OPTIONAL))
    assert arguments(known, 0, ()) == [
        *("owner/model", "--served-model-name", "demo"),
        *("--allowed-media-domains", "none.invalid"),
        *("--shutdown-timeout", "30"),
        *("--disable-access-log-for-endpoints", "/health,/metrics,/ping"),
    ]


def test_parsers_length_group_and_the_user_s_words_are_arguments() -> None:
    plan = replace(
        PLAN, tool_parser="hermes", reasoning_parser="qwen3", max_model_len=4096, gpus=((0,), (2, 3)), extra=("--x",)
    )
    assert arguments(plan, 1, ())[3:] == [
        *("--enable-auto-tool-choice", "--tool-call-parser", "hermes"),
        *("--reasoning-parser", "qwen3"),
        *("--max-model-len", "4096"),
        *("--tensor-parallel-size", "2"),
        "--x",
    ]
    assert "--tensor-parallel-size" not in arguments(plan, 0, ())


def test_the_key_travels_in_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    variables = environment(PLAN, "secret")
    assert variables["VLLM_API_KEY"] == "secret"
    assert variables["CLADE_VLLM_FLEET"] == str(tmp_path / "clade" / "vllm" / "demo")


@pytest.mark.parametrize(
    ("word", "cure"),
    [
        ("--port", "Clade decides it itself"),
        ("--api-key=x", "Clade decides it itself"),
        ("--served_model_name", "use --name"),
        ("--tool-call-parser", "use --tool-parser"),
    ],
)
def test_words_that_would_work_against_ours_are_refused(word: str, cure: str) -> None:
    assert own_arguments(("--seed", "1")) == ("--seed", "1")
    with pytest.raises(FleetError, match=cure):
        own_arguments((word, "1"))


def test_a_plan_is_read_as_it_was_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    plan = replace(PLAN, gpus=((0, 1), (2, 3)), replicas=2, extra=("--seed", "1"), known=frozenset({"--uds"}))
    assert read_plan("demo") is None
    plan.folder.mkdir(parents=True)
    write_plan(plan)
    assert read_plan("demo") == plan
    (plan.folder / "plan.json").write_text("{}")
    with pytest.raises(FleetError, match="end the fleet with `clade vllm down demo`"):
        read_plan("demo")
