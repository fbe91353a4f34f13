"""What a run will need: known answers where moves are alike, honest intervals where they are not."""

from __future__ import annotations

import numpy as np
import pytest

from evolve.forecast import Sample, Used, endings, expansions_to_come, forecast, range_of
from evolve.settings import Settings

ALIKE = [Sample(0.1, 1000, 60.0, True)] * 8
BIRTHS = [Sample(0.5, 5000, 300.0, True, born=True)] * 400
"""So many that the chance of a birth is known: nearly one."""


def settings(**budget: float) -> Settings:
    return Settings.model_validate({"workers": 2, "budget": {"evaluations": 100, **budget}})


def test_alike_moves_have_one_answer() -> None:
    found = forecast(ALIKE, [], settings(expansions=0), Used())
    assert found is not None and found.evaluations == 100
    for draws, answer in ((found.usd, 10.0), (found.tokens, 100_000), (found.hours, 100 * 60 / 3600 / 2)):
        assert draws == pytest.approx(np.full(len(draws), answer))


def test_what_is_done_is_not_needed_again() -> None:
    found = forecast(ALIKE, [], settings(expansions=0), Used(evaluations=70, usd=7.0))
    assert found is not None and range_of(found.usd).middle == pytest.approx(3.0)
    done = forecast(ALIKE, [], settings(expansions=0), Used(evaluations=120))
    assert done is not None and not done.usd.any()


def test_house_faults_are_paid_as_well() -> None:
    half = [Sample(0.1, 1000, 60.0, True), Sample(0.1, 1000, 60.0, False)] * 200
    found = forecast(half, [], settings(expansions=0), Used())
    assert found is not None and range_of(found.usd).middle == pytest.approx(20.0, rel=0.1)


def test_the_tree_takes_as_many_births_as_the_policy_wants() -> None:
    rng = np.random.default_rng(0)
    sure = range_of(expansions_to_come(BIRTHS, settings(), Used(), rng))
    births = int(99**0.6)
    assert births <= sure.middle <= births + 1
    rare = [Sample(0.5, 0, 0.0, True)] * 300 + [Sample(0.5, 0, 0.0, True, born=True)] * 100
    assert range_of(expansions_to_come(rare, settings(expansions=1000), Used(), rng)).middle == pytest.approx(
        births * 4, rel=0.2
    )
    capped = expansions_to_come(rare, settings(expansions=20), Used(expansions=5), rng)
    assert capped.max() == 15
    assert not expansions_to_come(BIRTHS, settings(), Used(agents=births + 1), rng).any()


def test_without_a_measured_expansion_the_stand_in_is_reckoned_with() -> None:
    without = forecast(ALIKE, [], settings(), Used())
    found = forecast(ALIKE, [], settings(), Used(), stand_in=[Sample(1.0, 0, 0.0, True)])
    assert without is not None and found is not None
    assert (found.usd - without.usd) == pytest.approx(found.expansions)


def test_heavy_tails_make_wide_intervals_that_hold_the_truth() -> None:
    """Of 40 measured moves a few cost as much as the rest; the interval must cover what 200 more really cost."""
    rng, covered, wide = np.random.default_rng(1), 0, []
    plan = Settings.model_validate({"budget": {"evaluations": 200, "expansions": 0}})
    for _ in range(60):
        seen, real = rng.pareto(2.5, 40), rng.pareto(2.5, 200).sum()
        found = forecast([Sample(float(usd), 0, 0.0, True) for usd in seen], [], plan, Used())
        assert found is not None
        span = range_of(found.usd)
        covered += span.low <= real <= span.high
        wide.append(span.high / span.low)
    assert covered >= 42, "a nominal 90 % holds in 70 % at the very least, with so few moves and such tails"
    assert min(wide) > 1.2


@pytest.mark.parametrize(
    ("budget", "cap", "reached"),
    [
        ({}, "evaluations", 100),
        ({"usd": 4.0}, "usd", 40),
        ({"usd": 4.0, "tokens": 30_000}, "tokens", 30),
        ({"hours": 0.25}, "hours", 30),
        ({"usd": 4.0, "usd_per_hour": 1.0, "hours": 1.0}, "hours", 10),
        ({"usd": 1000.0}, "evaluations", 100),
    ],
)
def test_which_cap_ends_the_run(budget: dict[str, float], cap: str, reached: float) -> None:
    plan = settings(expansions=0, **budget)
    found = forecast(ALIKE, [], plan, Used())
    assert found is not None
    (only,) = endings(found, plan.budget, Used())
    assert (only.cap, only.probability) == (cap, 1.0)
    assert only.evaluations.middle == pytest.approx(reached, abs=1)


def test_a_budget_that_is_used_up_ends_it_now() -> None:
    plan, used = settings(expansions=0, usd=5.0), Used(evaluations=50, usd=6.0)
    found = forecast(ALIKE, [], plan, used)
    assert found is not None
    (only,) = endings(found, plan.budget, used)
    assert only.cap == "usd" and only.evaluations.middle == 50


def test_nothing_measured_nothing_told() -> None:
    assert forecast([], [], settings(), Used()) is None
    assert forecast([Sample(0.1, 1, 1.0, False)], [], settings(), Used()) is None
