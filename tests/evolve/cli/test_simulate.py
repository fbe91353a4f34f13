"""`clade simulate`: a table, JSON, results that are gone on with, and one sentence for what does not fit."""

from __future__ import annotations

import json
from contextlib import nullcontext

import pytest

from evolve.cli import main
from evolve.cli.simulate import POLICIES
from evolve.simulate import PRESETS, Plan, Study, collect, preset

FEW = ["--evaluations", "12", "--workers", "3", "--jobs", "1"]


@pytest.fixture
def simulate(invoke):
    return lambda *arguments: invoke(main, "simulate", *arguments)


def test_the_table(simulate):
    result = simulate(*FEW, "--seeds", 3, "--policy", "uniform", "--policy", "hgm")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0] == "world swe, 12 evaluations, 3 workers, 3 seeds"
    assert lines[1].split() == ["policy", "true", "skill", "regret", "agents", "hours", "to", "hgm", "beyond", "hgm"]
    assert {line.split()[0] for line in lines[2:4]} == {"hgm", "uniform"}
    assert lines[4].startswith("(first agent)")
    assert "3 of 3" not in result.stdout
    assert "6 of 6 runs simulated" in result.stderr


def test_json_has_everything_with_its_interval(simulate):
    result = simulate(
        *FEW, "--seeds", 3, "--policy", "hgm", "--policy", "dgm", "--world", "flat", "--world", "swe", "--json"
    )
    assert result.exit_code == 0, result.output
    worlds = json.loads(result.stdout)["worlds"]
    assert [each["world"] for each in worlds] == ["flat", "swe"]
    for each in worlds:
        assert each["plan"]["evaluations"] == 12 and each["interval"] == "95 %"
        assert {row["policy"] for row in each["rows"]} == {"hgm", "dgm"} == {made["name"] for made in each["policies"]}
        for row in each["rows"]:
            assert row["runs"] == 3
            assert row["skill"]["low"] <= row["skill"]["mean"] <= row["skill"]["high"]
            assert (row["difference"] is None) == (row["policy"] == "hgm")


def test_every_policy_and_every_world_can_be_named(simulate):
    """All policies by default; and each world at least begins."""
    result = simulate(
        "--evaluations",
        4,
        "--workers",
        2,
        "--jobs",
        1,
        "--seeds",
        1,
        "--json",
        *(word for each in PRESETS for word in ("--world", each.name)),
    )
    assert result.exit_code == 0, result.output
    worlds = json.loads(result.stdout)["worlds"]
    assert [each["world"] for each in worlds] == [each.name for each in PRESETS]
    assert all({row["policy"] for row in each["rows"]} == set(POLICIES) for each in worlds)


def test_results_are_gone_on_with(simulate, tmp_path):
    out = tmp_path / "studies"
    asked = [*FEW, "--policy", "uniform", "--out", out, "--json"]
    first = simulate(*asked, "--seeds", 2)
    assert "2 of 2 runs simulated" in first.stderr
    lines = (out / "swe" / "uniform.jsonl").read_text().splitlines()
    assert len(lines) == 3
    more = simulate(*asked, "--seeds", 3)
    assert "1 of 1 run simulated" in more.stderr
    assert (out / "swe" / "uniform.jsonl").read_text().splitlines()[:3] == lines
    again = simulate(*asked, "--seeds", 3)
    assert again.stderr == "" and again.stdout == more.stdout
    whole = simulate(*FEW, "--policy", "uniform", "--seeds", 3, "--json")
    assert whole.stdout == more.stdout, "kept runs tell the same as fresh ones"
    fewer = simulate(*asked, "--seeds", 2)
    assert fewer.stdout == first.stdout, "and no more seeds are told of than were asked for"


def test_runs_are_told_in_the_order_of_their_seeds(tmp_path):
    """Whatever was made first: a mean's last digit depends on the order of its sum."""
    world = preset("swe")
    study = Study(world.name, world.settings, POLICIES["uniform"](), Plan(evaluations=10))
    for seeds in (range(2, 4), range(4)):
        found = collect([study], seeds, tmp_path, 1, lambda _runs: nullcontext(lambda _done: None))
    assert [trace.seed for trace in found[study.name]] == [0, 1, 2, 3]


def test_policies_can_have_options(simulate, tmp_path):
    """The same policy several ways side by side; what it is called has what differs from the usual, and no more."""
    ways = ["kin", "kin:optimism=3,alpha=.9", "kin:alpha=0.6", "hgm:patience=none"]
    asked = [*FEW, "--seeds", 2, "--out", tmp_path, *(word for way in ways for word in ("--policy", way))]
    result = simulate(*asked, "--json")
    assert result.exit_code == 0, result.output
    (world,) = json.loads(result.stdout)["worlds"]
    assert world["reference"] == "kin"
    labels = {"kin", "kin:alpha=0.9,optimism=3.0", "hgm:patience=none"}
    assert {row["policy"] for row in world["rows"]} == labels
    assert {path.stem for path in (tmp_path / "swe").iterdir()} == labels
    assert [each["optimism"] for each in world["policies"] if each["name"] == "kin"] == [1.0, 3.0]
    agents = {row["policy"]: row["agents"]["mean"] for row in world["rows"]}
    assert agents["kin:alpha=0.9,optimism=3.0"] > agents["kin"], "a wider tree"


def test_seeds_can_be_others(simulate):
    first, other = (
        json.loads(simulate(*FEW, "--policy", "hgm", "--seeds", 1, "--first-seed", seed, "--json").stdout)
        for seed in (0, 10_000)
    )
    assert first["worlds"][0]["rows"][0]["skill"] != other["worlds"][0]["rows"][0]["skill"]


def test_the_list(simulate):
    result = simulate("--list")
    assert result.exit_code == 0
    assert "greedy-trap" in result.stdout and "dgm" in result.stdout


def test_help(simulate):
    result = simulate("--help")
    assert result.exit_code == 0
    for option in ("--world", "--policy", "--seeds", "--evaluations", "--workers", "--out", "--jobs", "--json"):
        assert option in result.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["--world", "swee"], 2, "there is no world called 'swee'; did you mean `swe`?"),
        (["--world", "xyz"], 2, "there is no world called 'xyz'; there are: swe,"),
        (["--policy", "kind"], 2, "there is no policy called 'kind'; "),
        (["--policy", "kin:alpha=2"], 2, "`alpha` of the policy kin cannot be 2: it is a number above 0 and below 1"),
        (["--policy", "kin:cost=time"], 2, "cannot be time: it is one of evaluation, seconds, usd"),
        (["--policy", "kin:patience=-1"], 2, "cannot be -1: it is a whole number at least 0 or none"),
        (["--policy", "kin:optimism=none"], 2, "cannot be none: it is a number at least 0"),
        (["--policy", "kin:optimsm=1"], 2, "the policy kin has no option `optimsm`; did you mean `optimism`?"),
        (["--policy", "sica:name=hgm"], 2, "the policy sica has no option `name`; did you mean `sample`?"),
        (
            ["--policy", "sica:sample"],
            2,
            "'sample' gives no option of the policy sica a value: write OPTION=VALUE, as in sica:sam",
        ),
        (["--policy", "hgm-paper:patience=3"], 2, "hgm-paper has no option `patience`; it has: epsilon, alpha"),
        (["--policy", "mendel:weights=1"], 2, "the policy mendel has no option `weights`; it has: epsilon, alpha,"),
        (["--policy", "sica:sample=3,sample=4"], 2, "the option `sample` of the policy sica is given twice"),
        (["--seeds", "0"], 2, "Invalid value for '--seeds'"),
        (["--workers", "none"], 2, "Invalid value for '--workers'"),
        (["--out", __file__], 2, "is a file"),
    ],
)
def test_what_does_not_fit_is_said_in_a_sentence(simulate, arguments, code, told):
    result = simulate(*FEW, *arguments)
    assert result.exit_code == code
    assert told in result.stderr
    assert "Traceback" not in result.output


def test_another_studys_folder_is_refused(simulate, tmp_path):
    simulate(*FEW, "--policy", "hgm", "--seeds", 1, "--out", tmp_path)
    result = simulate("--evaluations", 13, "--workers", 3, "--policy", "hgm", "--seeds", 1, "--out", tmp_path)
    assert result.exit_code == 2
    assert "name another folder" in result.stderr
