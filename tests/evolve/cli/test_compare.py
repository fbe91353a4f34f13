"""`clade compare`: two agents of a run, of two runs, and one beside itself."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from archive import Archive, Outcome
from evolve.cli.compare import compare, decision
from evolve.statistics.mcnemar import exact
from evolve.statistics.paired import compare as pair
from evolve.statistics.paired import successes
from evolve.statistics.power import Needed

Invoke = Callable[..., Result]


def test_two_agents_of_a_run_on_the_tasks_of_both(grown: Path, invoke: Invoke) -> None:
    facts = json.loads(invoke(compare, grown, "11", "0", "--json").stdout)
    with Archive.open(grown) as archive:
        rows = archive.history().evaluations
    a, b = (successes(rows, agent, "search") for agent in (11, 0))
    common = a.keys() & b.keys()
    paired = facts["paired"]
    assert facts["tasks"] == len(common) == 12
    assert paired["only_a"] == sum(a[task] > b[task] for task in common)
    assert paired["p"] == exact(paired["only_a"], paired["only_b"])
    assert paired["low"] < paired["difference"] < paired["high"]
    assert (facts["a"]["agent"], facts["b"]["agent"], facts["benchmark"], facts["split"]) == (11, 0, "repair", "search")
    assert "flatters" in facts["notes"][0]
    text = invoke(compare, grown, "11", "0").stdout
    assert f"agent 11 {paired['a']['passed']}, agent 0 {paired['b']['passed']}" in text
    assert "exact McNemar p = " in text
    assert "agent 11 was chosen as the best of 14 on these tasks" in text
    assert facts["a"]["raw"]["low"] < facts["a"]["raw"]["mean"] < facts["a"]["raw"]["high"]
    assert facts["b"]["skill"]["low"] < facts["b"]["skill"]["mean"] < facts["a"]["skill"]["mean"]
    assert re.search(r"in the search, agent 0: raw \d+ of \d+, \d+ % \(.*\); skill \d+ % \(.*\)", text)


def test_sealed_results_flatter_nobody(grown: Path, invoke: Invoke) -> None:
    facts = json.loads(invoke(compare, grown, "11", "0", "--split", "sealed", "--json").stdout)
    assert facts["tasks"] == 10
    assert (facts["paired"]["only_a"], facts["paired"]["only_b"], facts["paired"]["p"]) == (4, 0, 0.125)
    assert facts["notes"] == []
    assert facts["decided"] is False
    assert facts["needed"]["tasks"] > 10
    text = invoke(compare, grown, "11", "0", "--split", "sealed").stdout
    assert f"not decided; about {facts['needed']['tasks']} tasks like these" in text


def test_agents_of_two_runs(grown: Path, invoke: Invoke, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(grown, other)
    facts = json.loads(invoke(compare, grown, "11", other, "11", "--json").stdout)
    assert facts["paired"]["difference"] == 0
    assert facts["paired"]["p"] == 1
    assert facts["needed"]["tasks"] is None
    text = invoke(compare, grown, "11", other, "0").stdout
    assert f"agent 0 of {other}" in text
    (other / "run.toml").write_text('[benchmark]\nname = "repair"\nbug_seed = 3\n')
    assert "other benchmark options" in invoke(compare, grown, "11", other, "0").stdout
    (other / "run.toml").write_text('[benchmark]\nname = "polyglot"\n')
    refused = invoke(compare, grown, "11", other, "0")
    assert refused.exit_code == 2
    assert "name one by --benchmark" in refused.output


def test_an_agent_beside_itself_is_its_first_and_second_verdicts(grown: Path, invoke: Invoke, tmp_path: Path) -> None:
    refused = invoke(compare, grown, "11", "11")
    assert refused.exit_code == 2
    assert "`clade noise` measures it twice" in refused.output
    run = tmp_path / "run"
    shutil.copytree(grown, run)
    with Archive.open(run, write=True) as archive:
        archive.void_open()
        for attempt, passed in ((0, 7), (1, 5)):
            for task in range(9):
                row = archive.open_evaluation(
                    None,
                    agent=3,
                    benchmark="repair",
                    split="validation",
                    task=f"v{task}",
                    attempt=attempt,
                    seed=attempt,
                )
                archive.close_evaluation(row.id, Outcome.RESOLVED if task < passed else Outcome.UNRESOLVED, reason="")
    facts = json.loads(invoke(compare, run, "3", "3", "--split", "validation", "--json").stdout)
    assert (facts["tasks"], facts["paired"]["only_a"], facts["paired"]["only_b"]) == (9, 2, 0)
    text = invoke(compare, run, "3", "3", "--split", "validation").stdout
    assert "agent 3 at first 7, agent 3 again 5" in text


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["11"], "name two agents"),
        (["11", "0", "1", "2"], "name two agents"),
        (["11", "nowhere", "2"], "there is no folder nowhere"),
        (["99", "0"], "there is no agent '99'"),
        (["13", "0"], "there is no task of repair/search to compare on: measure both with `clade evaluate`"),
        (["3", "0", "--split", "sealed"], "there is no task of repair/sealed to compare on: `clade final` opens it"),
        (["11", "0", "--benchmark", "polyglot"], "there is no task of polyglot/search"),
    ],
)
def test_mistakes_get_a_sentence(grown: Path, invoke: Invoke, arguments: list[str], says: str) -> None:
    result = invoke(compare, grown, *arguments)
    assert result.exit_code == 2
    assert says in result.output


def test_where_no_number_of_tasks_would_decide_that_is_said() -> None:
    equal = pair({"a": 0.0}, {"a": 0.0})
    assert equal is not None
    said = decision(equal, Needed(tasks=None, low=17, high=2299))
    assert said.startswith(
        "not decided; if they are as equal as they look, 1,000,000 tasks like these would not decide"
    )
    assert said.endswith("if they differ as they still may, 17 to 2,299 would, with power 80 %")
