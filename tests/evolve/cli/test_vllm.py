"""`clade vllm` as a user types it, on real processes that stand in for vLLM."""

from __future__ import annotations

import importlib
import json
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from evolve.cli import main
from evolve.cli.fleet_table import current, total
from evolve.vllm import Fleet, Load, Plan, Replica, names, read_fleet, stop, supervised
from evolve.vllm.registry import write_fleet, write_whole

STAND_IN = Path(__file__).parents[1] / "vllm" / "stand_in.py"
COMMAND = importlib.import_module("evolve.cli.vllm")


@pytest.fixture
def vllm(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """The stand-in as a program, and a state folder of the test's own."""
    program = tmp_path / "vllm"
    program.write_text(f"#!{sys.executable}\n{STAND_IN.read_text()}")
    program.chmod(0o755)
    folder = Path(tempfile.mkdtemp(prefix="fleets-"))
    monkeypatch.setenv("XDG_STATE_HOME", str(folder))
    yield program
    for name in names():
        if (folder / "clade" / "vllm" / name / "plan.json").exists():
            stop(name, lambda _: None)
    shutil.rmtree(folder)


@pytest.fixture
def clade():
    """Runs `clade vllm …` in this process."""
    return lambda *words: CliRunner(env={"COLUMNS": "80"}).invoke(main, ["vllm", *map(str, words)])


def test_a_fleet_is_started_shown_and_ended(vllm: Path, clade) -> None:
    done = clade(
        "up", "owner/Qwen3-Coder-30B", "--executable", vllm, "--replicas", 2, "--name", "coder", "--", "--seed", 7
    )
    assert done.exit_code == 0, done.output
    assert "coder is ready: 2 replicas, 4,096 tokens of context, tool calls by qwen3_xml" in done.stdout
    assert 'in run.toml: solve = "vllm:coder"' in done.stdout
    assert "is of the family Qwen3-Coder: tool calls by qwen3_xml" in done.stderr
    assert "replica 1: ready" in done.stderr

    shown = clade("status")
    assert shown.exit_code == 0
    assert "coder  owner/Qwen3-Coder-30B" in shown.stdout
    assert "sum  2 of 2" in shown.stdout
    assert max(map(len, shown.stdout.splitlines())) <= 80

    fleet = read_fleet("coder")
    assert fleet is not None
    told = clade("status", "coder", "--json").stdout
    assert fleet.key not in told
    (document,) = json.loads(told)["fleets"]
    assert document["supervised"] is True
    assert document["protocol"] == "tools"
    assert [replica["state"] for replica in document["replicas"]] == ["ready", "ready"]
    assert document["total"]["running"] == 0

    assert "replica 1: ready" in clade("logs", "coder").stdout
    assert '"--seed", "7"]' in clade("logs", "coder", 1).stdout
    assert clade("logs", "coder", 1, "-n", 1).stdout.count("\n") == 1
    assert "the fleet coder has no replica 7: they are numbered 0 to 1" in clade("logs", "coder", 7).stderr

    ended = clade("down", "coder")
    assert ended.exit_code == 0
    assert "coder has ended" in ended.stdout
    assert clade("status").stdout == "no fleet runs on this machine; start one: clade vllm up MODEL\n"
    assert "replica 1: ready" in clade("logs", "coder").stdout  # the logs stay


def test_without_a_parser_the_fenced_protocol_is_named(vllm: Path, clade) -> None:
    done = clade("up", "owner/unheard-of", "--executable", vllm, "--tool-parser", "none")
    assert done.exit_code == 0, done.output
    assert "no tool calls" in done.stdout
    assert '[providers.vllm.models."unheard-of"] protocol = "fenced"' in done.stdout


def test_a_start_that_fails_says_why_and_where_to_look(vllm: Path, clade, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STAND_IN_FAIL", "no such weights")
    done = clade("up", "owner/Qwen2.5-1B", "--executable", vllm)
    assert done.exit_code == 1
    assert "replica 0: it exited with 1: ValueError: no such weights; gave up after 2 failures" in done.stderr
    assert "`clade vllm logs qwen2.5-1b 0`" in done.stderr
    shown = clade("status")
    assert "0: it exited with 1: ValueError: no such weights" in shown.stdout
    assert "qwen2.5-1b has been given up" in shown.stderr


def test_ctrl_c_ends_the_waiting_and_not_the_fleet(vllm: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STAND_IN_LOAD", "60")
    # A shell that runs the tests in the background lets its children ignore the signal of Ctrl-C.
    heed = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    program = heed + "from evolve.cli import main; main()"
    waiting = subprocess.Popen(
        [sys.executable, "-c", program, "vllm", "up", "owner/Qwen2.5-1B", "--executable", str(vllm)],
        stderr=subprocess.PIPE,
        text=True,
    )
    assert waiting.stderr is not None
    for line in waiting.stderr:
        if "replica 0: starting" in line:
            break
    waiting.send_signal(signal.SIGINT)
    assert "the fleet goes on starting; see `clade vllm status qwen2.5-1b`" in waiting.stderr.read()
    assert waiting.wait() == 130
    waiting.stderr.close()
    assert supervised("qwen2.5-1b")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ("owner/unheard-of", "--executable", "VLLM"),
            "no family of models in the table has a name like owner/unheard-of",
        ),
        (("zai-org/GLM-4.6", "--executable", "VLLM"), "has no --tool-call-parser glm45; it has: hermes"),
        (("a/qwen3-8b", "--executable", "/nowhere/vllm"), "there is no program /nowhere/vllm: install vllm"),
        (("a/qwen3-8b",), "needs GPUs: name them, such as --gpus 0"),
        (("a/qwen3-8b", "--gpus", "x"), "--gpus x is not a list such as 0,1"),
        (("a/qwen3-8b", "--gpus", "0", "--replicas", "2"), "--gpus names 1 group(s) of GPUs for --replicas 2"),
        (("a/qwen3-8b", "--executable", "VLLM", "--name", "A/B"), "'A/B' cannot be a fleet's name"),
        (("a/qwen3-8b", "--executable", "VLLM", "--", "--port", "1"), "--port cannot be handed on to vllm"),
    ],
)
def test_what_cannot_be_started_is_refused_in_one_sentence(
    vllm: Path, clade, words: tuple[str, ...], said: str
) -> None:
    done = clade("up", *(str(vllm) if word == "VLLM" else word for word in words))
    assert done.exit_code == 1
    assert said in done.stderr
    assert done.stderr.splitlines()[-1].startswith("clade: ")
    assert names() == []


@pytest.mark.parametrize(
    "words",
    [
        ("--executable", "v", "--engine", "docker"),
        ("--executable", "v", "--image", "i"),
        ("--engine", "process", "--image", "i"),
        ("--engine", "podman"),
        ("--replicas", "0"),
    ],
)
def test_options_that_exclude_one_another_are_wrong_usage(vllm: Path, clade, words: tuple[str, ...]) -> None:
    assert clade("up", "a/qwen3-8b", *words).exit_code == 2


@pytest.mark.parametrize("words", [("status", "nobody"), ("down", "nobody"), ("logs", "nobody")])
def test_a_fleet_that_is_not_there_is_named(vllm: Path, clade, words: tuple[str, ...]) -> None:
    done = clade(*words)
    assert done.exit_code == 1
    assert done.stderr.startswith("clade: there is no ")
    assert "fleet nobody; `clade vllm status` lists" in done.stderr


def test_a_crashed_supervisor_is_noticed(vllm: Path, clade) -> None:
    plan = Plan("demo", "owner/model", "process", str(vllm))
    plan.folder.mkdir(parents=True)
    write_whole(plan.folder / "key", "k")
    write_fleet(
        Fleet("demo", "owner/\x1b[31mmodel", "demo", "k", None, (Replica(0, "http://127.0.0.1:1", state="ready"),))
    )
    shown = clade("status", "demo")
    assert "nobody looks after demo now: its `clade vllm up` again takes over what runs" in shown.stderr
    assert "\x1b" not in shown.stdout
    assert json.loads(clade("status", "--json").stdout)["fleets"][0]["supervised"] is False


def test_the_sum_is_of_what_is_told_now() -> None:
    now = time.time()
    loads = (
        Load(3, 1, 0.5, 100.0, 0.9, now),
        Load(1, 0, None, 50.0, 0.7, now - 5),
        Load(9, 9, 1.0, 9.0, 1.0, now - 999),
    )
    replicas = tuple(Replica(index, "", state="ready", load=load) for index, load in enumerate(loads))
    fleet = Fleet("demo", "m", "demo", "k", None, replicas)
    summed = total(fleet, now)
    assert summed is not None
    assert (summed.running, summed.waiting, summed.kv_use, summed.generated_per_second) == (4, 1, 0.5, 150.0)
    assert summed.prefix_hit_rate == pytest.approx(0.8)
    assert current(replicas[2], now) is None
    assert total(Fleet("demo", "m", "demo", "k", None, ()), now) is None


def test_gpus_are_wanted_where_all_replicas_would_take_the_first() -> None:
    COMMAND.needs_gpus(1, False, True, None)
    COMMAND.needs_gpus(4, True, True, None)
    COMMAND.needs_gpus(4, False, False, "an/image-for-cpus")
