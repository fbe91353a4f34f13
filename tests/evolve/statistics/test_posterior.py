"""The skill of every agent: the fit against brute force, births that break, and intervals that hold what they say."""

from datetime import UTC, datetime

import numpy as np
import pytest
from scipy import special

from archive import Archive, Decision, Outcome
from evolve.policies import DGM, HGM, Kin
from evolve.policies.kin_posterior import Prior
from evolve.simulate import Plan, Simulation, World, WorldSettings, preset
from evolve.statistics.births import BROKEN, LOSS, log_birth
from evolve.statistics.posterior import fit, skills, skills_of, verdicts_of

NARROW = Prior(easiness=1.5, first=1.0)
TREES = [
    ([-1], [(0, 0, 1), (0, 1, 1), (0, 2, 0)], 3),
    ([-1, 0, 1, 2, 3], [(0, 0, 0), (1, 0, 0), (2, 0, 1), (3, 0, 1), (4, 0, 1), (4, 1, 1)], 2),
    ([-1, 0, 0, 0, 0], [(agent, task, agent == 0) for agent in range(5) for task in range(4)], 4),
]


def drawn(parents, verdicts, tasks, prior, draws=400_000):
    """Means and deviations by weighted draws from the prior, in the fit's order."""
    rng = np.random.default_rng(7)
    drift, ability = rng.normal(prior.drift, prior.drift_sd, draws), []
    for parent in parents:
        first = rng.normal(0, prior.first, draws)
        ability.append(first if parent < 0 else ability[parent] + drift + rng.normal(0, prior.step, draws))
    easiness = rng.normal(0, prior.easiness, (tasks, draws))
    weight = np.ones(draws)
    for agent, task, passed in verdicts:
        at = (ability[agent] + easiness[task]) / np.sqrt(prior.noise)
        weight *= prior.lapse + (1 - 2 * prior.lapse) * special.ndtr(at if passed else -at)
    weight /= weight.sum()
    values = np.array([drift, *easiness, *ability])
    means = values @ weight
    return means, np.sqrt(((values - means[:, None]) ** 2) @ weight)


@pytest.mark.parametrize("tree", TREES)
def test_small_trees_against_brute_force(tree):
    parents, verdicts, tasks = tree
    found = fit(parents, tasks, verdicts_of(verdicts), NARROW)
    means, deviations = drawn(parents, verdicts, tasks, NARROW)
    assert (np.abs(found.mean - means) < 0.05 * deviations).all()
    assert np.sqrt(found.covariance.diagonal()) == pytest.approx(deviations, rel=0.04)


def test_the_order_of_verdicts_does_not_matter():
    parents, verdicts, tasks = TREES[2]
    there, back = (fit(parents, tasks, verdicts_of(each)) for each in (verdicts, verdicts[::-1]))
    assert there.mean == pytest.approx(back.mean, abs=1e-9)


def test_how_much_children_differ_and_tasks_differ_is_learned():
    rng = np.random.default_rng(0)
    learned = []
    for step, spread in ((0.2, 0.3), (1.5, 3.5)):
        ability = [0.0, *rng.normal(0, step, 15)]
        easiness = rng.normal(0, spread, 30)
        rows = [(a, t, rng.random() < special.expit(ability[a] + easiness[t])) for a in range(16) for t in range(30)]
        learned.append(fit([-1] + [0] * 15, 30, verdicts_of(rows)).prior)
    assert learned[0].step < 0.7 < 0.9 < learned[1].step
    assert learned[0].easiness < 1.5 < 2.5 < learned[1].easiness
    assert fit([-1], 2, verdicts_of([]), NARROW).prior == NARROW


def test_the_density_of_births():
    at = np.linspace(-40, 10, 200_001)
    density = np.exp(log_birth(at, np.array(0.5)))
    cell = at[1] - at[0]
    assert density.sum() * cell == pytest.approx(1, abs=1e-6)
    assert (density * at).sum() * cell == pytest.approx(-BROKEN * LOSS, abs=1e-6)
    wanted = 0.25 + BROKEN * 2 * LOSS**2 - (BROKEN * LOSS) ** 2
    assert (density * at**2).sum() * cell - (BROKEN * LOSS) ** 2 == pytest.approx(wanted, abs=1e-4)


def test_a_child_with_two_failures_may_be_broken():
    """Its interval reaches far below what a normal one would, and it is hardly the best."""
    rows = [(0, task, task < 10) for task in range(20)] + [(1, 2, False), (1, 3, False)]
    verdicts = verdicts_of(rows)
    found = fit([-1, 0], 20, verdicts)
    parent, child = skills_of(found, [-1, 0], 20, verdicts, np.random.default_rng(0))
    mean, deviation = found.mean[22], found.covariance[22, 22] ** 0.5
    normal = special.expit(mean - 1.96 * deviation + found.mean[1:21]).mean()
    assert child.low < normal - 0.05
    assert parent.low < 0.5 < parent.high
    assert parent.p_best + child.p_best == pytest.approx(1)
    assert child.p_best < 0.3


def test_of_a_run_all_evidence_of_the_search_split_counts(tmp_path):
    tasks = [f"task-{n}" for n in range(6)]
    now = datetime.now(UTC)
    with Archive.create(tmp_path / "run") as archive:
        archive.add_seed({"__main__.py": b""}, "shape-0")
        before = skills(archive.history(), tasks, benchmark="repair")
        outcomes = {"search": Outcome.RESOLVED, "sealed": Outcome.UNRESOLVED}
        for number, (split, outcome) in enumerate(outcomes.items()):
            for task in tasks:
                decision = Decision(number * 10 + tasks.index(task), "hgm", "evaluate", 0, task, "{}", now)
                row = archive.open_evaluation(
                    decision, agent=0, benchmark="repair", split=split, task=task, attempt=0, seed=1
                )
                archive.close_evaluation(row.id, outcome, reason="because")
            history = archive.history()
            found = skills(history, tasks, benchmark="repair")
            assert found[0].mean > before[0].mean + 0.2
            assert found[0].p_best == 1
            assert found == skills(history, tasks, benchmark="repair")
        assert skills(archive.history(), tasks, benchmark="other")[0] == before[0]


def covered_by(policy, settings, plan, seeds, draws):
    """Over all agents of these runs: the share of intervals that hold true skill, and the number of agents; of the
    chosen ones, how far off skill is on average, and how far off the raw mean is."""
    covered, off = [], []
    for seed in seeds:
        rng = np.random.default_rng(seed)
        run = Simulation(World(settings, seed), policy, plan, lambda _, rng=rng: rng)
        run.run()
        view = run.board.view()
        agents, tasks = np.nonzero(view.verdict >= 0)
        verdicts = verdicts_of(zip(agents, tasks, view.verdict[agents, tasks], strict=True))
        parents, n = view.parent.tolist(), settings.tasks
        found = skills_of(fit(parents, n, verdicts), parents, n, verdicts, np.random.default_rng(0), draws)
        truth = [run.world.skill_search(agent) for agent in range(view.agents)]
        covered += [each.low <= skill <= each.high for each, skill in zip(found, truth, strict=True)]
        best = policy.best(view)
        off.append((found[best].mean - truth[best], view.own(best).passed / view.own(best).n - truth[best]))
    return np.mean(covered), len(covered), np.mean(off, axis=0)


@pytest.mark.parametrize("policy", [HGM(), Kin()], ids=["hgm", "kin"])
def test_intervals_cover_true_skill_whatever_policy_asked(policy):
    plan = Plan(evaluations=120, workers=1)
    share, _, (adjusted, _) = covered_by(policy, WorldSettings(tasks=20, sealed=10), plan, range(4), 200)
    assert 0.86 <= share < 1
    assert abs(adjusted) < 0.1


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("world", ["swe", "polyglot"])
def test_intervals_are_calibrated_in_runs_of_800(world):
    """Of all agents of twelve runs, four of each policy, some 600: an interval's true share is known to 2 points."""
    found = [
        covered_by(policy, preset(world).settings, Plan(), range(300, 304), 400) for policy in (HGM(), Kin(), DGM())
    ]
    assert 0.93 <= sum(share * agents for share, agents, _ in found) / sum(agents for _, agents, _ in found) <= 0.98
    adjusted, raw = np.mean([off for _, _, off in found], axis=0)
    assert abs(adjusted) < 0.03
    assert raw > abs(adjusted)
