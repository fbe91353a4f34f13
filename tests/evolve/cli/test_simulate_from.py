"""`clade simulate --from RUN`: on a real archive, and one sentence for a run that is missing or too thin."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from click.testing import Result

from archive import Archive
from evolve.cli import main
from evolve.simulate import WorldSettings

Invoke = Callable[..., Result]
FEW = ["--evaluations", "12", "--workers", "3", "--jobs", "1", "--seeds", "2", "--policy", "uniform", "--policy", "hgm"]


def test_a_world_fitted_to_a_run(grown: Path, invoke: Invoke) -> None:
    result = invoke(main, "simulate", "--from", grown, *FEW, "--json")
    assert result.exit_code == 0, result.output
    (world,) = json.loads(result.stdout)["worlds"]
    assert world["world"] == "from-demo"
    settings = WorldSettings.model_validate(world["settings"])
    with Archive.open(grown) as archive:
        rows = [row for row in archive.history().evaluations if row.benchmark == "repair" and row.split == "search"]
    assert settings.tasks == len({row.task for row in rows})
    assert settings.stillborn > WorldSettings().stillborn * 10 / 28, "18 expansions, one of them stillborn"
    assert "demo says too little, so they are priors" in result.stderr
    assert "times and prices" not in result.stderr, "the run has times of its own"


def test_beside_a_named_world(grown: Path, invoke: Invoke) -> None:
    result = invoke(main, "simulate", "--from", grown, "--world", "flat", *FEW)
    assert result.exit_code == 0, result.output
    titles = [line for line in result.stdout.splitlines() if line.startswith("world ")]
    assert [title.split(",")[0] for title in titles] == ["world flat", "world from-demo"]


def test_a_thin_or_a_missing_run_is_one_sentence(invoke: Invoke, tmp_path: Path) -> None:
    with Archive.create(tmp_path / "new", about={}) as archive:
        archive.add_seed({"__main__.py": b"pass\n"}, "seed")
    (tmp_path / "new" / "run.toml").write_text("")
    thin = invoke(main, "simulate", "--from", tmp_path / "new", *FEW)
    assert thin.exit_code == 1 and len(thin.stderr.splitlines()) == 1
    assert "the run is too thin to fit a world to: 0 verdicts" in thin.stderr
    (tmp_path / "empty").mkdir()
    empty = invoke(main, "simulate", "--from", tmp_path / "empty", *FEW)
    assert empty.exit_code == 2 and len(empty.stderr.splitlines()) == 1 and "run.toml" in empty.stderr
    (tmp_path / "empty" / "run.toml").write_text("")
    never_begun = invoke(main, "simulate", "--from", tmp_path / "empty", *FEW)
    assert never_begun.exit_code == 1 and len(never_begun.stderr.splitlines()) == 1
    assert invoke(main, "simulate", "--from", tmp_path / "nowhere", *FEW).exit_code == 2
