"""`clade noise`: an agent measured again, really, in boxes with the offline model."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from archive import Archive
from evolve.cli.noise import noise
from evolve.cli.plan import plan

Invoke = Callable[..., Result]
SEED = Path(__file__).parents[3] / "agent_seed"
SETTINGS = """
workers = 2
[benchmark]
name = "repair"
search = 1
validation = 2
sealed = 1
[rollout]
solve_seconds = 3
"""


@pytest.mark.timeout(300)
@pytest.mark.usefixtures("boxes")
def test_every_task_gets_its_verdicts_and_no_more(tmp_path: Path, invoke: Invoke) -> None:
    (tmp_path / "run.toml").write_text(SETTINGS)
    with Archive.create(tmp_path, about={"settings": SETTINGS}) as archive:
        archive.add_seed({path.name: path.read_bytes() for path in SEED.iterdir() if path.is_file()}, "seed")
    facts = json.loads(invoke(noise, tmp_path, "0", "--json").stdout)
    assert (facts["tasks"], facts["verdicts"], facts["repeats"], facts["split"]) == (2, 4, 2, "validation")
    assert facts["low"] <= facts["flips"] <= facts["high"] or facts["flips"] in (0, 1)
    with Archive.open(tmp_path) as archive:
        rows = archive.history().evaluations
    assert sorted((row.task, row.attempt) for row in rows) == sorted(
        (task, attempt) for task in {row.task for row in rows} for attempt in (0, 1)
    )
    assert len({row.seed for row in rows}) == 4
    assert all(row.decision is None and row.split == "validation" for row in rows)
    text = invoke(noise, tmp_path, "0").stdout
    assert "agent 0 on 2 tasks of repair/validation, 4 verdicts" in text
    with Archive.open(tmp_path) as archive:
        assert archive.history().evaluations == rows
    planned = json.loads(invoke(plan, tmp_path, "--base", "0.5", "--json").stdout)
    assert planned["flips_from"] == "measured, 2 tasks"


def test_the_sealed_split_is_refused(tmp_path: Path, invoke: Invoke) -> None:
    result = invoke(noise, tmp_path, "0", "--split", "sealed")
    assert result.exit_code == 2
    assert "would open it" in result.output
