"""The bench of choosing: what it times is a real run's view, and every policy can choose on it."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from evolve.policies import Evaluate, Expand
from evolve.settings import POLICIES
from evolve.state import view_of

SCRIPT = Path(__file__).parents[2] / "examples" / "bench" / "choosing.py"


@pytest.fixture(scope="module")
def bench():
    spec = importlib.util.spec_from_file_location("choosing", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("shape", ["chain", "star", "random", "turns"])
def test_its_board_is_the_plain_recomputation_of_its_rows(bench, shape):
    settings, parents = bench.settings_of("hgm", 60), bench.parents_of(shape, 60)
    board = bench.grown(settings, parents, 0.4)
    assert board.view().same(view_of(bench.rows_of(parents, 0.4), bench.TASKS, settings))


@pytest.mark.parametrize("name", POLICIES)
def test_every_policy_has_something_to_choose(bench, name):
    settings = bench.settings_of(name, 40)
    view = bench.grown(settings, bench.parents_of("random", 40), 0.5).view()
    rng = np.random.default_rng(0)
    assert isinstance(settings.policy.choose(bench.widening(view), rng), Expand)
    assert isinstance(settings.policy.choose(view, rng), Evaluate | Expand)
    assert settings.policy.best(view) is not None
