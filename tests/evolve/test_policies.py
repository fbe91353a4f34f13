"""Policies: one suite for all, and what is each one's own."""

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from archive import Agent, Tally, best_belief
from evolve.policies import DGM, HGM, Evaluate, Expand, Greedy, Policy, Uniform, View

POLICIES: list[Policy] = [HGM(), DGM(), Greedy(), Uniform()]
TASKS = tuple(f"task-{number}" for number in range(12))


def view(
    own: list[tuple[int, int]],
    parents: list[int | None] | None = None,
    *,
    budget: int = 100,
    evaluations_in_flight: int = 0,
    expansions_in_flight: int = 0,
    failed_in_a_row: int = 0,
    expansion_budget: int = 50,
    tasks: tuple[str, ...] = TASKS,
) -> View:
    """Agents with these (passed, failed), each measured on its first tasks; a star under the seed by default."""
    parents = parents if parents is not None else [None, *([0] * (len(own) - 1))]
    n, measured = len(own), [sum(pair) for pair in own]
    whole = [list(pair) for pair in own]
    for id in reversed(range(1, n)):
        above = whole[parents[id] or 0]
        above[0], above[1] = above[0] + whole[id][0], above[1] + whole[id][1]
    opened = np.array([[column >= done for column in range(len(tasks))] for done in measured])

    def ints(numbers: Iterable[int]) -> np.ndarray:
        return np.array(list(numbers), dtype=np.int64)

    return View(
        tasks=tasks,
        parent=ints(-1 if parent is None else parent for parent in parents),
        children=ints(parents.count(id) for id in range(n)),
        passed=ints(passed for passed, _ in own),
        failed=ints(failed for _, failed in own),
        clade_passed=ints(passed for passed, _ in whole),
        clade_failed=ints(failed for _, failed in whole),
        in_flight=ints([evaluations_in_flight] + [0] * (n - 1)),
        expanding=ints([expansions_in_flight] + [0] * (n - 1)),
        attempts=ints(parents.count(id) for id in range(n)),
        left=opened.sum(axis=1),
        open=opened,
        verdict=np.where(opened, -1, 0).astype(np.int8),
        task_passed=np.zeros(len(tasks), dtype=np.int64),
        task_failed=(~opened).sum(axis=0),
        fold=None,
        evaluations=sum(measured),
        evaluations_in_flight=evaluations_in_flight,
        expansions=n - 1,
        expansions_in_flight=expansions_in_flight,
        failed_in_a_row=failed_in_a_row,
        budget=budget,
        expansion_budget=expansion_budget,
        seconds=np.zeros(2),
        usd=np.zeros(2),
    )


tallies = st.lists(st.tuples(st.integers(0, 8), st.integers(0, 8)), min_size=1, max_size=8)


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.name)
class TestEveryPolicy:
    @given(own=tallies, seed=st.integers(0, 2**32))
    def test_a_choice_depends_on_nothing_but_view_and_generator(self, policy, own, seed):
        first = policy.choose(view(own), np.random.default_rng(seed))
        assert first == policy.choose(view(own), np.random.default_rng(seed))

    @given(own=tallies, seed=st.integers(0, 2**32))
    def test_it_chooses_only_what_is_there(self, policy, own, seed):
        seen = view(own)
        match policy.choose(seen, np.random.default_rng(seed)):
            case Evaluate(agent, task):
                assert task in seen.open_tasks(agent).tolist()
                assert type(agent) is type(task) is int
            case Expand(agent):
                assert 0 <= agent < seen.agents
                assert type(agent) is int

    @given(own=tallies, seed=st.integers(0, 2**32))
    def test_a_spent_budget_ends_it(self, policy, own, seed):
        seen = view(own, budget=sum(map(sum, own)))
        assert policy.choose(seen, np.random.default_rng(seed)) is None

    def test_evaluations_in_flight_count_against_the_budget(self, policy):
        seen = view([(1, 1)], budget=5, evaluations_in_flight=3)
        assert policy.choose(seen, np.random.default_rng(0)) is None

    def test_an_exhausted_expansion_budget_leaves_measuring(self, policy):
        seen = view([(3, 2), (1, 1)], expansion_budget=1)
        assert isinstance(policy.choose(seen, np.random.default_rng(0)), Evaluate)

    def test_a_seed_without_success_is_still_expanded(self, policy):
        seen = view([(0, 10)], tasks=TASKS[:10])
        assert policy.choose(seen, np.random.default_rng(0)) == Expand(0)

    def test_an_agent_without_evidence_is_not_expanded(self, policy):
        seen = view([(0, 0)], evaluations_in_flight=5)
        assert not isinstance(policy.choose(seen, np.random.default_rng(0)), Expand)

    def test_no_best_agent_without_evidence(self, policy):
        assert policy.best(view([(0, 0)])) is None

    def test_the_best_has_evidence_not_only_luck(self, policy):
        assert policy.best(view([(6, 6), (1, 0), (9, 2)])) == 2


class TestBelief:
    @given(own=tallies, k=st.integers(1, 9))
    def test_finalists_are_the_best_the_next_best_and_so_on(self, own, k):
        seen, left, ranked = view(own), dict(enumerate(own)), []
        agents = [Agent(id, None if id == 0 else 0, "c", "t", "s", datetime.now(UTC)) for id in range(len(own))]
        while (best := best_belief(agents, {id: Tally(*pair) for id, pair in left.items()})) is not None:
            ranked.append(best)
            del left[best]
        assert HGM().finalists(seen, k) == tuple(ranked[:k])
        assert HGM().best(seen) == next(iter(ranked), None)


@given(own=tallies, seed=st.integers(0, 2**32))
def test_choosing_leaves_the_view_as_it_was(own, seed):
    seen = view(own)
    for policy in POLICIES:
        policy.choose(seen, np.random.default_rng(seed))
        policy.best(seen)
        policy.finalists(seen, 2)
    assert seen.same(view(own))


class TestWidening:
    @pytest.mark.parametrize(("evaluations", "agents"), [(1, 1), (4, 2), (10, 3), (80, 13), (100, 15)])
    def test_it_expands_iff_n_to_the_alpha_is_at_least_the_size_of_the_tree(self, evaluations, agents):
        own = [(0, evaluations)] + [(0, 0)] * (agents - 1)
        assert HGM().wants_child(view(own)) == (evaluations**0.6 >= agents)
        assert HGM().wants_child(view([*own, (0, 0)])) == (evaluations**0.6 >= agents + 1)

    def test_moves_in_flight_count_on_both_sides(self):
        own = [(0, 4), (0, 0)]
        assert HGM().wants_child(view(own))
        assert not HGM().wants_child(view(own, expansions_in_flight=1))
        assert HGM().wants_child(view(own, expansions_in_flight=1, evaluations_in_flight=3))

    def test_failed_expansions_hold_the_next_one_back(self):
        own = [(0, 4), (0, 0)]
        assert HGM().wants_child(view(own, failed_in_a_row=2))
        assert not HGM().wants_child(view(own, failed_in_a_row=3))
        assert HGM(patience=None).wants_child(view(own, failed_in_a_row=30))

    def test_agents_without_evidence_can_be_let_in(self):
        own = [(0, 4), (0, 0)]
        assert HGM().parents(view(own)).tolist() == [0]
        assert HGM(unmeasured=True).parents(view(own)).tolist() == [0, 1]


def drawn(choose, seen: View) -> Counter:
    """How often each agent is chosen in 400 draws."""
    return Counter(choose(seen, np.arange(seen.agents), np.random.default_rng(seed)) for seed in range(400))


class TestHGM:
    def test_parents_are_drawn_by_their_clade(self):
        """A poor agent with excellent descendants is expanded more often than a fair one without."""
        seen = view([(5, 5), (2, 8), (5, 5), (10, 0)], [None, 0, 0, 1])
        draws = drawn(HGM(cooling=False).parent, seen)
        assert draws[3] > draws[1] > draws[2]

    def test_agents_to_measure_are_drawn_by_their_own_results(self):
        seen = view([(5, 5), (2, 8), (5, 5), (10, 0)], [None, 0, 0, 1])
        draws = drawn(HGM(cooling=False).candidate, seen)
        assert draws[3] > draws[2] > draws[1]

    def test_cooling_sharpens_towards_the_end(self):
        own = [(6, 4), (5, 5)]

        def share(budget: int) -> float:
            return drawn(HGM().parent, view(own, budget=budget))[1] / 400

        assert share(budget=22) < share(budget=10_000)

    def test_draws_follow_the_papers_posterior(self):
        """One draw per agent from Beta(τ(1+S), τ(1+F)), the largest wins; recomputed here by hand."""
        seen = view([(3, 4), (2, 1)], [None, 0], budget=20)
        tau = 20 / (20 - 10)
        expected = np.random.default_rng(7).beta([tau * 6, tau * 3], [tau * 6, tau * 2])
        assert HGM().parent(seen, np.arange(2), np.random.default_rng(7)) == int(np.argmax(expected))


class TestDGM:
    def test_the_seed_is_measured_first(self):
        assert DGM(stages=(3,)).choose(view([(0, 0)]), np.random.default_rng(0)) == Evaluate(0, 0)

    def test_a_further_stage_needs_a_good_first_one(self):
        policy = DGM(stages=(4, 4))
        assert policy.targets(view([(1, 3), (2, 2), (2, 1), (3, 4), (5, 3)])).tolist() == [4, 8, 4, 8, 8]

    def test_a_generation_starts_when_the_last_one_is_measured(self):
        policy = DGM(stages=(2,), generation=2)
        assert isinstance(policy.choose(view([(1, 1)]), np.random.default_rng(0)), Expand)
        assert isinstance(policy.choose(view([(1, 1)], expansions_in_flight=1), np.random.default_rng(0)), Expand)
        assert policy.choose(view([(1, 1)], expansions_in_flight=2), np.random.default_rng(0)) is None
        assert isinstance(policy.choose(view([(1, 1), (0, 0), (0, 0)]), np.random.default_rng(0)), Evaluate)
        waiting = view([(1, 1), (1, 1), (1, 1)], evaluations_in_flight=1)
        assert policy.choose(waiting, np.random.default_rng(0)) is None

    def test_parents_by_score_and_few_children(self):
        """p ∝ σ(10(score − 0.5)) / (1 + children), appendix C.2."""
        seen = view([(5, 5), (8, 2), (2, 8)])
        draws = Counter(DGM().parent(seen, np.random.default_rng(seed)) for seed in range(3000))
        weights = [0.5 / 3, 1 / (1 + np.exp(-3)), 1 / (1 + np.exp(3))]
        for agent, weight in enumerate(weights):
            assert draws[agent] / 3000 == pytest.approx(weight / sum(weights), abs=0.03)

    def test_an_agent_that_solves_all_does_not_end_the_run(self):
        assert DGM().parent(view([(5, 0)]), np.random.default_rng(0)) == 0


class TestBaselines:
    def test_greedy_measures_the_unmeasured_then_the_best(self):
        both = np.arange(2)
        assert Greedy().candidate(view([(1, 1), (0, 0)]), both, np.random.default_rng(0)) == 1
        assert Greedy().candidate(view([(1, 3), (3, 1)]), both, np.random.default_rng(0)) == 1
        assert Greedy().parent(view([(1, 3), (3, 1)]), both, np.random.default_rng(0)) == 1

    def test_uniform_reaches_everybody(self):
        seen = view([(5, 0), (0, 5), (2, 2)])
        assert set(drawn(Uniform().parent, seen)) == {0, 1, 2}
