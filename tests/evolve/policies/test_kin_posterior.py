"""The joint posterior: against brute force where that can be done, and laws that hold on any tree."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special

from evolve.events import Measured, Opened, Tried, Voided
from evolve.moves import Evaluate, Expand
from evolve.policies.kin_posterior import DRIFT, UNTHREADED, Posterior, Prior, answer

NARROW = Prior(easiness=1.5, first=1.0)


def posterior(parents, verdicts, tasks, prior=None, **more):
    """Agents with these parents (of 1, 2, ...) are born; then (agent, task, passed) are seen."""
    made = Posterior(tasks, prior, **more)
    for event in events(parents, verdicts):
        made.seen(event)
    return made


def events(parents, verdicts):
    for child, parent in enumerate(parents, 1):
        yield Opened(Expand(parent), 0)
        yield Tried(parent, child, 1.0, 0.0)
    for agent, task, passed in verdicts:
        yield Opened(Evaluate(agent, task), 0)
        yield Measured(agent, task, passed, 1.0, 0.0)


def probability(at, prior):
    return prior.lapse + (1 - 2 * prior.lapse) * special.ndtr(at / math.sqrt(prior.noise))


@st.composite
def runs(draw, agents=5, tasks=4, verdicts=12):
    """Parents, verdicts (each pair at most once), and how many tasks there are."""
    n, m = draw(st.integers(1, agents)), draw(st.integers(1, tasks))
    parents = [draw(st.integers(0, child - 1)) for child in range(1, n)]
    pairs = st.tuples(st.integers(0, n - 1), st.integers(0, m - 1))
    asked = draw(st.lists(pairs, unique=True, max_size=verdicts))
    return parents, [(agent, task, draw(st.booleans())) for agent, task in asked], m


@given(mean=st.floats(-8, 8), variance=st.floats(0.01, 20), passed=st.booleans())
def test_one_verdict_is_taken_in_exactly(mean, variance, passed):
    prior = Prior()
    first, second = answer(mean, variance, passed, prior)
    at = mean + np.linspace(-12, 12, 20_001) * math.sqrt(variance)
    chance = probability(at, prior)
    weight = np.exp(-((at - mean) ** 2) / (2 * variance)) * (chance if passed else 1 - chance)
    weight /= weight.sum()
    exact = float((weight * at).sum())
    assert mean + variance * first == pytest.approx(exact, abs=1e-6)
    assert variance - variance**2 * second == pytest.approx(float((weight * (at - exact) ** 2).sum()), rel=1e-6)


@given(run=runs(verdicts=0))
def test_before_evidence_kin_covary_by_their_kinship(run):
    parents, _, tasks = run
    prior = Prior()
    made = posterior(parents, [], tasks, prior)
    ancestors = [{0}]
    for child, parent in enumerate(parents, 1):
        ancestors.append(ancestors[parent] | {child})
    steps = np.array([len(line) - 1 for line in ancestors])
    shared = np.array([[len(a & b) - 1 for b in ancestors] for a in ancestors])
    wanted = prior.first**2 + prior.step**2 * shared + prior.drift_sd**2 * np.outer(steps, steps)
    places = made.agents.place
    assert made.covariance[np.ix_(places, places)] == pytest.approx(wanted)
    assert made.ability()[0] == pytest.approx(prior.drift * steps)
    assert made.covariance[DRIFT, places] == pytest.approx(prior.drift_sd**2 * steps)


def drawn(run, prior, draws=400_000):
    """Posterior means and deviations of abilities and easiness, by weighted draws from the prior."""
    parents, verdicts, tasks = run
    rng = np.random.default_rng(7)
    drift = rng.normal(prior.drift, prior.drift_sd, draws)
    ability = [rng.normal(0, prior.first, draws)]
    for parent in parents:
        ability.append(ability[parent] + drift + rng.normal(0, prior.step, draws))
    easiness = rng.normal(0, prior.easiness, (tasks, draws))
    weight = np.ones(draws)
    for agent, task, passed in verdicts:
        chance = probability(ability[agent] + easiness[task], prior)
        weight *= chance if passed else 1 - chance
    weight /= weight.sum()
    values = np.array([*ability, *easiness, drift])
    means = values @ weight
    return means, np.sqrt(((values - means[:, None]) ** 2) @ weight)


@pytest.mark.parametrize(
    "run",
    [
        ([], [(0, 0, True), (0, 1, True), (0, 2, False)], 3),
        ([0, 0], [(0, 0, True), (0, 1, False), (1, 0, True), (1, 1, True), (2, 0, False)], 2),
        ([0, 1, 2, 3], [(0, 0, False), (1, 0, False), (2, 0, True), (3, 0, True), (4, 0, True), (4, 1, True)], 2),
        ([0, 0, 1, 1], [(agent, task, (agent + task) % 3 > 0) for agent in range(5) for task in range(4)], 4),
        ([0, 0, 0, 0], [(agent, task, agent == 0) for agent in range(5) for task in range(4)], 4),
    ],
)
def test_small_trees_against_brute_force(run):
    parents, verdicts, tasks = run
    made = posterior(parents, verdicts, tasks, NARROW)
    means, deviations = drawn(run, NARROW)
    ability, easiness = made.ability(), made.marginals(made.tasks)
    found = np.array([*ability[0], *easiness[0], made.mean[DRIFT]])
    variance = np.array([*ability[1], *easiness[1], made.covariance[DRIFT, DRIFT]])
    assert (np.abs(found - means) < 0.1 * deviations).all()
    assert np.sqrt(variance) == pytest.approx(deviations, rel=0.06)


@given(run=runs(verdicts=20))
@settings(max_examples=60)
def test_two_folds_over_the_same_events_are_equal_and_one_more_verdict_makes_a_difference(run):
    parents, verdicts, tasks = run
    made = posterior(parents, verdicts, tasks)
    assert made == posterior(parents, verdicts, tasks)
    assert made != posterior(parents, [*verdicts, (0, 0, True)], tasks)
    made.seen(Opened(Evaluate(0, 0), 9))
    assert made != posterior(parents, verdicts, tasks)
    made.seen(Voided(Evaluate(0, 0)))
    for kind in ("agents", "tasks"):
        other = posterior(parents, verdicts, tasks)
        found, wanted = (each.marginals(getattr(each, kind)) for each in (made, other))
        assert np.array_equal(found, wanted)
    assert made.pending == []


@given(run=runs(verdicts=20))
@settings(max_examples=60)
def test_the_covariance_stays_one(run):
    made = posterior(*run)
    size = made.agents.first + made.agents.n
    covariance = made.covariance[:size, :size]
    assert covariance == pytest.approx(covariance.T, abs=1e-12)
    assert np.linalg.eigvalsh(covariance).min() > -1e-9


@given(run=runs(verdicts=20), seed=st.integers(0, 99))
@settings(max_examples=60)
def test_names_of_tasks_do_not_matter_and_failures_mirror_successes(run, seed):
    parents, verdicts, tasks = run
    prior = Prior(drift=0)
    ability, variance = posterior(*run, prior).ability()
    names = np.random.default_rng(seed).permutation(tasks)
    renamed = posterior(parents, [(agent, int(names[task]), passed) for agent, task, passed in verdicts], tasks, prior)
    assert renamed.ability()[0] == pytest.approx(ability, abs=1e-9)
    mirrored = posterior(parents, [(agent, task, not passed) for agent, task, passed in verdicts], tasks, prior)
    assert mirrored.ability()[0] == pytest.approx(-ability, abs=1e-9)
    assert mirrored.ability()[1] == pytest.approx(variance, abs=1e-9)


class Dense:
    """The same posterior the plain way: whole matrices by name, a new one for each event."""

    def __init__(self, tasks, prior):
        self.prior, self.tasks = prior, tasks
        self.mean = np.array([prior.drift, *[0.0] * tasks, 0.0])
        self.covariance = np.diag([prior.drift_sd**2, *[prior.easiness**2] * tasks, prior.first**2])

    def born(self, parent):
        above = [DRIFT, 1 + self.tasks + parent]
        beside = self.covariance[:, above].sum(axis=1)
        own = beside[above].sum() + self.prior.step**2
        self.mean = np.append(self.mean, self.mean[above].sum())
        self.covariance = np.block([[self.covariance, beside[:, None]], [beside[None], np.array([[own]])]])

    def measured(self, agent, task, passed):
        asks = np.zeros(len(self.mean))
        asks[[1 + task, 1 + self.tasks + agent]] = 1
        with_answer = self.covariance[:, asks > 0].sum(axis=1)
        first, second = answer(float(asks @ self.mean), float(asks @ with_answer), passed, self.prior)
        self.mean = self.mean + first * with_answer
        self.covariance = self.covariance - second * np.outer(with_answer, with_answer)


def told_both(tasks, happened):
    """A posterior and a dense one that were told the same: a birth is its parent, a verdict its three values."""
    made, dense = Posterior(tasks), Dense(tasks, Prior())
    for what in happened:
        if isinstance(what, tuple):
            for event in events([], [what]):
                made.seen(event)
            dense.measured(*what)
        else:
            made.seen(Opened(Expand(what), 0))
            made.seen(Tried(what, made.agents.n, 1.0, 0.0))
            dense.born(what)
    return made, dense


def assert_equal(made, dense):
    places = [DRIFT, *made.tasks.place, *made.agents.place]
    assert made.mean[places] == pytest.approx(dense.mean, abs=1e-9)
    assert made.covariance[np.ix_(places, places)] == pytest.approx(dense.covariance, abs=1e-9)
    assert np.array_equal(made.variance, made.covariance.diagonal())


@given(data=st.data(), tasks=st.integers(1, 5), size=st.integers(1, 25))
@settings(max_examples=30)
def test_the_incremental_posterior_is_the_dense_one(data, tasks, size):
    agents, happened = 1, []
    for _ in range(size):
        agent = data.draw(st.integers(0, agents - 1))
        if data.draw(st.booleans()):
            happened.append(agent)
            agents += 1
        else:
            happened.append((agent, data.draw(st.integers(0, tasks - 1)), data.draw(st.booleans())))
    assert_equal(*told_both(tasks, happened))


def test_it_is_so_where_there_are_too_many_places_for_one_thread():
    """The covariance is then changed a block of columns at a time, and it grows on the way."""
    rng = np.random.default_rng(0)
    happened = []
    for child in range(1, 70):
        happened.append(int(rng.integers(child)))
        happened.append((int(rng.integers(child + 1)), int(rng.integers(70)), bool(rng.integers(2))))
    made, dense = told_both(70, happened)
    assert len(made.mean) ** 2 > 2 * UNTHREADED
    assert_equal(made, dense)


def test_an_easy_task_says_less_than_a_hard_one():
    """Four agents solve task 0 and none of them task 1; then one of two newcomers solves 0, the other 1."""
    known = [(agent, task, task == 0) for agent in range(1, 5) for task in (0, 1)]
    mean, _ = posterior([0] * 6, [*known, (5, 0, True), (6, 1, True)], 2).ability()
    assert mean[6] > mean[5] + 0.1


@pytest.mark.parametrize("change", [-0.8, 0.5])
def test_that_children_are_worse_or_better_is_learned(change):
    """A line of ten, each on all of 30 tasks."""
    rng = np.random.default_rng(1)
    easiness = rng.normal(0, 3, 30)
    verdicts = [
        (agent, task, bool(rng.random() < 1 / (1 + math.exp(-change * (agent - 5) - easiness[task]))))
        for agent in range(10)
        for task in range(30)
    ]
    made = posterior(range(9), verdicts, 30)
    assert abs(made.mean[DRIFT] - change) < 0.25
    assert made.covariance[DRIFT, DRIFT] < 0.3 * Prior().drift_sd ** 2


def test_who_makes_room_changes_nothing_for_the_others():
    rng = np.random.default_rng(3)
    parents = [int(rng.integers(child)) for child in range(1, 9)]
    full, tight = posterior(parents, [], 5), posterior(parents, [], 5, seats=8)
    here = np.flatnonzero(tight.agents.place >= 0)
    assert len(here) == 8
    for event in events([], [(int(agent), int(rng.integers(5)), bool(rng.integers(2))) for agent in here]):
        full.seen(event)
        tight.seen(event)
    for a, b in zip(full.ability(), tight.ability(), strict=True):
        assert a[here] == pytest.approx(b[here], abs=1e-9)


@pytest.mark.parametrize("older", [0, 0.3])
def test_with_too_few_seats_it_is_near_the_joint_posterior_of_all(older):
    """Agents are measured as they are born, and a share of the verdicts is about older ones, at rest or not."""
    rng = np.random.default_rng(5)
    ability, easiness = [0.0], rng.normal(0, 3, 30)
    full, tight = Posterior(30), Posterior(30, seats=20)
    for child in range(1, 80):
        parent = int(rng.integers(child))
        ability.append(ability[parent] + rng.normal(0, 0.6))
        happened = [Opened(Expand(parent), 0), Tried(parent, child, 1.0, 0.0)]
        for _ in range(8):
            agent, task = int(rng.integers(child)) if rng.random() < older else child, int(rng.integers(30))
            passed = bool(rng.random() < 1 / (1 + math.exp(-ability[agent] - easiness[task])))
            happened += [Opened(Evaluate(agent, task), 0), Measured(agent, task, passed, 1.0, 0.0)]
        for event in happened:
            full.seen(event)
            tight.seen(event)
    (mean, _), (near, variance) = full.ability(), tight.ability()
    errors = [np.sqrt(np.mean((each - each.mean() - ability + np.mean(ability)) ** 2)) for each in (mean, near)]
    assert np.corrcoef(mean, near)[0, 1] > 0.9
    assert errors[1] < 1.2 * errors[0] < np.std(ability)
    assert (variance > 0).all()


def test_of_more_tasks_than_seats_the_rest_still_count():
    made = posterior([0], [(0, task, True) for task in range(6)], 6, seats=2)
    mean, variance = made.marginals(made.tasks)
    assert (made.tasks.place >= 0).sum() == 2
    assert (mean > 0.5).all() and (variance < Prior().easiness ** 2).all()
    ability, _ = made.ability()
    assert ability[0] > posterior([0], [(0, task, True) for task in range(2)], 6, seats=2).ability()[0][0]


def test_more_agents_than_there_was_room_for_at_first():
    made = posterior([0] * 150, [(agent, 0, agent % 2 > 0) for agent in range(151)], 1)
    mean, variance = made.ability()
    assert len(mean) == 151
    assert mean[1::2].min() > mean[2::2].max()
    assert (variance > 0).all()
