"""The statistics' laws."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special, stats

from archive import (
    EVALUATION_OUTCOMES,
    Agent,
    ArchiveError,
    Evaluation,
    Outcome,
    Tally,
    best_belief,
    clades,
    probability_better,
    ranking,
    tallies,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def agent(id: int, parent: int | None) -> Agent:
    return Agent(id, parent, f"{id:040x}", f"{id:040x}", str(id), NOW)


def evaluation(id: int, of: int, outcome: Outcome | None, decision: int | None = 0) -> Evaluation:
    return Evaluation(id, decision, of, "repair", "search", f"t{id}", 0, 0, NOW, outcome)


@st.composite
def runs(draw: st.DrawFn) -> tuple[list[Agent], list[Evaluation]]:
    size = draw(st.integers(1, 25))
    agents = [agent(0, None)] + [agent(i, draw(st.integers(0, i - 1))) for i in range(1, size)]
    outcomes = st.one_of(st.none(), st.sampled_from(sorted(EVALUATION_OUTCOMES)))
    rows = draw(st.lists(st.tuples(st.integers(0, size - 1), outcomes, st.sampled_from([None, 7])), max_size=60))
    return agents, [evaluation(i, *row) for i, row in enumerate(rows)]


@given(runs(), st.randoms(use_true_random=False))
def test_asking_twice_or_in_another_order_changes_nothing(
    run: tuple[list[Agent], list[Evaluation]], rng: random.Random
) -> None:
    agents, rows = run
    first = clades(agents, rows)
    assert clades(agents, rows) == first
    shuffled_agents, shuffled_rows = rng.sample(agents, len(agents)), rng.sample(rows, len(rows))
    again = clades(shuffled_agents, shuffled_rows)
    assert again == first
    assert list(again) == list(first) == sorted(first)
    assert tallies(shuffled_rows) == tallies(rows)


@given(runs())
def test_whole_is_own_and_the_childrens_wholes(run: tuple[list[Agent], list[Evaluation]]) -> None:
    agents, rows = run
    found = clades(agents, rows)
    for clade in found.values():
        whole = clade.own
        for child in clade.children:
            assert agents[child].parent == clade.agent
            whole += found[child].whole
        assert clade.whole == whole
        assert clade.descendants == sum(1 + found[child].descendants for child in clade.children)
    counted = [row for row in rows if row.decision is not None and row.outcome not in (None, Outcome.VOID)]
    assert found[0].whole.n == len(counted)
    assert found[0].whole.passed == sum(row.outcome is Outcome.RESOLVED for row in counted)
    assert found[0].descendants == len(agents) - 1


def test_only_closed_evidence_that_a_policy_asked_for_counts() -> None:
    rows = [
        evaluation(0, 3, Outcome.RESOLVED),
        evaluation(1, 3, Outcome.TIMED_OUT),
        evaluation(2, 3, Outcome.VOID),
        evaluation(3, 3, None),
        evaluation(4, 3, Outcome.RESOLVED, decision=None),
    ]
    assert tallies(rows) == {3: Tally(1, 1)}
    assert tallies(rows, counts=lambda row: row.decision is None) == {3: Tally(1, 0)}


@pytest.mark.parametrize("outcome", sorted(EVALUATION_OUTCOMES))
def test_every_outcome_is_a_pass_a_failure_or_no_evidence(outcome: Outcome) -> None:
    expected = {Outcome.RESOLVED: {0: Tally(1, 0)}, Outcome.VOID: {}}.get(outcome, {0: Tally(0, 1)})
    assert tallies([evaluation(0, 0, outcome)]) == expected


def test_a_lineage_of_100_000_generations() -> None:
    agents = [agent(i, i - 1 if i else None) for i in range(100_000)]
    rows = [evaluation(i, i, Outcome.RESOLVED) for i in range(0, 100_000, 10)]
    found = clades(agents, rows)
    assert found[0].whole == Tally(10_000, 0)
    assert found[99_990].whole == Tally(1, 0)
    assert found[0].descendants == 99_999


def test_a_broken_tree_is_an_error_and_not_a_wrong_sum() -> None:
    with pytest.raises(ArchiveError, match="parent of agent 2"):
        clades([agent(0, None), agent(2, 1)], [])
    with pytest.raises(ArchiveError, match="parent of agent 1"):
        clades([agent(0, None), agent(1, 1)], [])
    with pytest.raises(ArchiveError, match="agent 5, which is not"):
        clades([agent(0, None)], [evaluation(0, 5, Outcome.RESOLVED)])


def test_a_tallys_numbers() -> None:
    assert Tally().mean is None
    assert Tally().belief == 0.5
    assert Tally().interval() == pytest.approx((0.025, 0.975))
    tally = Tally(7, 3)
    assert (tally.n, tally.mean, tally.belief) == (10, 0.7, 8 / 12)
    assert tally.interval(0.9) == pytest.approx(stats.beta(8, 4).interval(0.9))
    assert tally.quantile(0.25) == pytest.approx(stats.beta(8, 4).ppf(0.25))
    assert tally + Tally(1, 2) == Tally(8, 5)


def test_best_belief_prefers_evidence_then_age() -> None:
    agents = [agent(i, 0 if i else None) for i in range(4)]
    assert best_belief(agents, {}) is None
    assert best_belief(agents, {2: Tally(0, 3)}) == 2
    # Two of two is not yet as good as eighteen of twenty.
    assert best_belief(agents, {1: Tally(2, 0), 2: Tally(18, 2)}) == 2
    assert best_belief(agents, {1: Tally(2, 0), 2: Tally(18, 2)}, epsilon=0.9) == 1
    # An agent never measured does not win by its prior.
    assert best_belief(agents, {0: Tally(1, 9)}) == 0
    assert best_belief(agents[::-1], {1: Tally(3, 1), 3: Tally(3, 1)}) == 1


def test_best_belief_breaks_equal_quantiles_by_evidence() -> None:
    # At epsilon = 0 every quantile is 0, so only the tie rules are left.
    agents = [agent(i, 0 if i else None) for i in range(3)]
    assert best_belief(agents, {0: Tally(9, 0), 1: Tally(0, 12), 2: Tally(6, 6)}, epsilon=0.0) == 1


@given(runs())
def test_best_belief_is_the_largest_quantile(run: tuple[list[Agent], list[Evaluation]]) -> None:
    agents, rows = run
    own = tallies(rows)
    best = best_belief(agents, own)
    assert (best is None) == (not own)
    if best is not None:
        assert own[best].quantile(0.25) == max(tally.quantile(0.25) for tally in own.values())


@given(st.lists(st.tuples(st.integers(0, 400), st.integers(0, 400)), min_size=1, max_size=30), st.integers(1, 30))
def test_ranking_is_by_quantile_then_evidence_then_age(own: list[tuple[int, int]], k: int) -> None:
    """Of few results and of many: tallies are told apart in two ways."""
    passed, failed = np.array(own).T
    scores = special.betaincinv(1 + passed, 1 + failed, 0.25)
    measured = [id for id, pair in enumerate(own) if sum(pair)]
    expected = sorted(measured, key=lambda id: (-scores[id], -sum(own[id]), id))
    assert ranking(passed, failed, 0.25, k) == tuple(expected[:k])


counts = st.builds(Tally, st.integers(0, 40), st.integers(0, 40))


@given(counts, counts)
def test_being_better_is_a_probability_and_its_complement(first: Tally, second: Tally) -> None:
    p = probability_better(first, second)
    assert 0 <= p <= 1
    assert p + probability_better(second, first) == pytest.approx(1)
    assert probability_better(first, first) == pytest.approx(0.5)
    assert probability_better(replace(first, passed=first.passed + 1), second) >= p - 1e-12


def test_being_better_agrees_with_simulation_and_survives_large_counts() -> None:
    rng = np.random.default_rng(1)
    draws = rng.beta(13, 9, 400_000) > rng.beta(8, 14, 400_000)
    assert probability_better(Tally(12, 8), Tally(7, 13)) == pytest.approx(draws.mean(), abs=0.004)
    assert probability_better(Tally(60_000, 40_000), Tally(59_000, 41_000)) == pytest.approx(1, abs=1e-4)
    assert probability_better(Tally(50_000, 50_000), Tally(50_000, 50_000)) == pytest.approx(0.5, abs=1e-6)
