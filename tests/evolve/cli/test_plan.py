"""`clade plan`: from given numbers, and from what a run knows."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from archive import Archive, Outcome, tallies
from evolve.cli.plan import plan
from evolve.statistics.power import found, most_flips

Invoke = Callable[..., Result]


def test_from_given_numbers(invoke: Invoke) -> None:
    arguments = ["--evaluations", "206", "--base", "0.4", "--flips", "0.12", "--difference", "0.1"]
    facts = json.loads(invoke(plan, *arguments, "--json").stdout)
    assert (facts["tasks"], facts["agents"], facts["comparisons"], facts["level"]) == (103, 2, 1, 0.05)
    assert found(103, facts["smallest"], 0.12) >= 0.8
    assert found(facts["needed"], 0.1, 0.12) >= 0.8
    assert facts["curve"][0] == {"difference": 0.01, "power": found(103, 0.01, 0.12)}
    text = invoke(plan, *arguments).stdout
    assert "206 evaluations: 2 agents on the same 103 tasks" in text
    assert f"+10 points need {facts['needed']} tasks, {2 * facts['needed']} evaluations" in text


def test_several_agents_share_the_level(invoke: Invoke) -> None:
    facts = json.loads(invoke(plan, "--evaluations", "206", "--agents", "6", "--base", "0.4", "--json").stdout)
    assert (facts["tasks"], facts["comparisons"], facts["level"]) == (34, 5, 0.01)
    assert facts["flips"] == most_flips(0.4)
    assert "clade noise" in facts["flips_from"]


def test_from_what_a_run_knows(grown: Path, invoke: Invoke, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(grown, run)
    with Archive.open(run, write=True) as archive:
        archive.void_open()
        for attempt in (0, 1):
            for task in range(20):
                row = archive.open_evaluation(
                    None, agent=0, benchmark="repair", split="validation", task=f"v{task}", attempt=attempt, seed=1
                )
                passed = task < 8 if attempt else task < 10
                archive.close_evaluation(row.id, Outcome.RESOLVED if passed else Outcome.UNRESOLVED, reason="")
        rows = archive.history().evaluations
    facts = json.loads(invoke(plan, run, "--json").stdout)
    assert facts["evaluations"] == 80  # the budget that its run.toml leaves at the default
    assert facts["flips"] == 0.1
    assert facts["flips_from"] == "measured, 20 tasks"
    seed = tallies(rows, lambda _: True)[0]
    assert facts["base"] == seed.belief
    assert f"{seed.passed} of {seed.n}" in facts["base_from"]
    (run / "run.toml").write_text("[budget]\nevaluations = 300\n")
    assert json.loads(invoke(plan, run, "--json").stdout)["tasks"] == 150
    assert "fewer show less" not in invoke(plan, run).stdout, "nobody noted how many tasks there are"
    with Archive.open(run, write=True) as archive:
        archive.note("tasks", json.dumps([f"HumanEval/{number}" for number in range(90)]))
    assert json.loads(invoke(plan, run, "--json").stdout)["search_tasks"] == 90
    assert "has 90 tasks, and fewer show less than this" in invoke(plan, run).stdout
    (run / "run.toml").write_text("[budget]\nevaluations = 180\n")
    assert "fewer show less" not in invoke(plan, run).stdout


def test_a_run_that_has_not_begun_gives_its_budget(invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_text("[budget]\nevaluations = 100\n")
    assert json.loads(invoke(plan, tmp_path, "--base", "0.2", "--json").stdout)["tasks"] == 50
    refused = invoke(plan, tmp_path)
    assert refused.exit_code == 2
    assert "give --base" in refused.output


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--base", "0.4"], "give --evaluations"),
        (["--evaluations", "3", "--agents", "4", "--base", "0.4"], "does not go round"),
        (["--evaluations", "100", "--base", "0.1", "--flips", "0.4"], "it flips 0.18 at most"),
        (["--evaluations", "100", "--base", "0.9", "--flips", "0", "--difference", "0.3"], "0.10 at most"),
    ],
)
def test_what_cannot_be(invoke: Invoke, arguments: list[str], says: str) -> None:
    result = invoke(plan, *arguments)
    assert result.exit_code == 2
    assert says in result.output


def test_where_nothing_can_be_shown(invoke: Invoke) -> None:
    assert "no difference there can be is found" in invoke(plan, "--evaluations", "8", "--base", "0.4").stdout


def test_what_a_run_can_give_is_simulated(grown: Path, invoke: Invoke) -> None:
    arguments = [grown, "--evaluations", "40", "--runs", "3"]
    result = invoke(plan, *arguments, "--json")
    assert result.exit_code == 0, result.output
    facts = json.loads(result.stdout)
    run = facts["run"]
    assert (run["runs"], run["tasks"]) == (3, facts["tasks"])
    assert -1 < run["low"] <= run["high"] < 1
    assert 0 <= run["better"] <= 1 and 0 <= run["shown"] <= 1
    assert json.loads(invoke(plan, *arguments, "--json").stdout) == facts, "the same seeds give the same"
    text = invoke(plan, *arguments)
    assert (
        "spent on evolution in 3 simulated runs like this one, 40 evaluations give a true gain over agent 0 of"
        in text.stdout
    )
    assert "so they are priors" in text.stderr


def test_simulated_runs_need_a_run(invoke: Invoke) -> None:
    refused = invoke(plan, "--evaluations", "100", "--base", "0.4", "--runs", "3")
    assert refused.exit_code == 2 and "--runs needs a RUN" in refused.output
