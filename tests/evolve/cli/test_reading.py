"""The verbs that only look, on a run grown through the archive."""

from __future__ import annotations

import io
import json
import re
import shutil
import unicodedata
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import networkx as nx
import pytest
from click.testing import Result

from archive import Agent, Archive, Decision, Evaluation, History, Outcome, Tally, clades
from evolve.cli.naming import agent_called
from evolve.cli.picture import DEEPEST, layout
from evolve.cli.reading import best, diff, show, status, tree
from evolve.cli.render import count, percent, plot
from evolve.cli.summary import against, best_facts, duration, state_of
from evolve.policies import HGM
from evolve.settings import Settings, load
from evolve.state import view_of
from evolve.statistics.beliefs import beliefs_of, search_tasks

Invoke = Callable[..., Result]

SKILL = ("skill", "95", "%")
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def document(result: Result) -> dict[str, object]:
    assert result.exit_code == 0, result.output
    assert result.stdout.isascii()
    found: dict[str, object] = json.loads(result.stdout)
    return found


def agent(id: int, parent: int | None) -> Agent:
    return Agent(id, parent, f"{id * 7 + 0xABC000:040x}", "0" * 40, str(id), NOW)


def evaluation(id: int, of: int, task: str, outcome: Outcome | None, decision: int | None = 1) -> Evaluation:
    return Evaluation(id, decision, of, "repair", "search", task, 0, 0, NOW, outcome)


def test_status_counts_what_the_rows_say(grown: Path, invoke: Invoke) -> None:
    facts = document(invoke(status, grown, "--json"))
    with Archive.open(grown) as archive:
        history = archive.history()
    search = [row for row in history.evaluations if row.decision is not None]
    assert facts["agents"] == len(history.agents) == 15
    assert facts["expansions"] == 17
    assert facts["expansions_by_outcome"] == {"BORN": 14, "NO_CHANGE": 1, "DUPLICATE": 1, "STILLBORN": 1, "VOID": 1}
    assert facts["evaluations"] == sum(row.passed or row.failed for row in search)
    assert facts["resolved"] == sum(row.passed for row in search)
    assert facts["evaluations_on_request"] == 20
    assert (facts["void"], facts["under_way"]) == (2, 1)
    assert facts["spent_usd"] == history.spent().usd
    assert (facts["state"], facts["hours"], facts["writer"]) == ("interrupted", 1.25, None)
    assert facts["best"]["agent"] == 11
    assert facts["seed"]["agent"] == 0


def test_status_is_calm_at_80_columns(grown: Path, invoke: Invoke) -> None:
    result = invoke(status, grown)
    assert result.exit_code == 0
    assert "interrupted: its process ended with 1 move under way" in result.output
    assert "agent 11" in result.output
    assert_calm(result.output)


def assert_calm(output: str, width: int = 80) -> None:
    """No line too long, none padded, and nothing in it that could steer a terminal."""
    for line in output.split("\n"):
        assert len(line) <= width
        assert line == line.rstrip()
        assert not any(unicodedata.category(char) in ("Cc", "Cf") for char in line)


def test_status_names_the_living_writer(tmp_path: Path, invoke: Invoke) -> None:
    with Archive.create(tmp_path / "run"):
        facts = document(invoke(status, tmp_path / "run", "--json"))
    assert facts["state"] == "running"
    assert re.fullmatch(r"process \d+ on .+", str(facts["writer"]))
    facts = document(invoke(status, tmp_path / "run", "--json"))
    assert (facts["state"], facts["best"], facts["seed"], facts["agents"]) == ("new", None, None, 0)
    assert "nothing was tried yet" in invoke(status, tmp_path / "run").output


def test_the_states_of_a_run() -> None:
    some = History((agent(0, None),), (), (evaluation(1, 0, "t", Outcome.RESOLVED),))
    under_way = History(some.agents, (), (evaluation(1, 0, "t", None),))
    done = {"ending": "the budget of 3 evaluations is spent", "finished": "True"}
    assert state_of(some, done, None) == ("finished", done["ending"])
    assert state_of(some, {"ending": "asked to stop", "finished": "False"}, None) == ("stopped", "asked to stop")
    assert state_of(some, done, "process 3 on host")[0] == "running"
    assert state_of(under_way, done, None)[0] == "interrupted"
    assert state_of(some, {}, None)[0] == "stopped"


def test_tree_draws_every_agent_once_with_both_tallies(grown: Path, invoke: Invoke) -> None:
    result = invoke(tree, grown)
    assert result.exit_code == 0
    lines = result.output.split("\n")
    assert lines[0].split() == ["agent", "own", "raw", "0", "95", "%", "1", *SKILL, "clade", "lost", "born", "of"]
    drawn = [int(found[1]) for line in lines[1:16] if (found := re.match(r"[├└│╴ ]*(\d+)( ★)?  ", line))]
    assert sorted(drawn) == list(range(15))
    with Archive.open(grown) as archive:
        history = archive.history()
    found = clades(history.agents, history.evaluations)
    seed = lines[1].split()
    assert seed[1] == f"{found[0].own.passed}/{found[0].own.n}"
    assert f"{found[0].whole.passed}/{found[0].whole.n}" in lines[1]
    assert sum("★" in line for line in lines[1:16]) == 1
    assert "├╴1  " in result.output
    assert re.search(r" \d+ \(\d+–\d+\) ", lines[1])
    assert_calm(result.output)


def test_tree_has_no_colour_in_a_pipe(grown: Path, invoke: Invoke) -> None:
    assert "\x1b" not in invoke(tree, grown).output


@pytest.mark.parametrize("kind", ["graphml", "json", "newick", "dot"])
def test_tree_for_other_programs(grown: Path, invoke: Invoke, tmp_path: Path, kind: str) -> None:
    result = invoke(tree, grown, "--format", kind)
    assert result.exit_code == 0
    readers = {
        "graphml": lambda text: nx.read_graphml(io.BytesIO(text.encode()), node_type=int).number_of_nodes(),
        "json": lambda text: nx.node_link_graph(json.loads(text), edges="edges").number_of_nodes(),
        "newick": lambda text: text.count("'agent "),
        "dot": lambda text: text.count(" -> ") + 1,
    }
    assert readers[kind](result.stdout) == 15
    assert invoke(tree, grown, "--format", kind, "-o", tmp_path / "out").output == ""
    assert (tmp_path / "out").read_text(encoding="utf-8") == result.stdout


def test_tree_as_text_into_a_file_and_contradictions(grown: Path, invoke: Invoke, tmp_path: Path) -> None:
    assert invoke(tree, grown, "-o", tmp_path / "out").exit_code == 0
    assert (tmp_path / "out").read_text(encoding="utf-8") == invoke(tree, grown).output
    assert len(document(invoke(tree, grown, "--json"))["nodes"]) == 15  # type: ignore[arg-type]
    assert invoke(tree, grown, "--json", "--format", "dot").exit_code == 2


def test_a_long_lineage_is_drawn_within_bounds() -> None:
    agents = [agent(id, id - 1 if id else None) for id in range(3_000)]
    lines = layout(clades(agents, []))
    assert [id for _, id in lines] == list(range(3_000))
    assert max(len(branches) for branches, _ in lines) <= max(2 * DEEPEST, len("⋯ child of 9999: "))
    assert lines[2_000][0] == "⋯ child of 1999: "


def test_branches_connect() -> None:
    agents = [agent(0, None), agent(1, 0), agent(2, 0), agent(3, 1), agent(4, 2)]
    assert layout(clades(agents, [])) == [("", 0), ("├╴", 1), ("│ └╴", 3), ("└╴", 2), ("  └╴", 4)]


def test_show_tells_an_agents_story(grown: Path, invoke: Invoke) -> None:
    result = invoke(show, grown, "3")
    assert result.exit_code == 0
    assert "line       0 → 1 → 3" in result.output
    assert "task:HumanEval/7" in result.output
    assert "Give the model another attempt." in result.output
    assert "+# improvement 3" in result.output
    facts = document(invoke(show, grown, "3", "--json"))
    assert [each["agent"] for each in facts["lineage"]] == [0, 1, 3]  # type: ignore[attr-defined]
    assert facts["children"] == [6, 7]
    assert facts["issue"] == "Give the model another attempt.\nAnd show why."
    assert len(facts["evaluations"]) == 15  # type: ignore[arg-type]
    assert facts["spent_on_evaluations"]["calls"] == 30  # type: ignore[index]


def test_hostile_text_is_shown_and_not_obeyed(grown: Path, invoke: Invoke) -> None:
    result = invoke(show, grown, "0")
    assert result.exit_code == 0
    assert "\\x1b[31mred\\x1b[0m[bold]" in result.output.replace("\n", "")
    assert_calm(result.output, width=200)
    facts = document(invoke(show, grown, "0", "--json"))
    assert facts["failed_expansions"][0]["entry"].startswith("task:\x1b[31m")  # type: ignore[index]


def test_fixed_and_broken_against_the_parent() -> None:
    good, bad, void = Outcome.RESOLVED, Outcome.TIMED_OUT, Outcome.VOID
    rows = [
        evaluation(1, 0, "fixed", bad), evaluation(2, 1, "fixed", good),
        evaluation(3, 0, "broken", good), evaluation(4, 1, "broken", bad),
        evaluation(5, 0, "mixed", bad), evaluation(6, 1, "mixed", bad), evaluation(7, 1, "mixed", good),
        evaluation(8, 0, "void", void), evaluation(9, 1, "void", good),
        evaluation(10, 1, "alone", good), evaluation(11, 2, "other", good), evaluation(12, 0, "other", bad),
    ]  # fmt: skip
    assert against(rows, 1, 0) == (["fixed"], ["broken"])


def test_diff_of_two_and_against_the_parent(grown: Path, invoke: Invoke) -> None:
    alone = invoke(diff, grown, "3")
    assert alone.output == invoke(diff, grown, "1", "3").output
    assert "--- a/__main__.py\n+++ b/__main__.py\n" in alone.output
    assert "-# improvement 3" in invoke(diff, grown, "3", "1").output
    assert invoke(diff, grown, "3", "3").output == ""
    facts = document(invoke(diff, grown, "3", "--json"))
    assert (facts["before"], facts["after"]) == (1, 3)
    assert "+# improvement 3" in str(facts["diff"])
    refused = invoke(diff, grown, "0")
    assert refused.exit_code == 2
    assert "has no parent" in refused.output


def test_best_sets_the_choice_beside_the_seed(grown: Path, invoke: Invoke) -> None:
    facts = document(invoke(best, grown, "--json"))
    assert facts["agent"] == 11
    assert facts["epsilon"] == 0.25
    assert facts["low"] < facts["mean"] < facts["high"]  # type: ignore[operator]
    assert facts["seed"]["agent"] == 0  # type: ignore[index]
    assert 0.99 < facts["probability_better"] <= 1  # type: ignore[operator]
    assert facts["elsewhere"]["best"] == {"repair/sealed": {"passed": 8, "failed": 2}}  # type: ignore[index]
    text = invoke(best, grown).output
    assert "above 99.9 % (exact)" in text
    assert "8 of 10; the seed 4 of 10" in text
    assert "flatters it" in text.replace("\n", " ")
    for epsilon in ("0", "1", "1.5"):
        assert invoke(best, grown, "--epsilon", epsilon).exit_code == 2
    assert document(invoke(best, grown, "--epsilon", "0.9", "--json"))["epsilon"] == 0.9


def test_every_verb_takes_the_run_s_own_policy_for_its_best_agent(grown: Path, invoke: Invoke, tmp_path: Path) -> None:
    """Agent 13 solves six tasks, which everybody solves: of what it looks like, policies think differently."""
    run = tmp_path / "run"
    shutil.copytree(grown, run)
    with Archive.open(run, write=True) as archive:
        archive.void_open()
        number = len(archive.decisions())
        for who in (0, 1, 2, 3, 13):
            for task in (f"easy-{each}" for each in range(6)):
                number += 1
                decision = Decision(number, "hgm", "evaluate", who, task, "{}", NOW)
                row = archive.open_evaluation(
                    decision, agent=who, benchmark="repair", split="search", task=task, attempt=0, seed=1
                )
                archive.close_evaluation(row.id, Outcome.RESOLVED, reason="")
    taken = {}
    for policy in ("hgm", "kin"):
        (run / "run.toml").write_text(f'[policy]\nname = "{policy}"\n')
        settings = load(run)
        with Archive.open(run) as archive:
            history = archive.history()
        expected = settings.policy.best(view_of(history, search_tasks({}, history, "repair"), settings))
        facts, chosen = document(invoke(status, run, "--json")), document(invoke(best, run, "--json"))
        nodes = document(invoke(tree, run, "--json"))["nodes"]
        assert facts["policy"] == chosen["policy"] == policy
        assert facts["best"]["agent"] == chosen["agent"] == expected  # type: ignore[index]
        assert [node["id"] for node in nodes if node["best"]] == [expected]  # type: ignore[attr-defined]
        told = document(invoke(show, run, str(expected), "--json"))
        assert told["skill"] == chosen["skill"] == facts["best"]["skill"]  # type: ignore[index]
        assert {"mean", "low", "high", "p_best"} == chosen["skill"].keys()  # type: ignore[attr-defined]
        taken[policy] = expected
    assert taken == {"hgm": 13, "kin": 11}


def test_a_quantile_is_no_use_where_the_policy_ranks_by_none(grown: Path, invoke: Invoke, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(grown, run)
    (run / "run.toml").write_text('[policy]\nname = "sica"\n')
    refused = invoke(best, run, "--epsilon", "0.5")
    assert refused.exit_code == 2
    assert "sica, ranks agents by no quantile" in refused.output
    assert document(invoke(best, run, "--json"))["epsilon"] is None


def test_a_large_tree_s_raw_scores_are_shown_alone_and_that_is_said(
    grown: Path, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("evolve.cli.reading.QUICK", 100)
    facts = document(invoke(status, grown, "--json"))
    assert facts["best"]["skill"] is None  # type: ignore[index]
    assert "raw scores only" in str(facts["skills_left_out"])
    assert "raw scores only" in invoke(status, grown).output
    assert document(invoke(best, grown, "--json"))["skill"] is not None, "who asks once may wait"


def test_a_run_without_its_settings_file_is_read_by_the_settings_it_began_with(
    grown: Path, invoke: Invoke, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(grown, run)
    before = document(invoke(best, run, "--json"))
    (run / "run.toml").unlink()
    assert document(invoke(best, run, "--json")) == before


def test_best_says_when_it_may_be_chance_and_when_nothing_is_better() -> None:
    agents = (agent(0, None), agent(1, 0))
    rows = [evaluation(n, 0, f"t{n}", Outcome.RESOLVED if n < 3 else Outcome.UNRESOLVED) for n in range(6)]
    rows += [evaluation(n + 6, 1, f"t{n}", Outcome.RESOLVED if n < 4 else Outcome.UNRESOLVED) for n in range(6)]
    facts = believed_facts(agents, rows)
    assert facts is not None
    assert facts["agent"] == 1
    assert any("overlap" in warning for warning in facts["warnings"])
    assert any("`clade final RUN` measures" in warning for warning in facts["warnings"])
    facts = believed_facts(agents, rows[:6])
    assert facts is not None
    assert (facts["agent"], facts["probability_better"]) == (0, None)
    assert facts["warnings"] == ["no other agent is believed to be better than the seed"]
    assert believed_facts(agents, []) is None


def believed_facts(agents: tuple[Agent, ...], rows: list[Evaluation]) -> dict[str, Any] | None:
    history = History(agents, (), tuple(rows))
    return best_facts(history, beliefs_of(history, Settings(policy=HGM()), [f"t{n}" for n in range(6)]))


def test_best_without_evidence(tmp_path: Path, invoke: Invoke) -> None:
    Archive.create(tmp_path / "run").close()
    assert invoke(best, tmp_path / "run").output == "nothing was measured yet\n"
    assert document(invoke(best, tmp_path / "run", "--json"))["agent"] is None


def test_agents_are_named_by_id_or_commit() -> None:
    agents = [agent(id, id - 1 if id else None) for id in range(12)]
    assert agent_called("3", agents).id == 3
    assert agent_called(agents[4].commit, agents).id == 4
    assert agent_called(agents[5].commit.upper()[:40], agents).id == 5
    for name in ("12", "-1", "abc", "0000", "", "zzzz", "٣"):
        with pytest.raises(click.BadParameter):
            agent_called(name, agents)
    with pytest.raises(click.BadParameter, match="begins the commits of agents"):
        agent_called("0000", agents)
    with pytest.raises(click.BadParameter, match="no agents yet"):
        agent_called("0", [])


def test_a_run_that_is_not_there(tmp_path: Path, invoke: Invoke) -> None:
    assert invoke(status, tmp_path / "nothing").exit_code == 2
    result = invoke(status, tmp_path)
    assert "there is no archive" in str(result.exception)
    (tmp_path / "run.toml").write_text("")
    result = invoke(status, tmp_path)
    assert f"has not begun, there is only its run.toml: `clade run {tmp_path}` begins it" in str(result.exception)
    (tmp_path / "agents.git").mkdir()
    result = invoke(status, tmp_path)
    assert "there is no archive" in str(result.exception)


def test_numbers_as_people_read_them() -> None:
    assert [duration(seconds) for seconds in (0, 89, 90, 5_399, 5_400, 172_800)] == [
        "0 s", "89 s", "2 min", "90 min", "1.5 h", "2.0 days",
    ]  # fmt: skip
    assert (percent(None), percent(0.456), percent(0.456, 1)) == ("–", "46 %", "45.6 %")
    assert (count(1, "move"), count(1_000, "move")) == ("1 move", "1,000 moves")


@pytest.mark.parametrize("tally", [Tally(0, 1), Tally(1, 0), Tally(0, 500), Tally(500, 0), Tally(3, 4), Tally(90, 10)])
def test_an_interval_is_drawn_around_its_mean(tally: Tally) -> None:
    drawn = plot(tally)
    assert len(drawn) == 13
    assert drawn.count("●") == 1
    assert drawn.strip(" ").strip("─") == "●"
    assert tally.mean is not None
    assert drawn.index("●") == round(tally.mean * 12)
