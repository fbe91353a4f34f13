"""A world fitted to a run: what was put in comes out, and what is too thin is said."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest

from archive import INTERRUPTED, Agent, ArchiveError, Bill, Evaluation, Expansion, History, Outcome
from evolve.policies import HGM
from evolve.seeds import generator
from evolve.simulate import Plan, Simulation, World, WorldSettings, simulate
from evolve.simulate.fitting import FEWEST_VERDICTS, Fitted, world_of

NOW = datetime(2026, 1, 1, tzinfo=UTC)
TASKS = [f"task-{number}" for number in range(60)]
PUT_IN = WorldSettings(
    seed_skill=0.3, difficulty_sd=2.5, step_sd=0.5, capacity_mean=0.15, capacity_sd=0.0, saturation=0.0, own_sd=0.3
)


def agents(parents: list[int]) -> tuple[Agent, ...]:
    return tuple(
        Agent(number, None if parent < 0 else parent, "", str(number), str(number), NOW)
        for number, parent in enumerate(parents)
    )


def measured(number: int, agent: int, task: str, outcome: Outcome, **more: object) -> Evaluation:
    row: dict[str, object] = {"seconds": 10.0 if outcome is Outcome.RESOLVED else 40.0, "bill": Bill(usd=0.02)}
    return Evaluation(number, number, agent, "b", "search", task, 0, 0, NOW, outcome=outcome, **(row | more))  # type: ignore[arg-type]


def tried(number: int, outcome: Outcome, **more: object) -> Expansion:
    row: dict[str, object] = {"seconds": 100.0 + number, "bill": Bill(usd=0.5)}
    return Expansion(number, number, 0, "", 0, NOW, outcome=outcome, **(row | more))  # type: ignore[arg-type]


def of_simulated(seed: int, world: WorldSettings = PUT_IN) -> History:
    """A run in the world that was put in, as an archive would have it."""
    rng = generator(seed, "policy")
    run = Simulation(World(world, seed), HGM(), Plan(evaluations=400), lambda _: rng)
    run.run()
    view = run.board.view()
    verdicts = [
        measured(number, int(agent), TASKS[task], Outcome.RESOLVED if view.verdict[agent, task] else Outcome.UNRESOLVED)
        for number, (agent, task) in enumerate(np.argwhere(view.verdict >= 0))
    ]
    return History(agents(view.parent.tolist()), (), tuple(verdicts))


def thin_run(verdicts: int = FEWEST_VERDICTS) -> History:
    outcomes = [Outcome.RESOLVED if number % 3 else Outcome.UNRESOLVED for number in range(verdicts)]
    return History(agents([-1]), (), tuple(measured(n, 0, TASKS[n], each) for n, each in enumerate(outcomes)))


def test_what_was_put_in_comes_out():
    """The mean over some runs: a single one says a child's expected step to about 0.2 logits."""
    rich, poor = (
        [
            world_of(of_simulated(seed, PUT_IN.model_copy(update={"capacity_mean": step})), TASKS, benchmark="b")
            for seed in range(3)
        ]
        for step in (0.3, -0.6)
    )

    def mean(name: str, found: list[Fitted]) -> float:
        return float(np.mean([getattr(each.settings, name) for each in found]))

    assert mean("seed_skill", rich + poor) == pytest.approx(0.3, abs=0.05)
    assert mean("difficulty_sd", rich + poor) == pytest.approx(2.5, abs=0.5)
    assert mean("step_sd", rich + poor) == pytest.approx(0.5, abs=0.2)
    assert mean("capacity_mean", rich) == pytest.approx(0.3, abs=0.25)
    assert mean("capacity_mean", poor) == pytest.approx(-0.6, abs=0.25)


def test_shares_of_failures():
    ends = [Outcome.BORN] * 20 + [Outcome.STILLBORN] * 30 + [Outcome.TIMED_OUT] * 10 + [Outcome.VOID] * 4
    rows = [tried(number, outcome) for number, outcome in enumerate(ends)]
    rows += [tried(99, Outcome.VOID, reason=INTERRUPTED), Expansion(100, 100, 0, "", 0, NOW)]
    history = thin_run()
    history = History(history.agents, tuple(rows), history.evaluations)
    prior, found = WorldSettings(), world_of(history, TASKS, benchmark="b").settings
    usual = 1 - prior.void
    assert found.stillborn / (1 - found.void) == pytest.approx((30 + 10 * prior.stillborn / usual) / 70)
    assert found.crashed / (1 - found.void) == pytest.approx((10 + 10 * prior.crashed / usual) / 70)
    assert found.duplicate / (1 - found.void) == pytest.approx(10 * prior.duplicate / usual / 70)
    assert found.void == pytest.approx((4 + 10 * prior.void) / (64 + FEWEST_VERDICTS + 10))
    assert found.barren <= 1


def test_a_world_bears_as_often_as_a_run_with_many_voids():
    """A void says nothing of the others: in the run half of the attempts that were none bore a child."""
    ends = [Outcome.BORN, Outcome.STILLBORN] * 200 + [Outcome.VOID] * 400
    voids = [measured(900 + number, 0, TASKS[0], Outcome.VOID) for number in range(20)]
    history = thin_run()
    history = History(
        history.agents, tuple(tried(n, outcome) for n, outcome in enumerate(ends)), (*history.evaluations, *voids)
    )
    found = world_of(history, TASKS, benchmark="b").settings
    assert (1 - found.barren) / (1 - found.void) == pytest.approx(0.5, abs=0.02)


def test_times_and_prices_are_the_runs_own():
    history = thin_run(40)
    cached = [
        measured(900 + number, 0, TASKS[40 + number], Outcome.RESOLVED, seconds=0.0, source="x") for number in range(9)
    ]
    history = History(
        history.agents, tuple(tried(n, Outcome.NO_CHANGE) for n in range(11)), (*history.evaluations, *cached)
    )
    found = world_of(history, TASKS, benchmark="b")
    assert not any("times" in clause for clause in found.thin)
    assert found.settings.usd_evaluation == pytest.approx(0.02) and found.settings.usd_expansion == pytest.approx(0.5)
    world = World(found.settings, 0)
    trials = [world.evaluate(0, task) for task in range(60)]
    for passed, seconds in ((True, 10.0), (False, 40.0)):
        assert [trial.seconds for trial in trials if trial.passed is passed] == pytest.approx(
            [seconds] * sum(trial.passed is passed for trial in trials)
        )
    drawn = [world.expand(0).seconds for _ in range(200)]
    assert min(drawn) >= 100 and max(drawn) <= 110 and np.median(drawn) == pytest.approx(105, abs=1)


def test_a_fitted_world_can_be_simulated_and_says_what_is_thin():
    found = world_of(thin_run(), TASKS, benchmark="b")
    assert found.settings.tasks == 60
    assert any("0 births" in clause for clause in found.thin)
    assert any("times and prices (0 expansion" in clause for clause in found.thin)
    assert (found.settings.step_sd, found.settings.timings) == (WorldSettings().step_sd, "swe")
    assert simulate(found.settings, HGM(), Plan(evaluations=10), 0).last.evaluations == 10


@pytest.mark.parametrize("outcome", [Outcome.RESOLVED, Outcome.UNRESOLVED])
def test_a_first_agent_that_solves_all_or_nothing_can_be_fitted(outcome):
    rows = tuple(measured(number, 0, task, outcome) for number, task in enumerate(TASKS))
    found = world_of(History(agents([-1]), (), rows), TASKS, benchmark="b").settings
    assert (found.seed_skill > 0.9) if outcome is Outcome.RESOLVED else (found.seed_skill < 0.1)
    World(found, 0)


def test_too_thin_is_said_in_one_sentence():
    with pytest.raises(ArchiveError, match=r"too thin to fit a world to: 19 verdicts on its search tasks.*takes 20"):
        world_of(thin_run(FEWEST_VERDICTS - 1), TASKS, benchmark="b")
    with pytest.raises(ArchiveError, match="0 verdicts"):
        world_of(thin_run(), TASKS, benchmark="another")


def test_too_large_is_said_in_one_sentence():
    run = thin_run(FEWEST_VERDICTS)
    with pytest.raises(ArchiveError, match=r"too large to fit a world to: .* more than 800 together"):
        world_of(run, (*TASKS, *(f"more-{number}" for number in range(800))), benchmark="b")
