"""Thompson sampling: the quick way has the law of the plain one, and never overlooks the largest draw."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special, stats

from evolve.policies import thompson as module
from evolve.policies.thompson import PLAIN, SMALL, bernstein, largest, sub_gaussian, thompson

parameters = st.integers(1, 400).flatmap(
    lambda n: st.tuples(
        st.integers(0, 2**32), st.just(n), st.sampled_from([0.0, 0.5, 0.93, 1.0]), st.sampled_from([1.0, 1.7, 40.0])
    )
)


def tallies(rng, n, mean, most):
    """Results of n agents, from none to `most` each, in proportions around a mean."""
    total = np.floor(most ** rng.uniform(0, 1, n) - 1).astype(np.int64)
    passed = rng.binomial(total, np.clip(rng.normal(mean, 0.05, n), 0, 1))
    return passed, total - passed


@given(parameters)
def test_the_largest_is_the_largest_of_all_quantiles(drawn):
    seed, n, mean, tau = drawn
    rng = np.random.default_rng(seed)
    passed, failed = tallies(rng, n, mean, 100_000)
    a, b, surprise = tau * (1.0 + passed), tau * (1.0 + failed), rng.standard_exponential(n)
    gaps = special.betaincinv(b, a, np.exp(-surprise))
    assert largest(a, b, surprise) == (int(np.argmin(gaps)), gaps.min())
    assert largest(a, b, surprise, gaps.min()) == (None, gaps.min())


@given(st.integers(0, 2**32), st.floats(-3, 4))
def test_the_bounds_are_bounds(seed, scale):
    rng = np.random.default_rng(seed)
    a, b = (np.exp(rng.uniform(-0.5, 12, 200)) for _ in range(2))
    surprise = np.minimum(rng.standard_exponential(200) * np.exp(scale), 100)  # a chance of 1e-44
    value = 1 - special.betaincinv(b, a, np.exp(-surprise))
    assert (sub_gaussian(a, b, surprise) >= value - module.SLACK).all()
    assert (bernstein(a, b, surprise) >= value - module.SLACK).all()


TALLIES = [(3, 3, 560), (5, 3, 60), (2, 0, 1), (280, 16, 1), (300, 20, 1), (600, 38, 1), (0, 0, 1)]
"""Passed, failed, and how many agents have it: shared tallies, and clades too large to be grouped. All win at times."""


@pytest.mark.parametrize("tau", [1.0, 1.5])
def test_many_agents_are_drawn_as_one_by_one(tau):
    """χ² of how often each tally wins, against plain draws; the seeds are fixed, so this cannot fail by chance."""
    passed, failed, group = (
        np.repeat(values, [each[2] for each in TALLIES])
        for values in ([each[0] for each in TALLIES], [each[1] for each in TALLIES], range(len(TALLIES)))
    )
    assert len(passed) > PLAIN and SMALL < 280
    rng = np.random.default_rng(1)
    quick = np.bincount([group[thompson(passed, failed, tau, None, rng)] for _ in range(3000)])
    draws = rng.beta(tau * (1 + passed), tau * (1 + failed), size=(3000, len(passed)))
    plain = np.bincount(group[draws.argmax(axis=1)])
    assert (quick + plain > 5).all()
    assert stats.chi2_contingency([quick, plain]).pvalue > 0.01


def test_members_of_a_tally_are_equally_likely():
    passed, failed = np.full(600, 4), np.full(600, 4)
    rng = np.random.default_rng(2)
    wins = np.bincount([thompson(passed, failed, 1.0, None, rng) for _ in range(3000)], minlength=600)
    assert stats.chisquare(wins).pvalue > 0.01


def test_large_clades_alone_are_drawn_as_one_by_one():
    """Too large to be grouped: the bounds alone decide which quantiles are computed."""
    rng = np.random.default_rng(3)
    total = rng.integers(300, 900, 700)
    passed = rng.binomial(total, 0.9)
    quick = np.bincount([thompson(passed, total - passed, 1.0, None, rng) for _ in range(2000)], minlength=700)
    draws = rng.beta(1 + passed, 1 + total - passed, size=(2000, 700))
    plain = np.bincount(draws.argmax(axis=1), minlength=700)
    often = (quick + plain) >= 20
    table = [np.append(wins[often], wins[~often].sum()) for wins in (quick, plain)]
    assert often.sum() >= 5
    assert stats.chi2_contingency(table).pvalue > 0.01


@given(st.integers(0, 2**32), st.sampled_from([1, 7, PLAIN, PLAIN + 1, 2000]))
def test_only_the_eligible_are_chosen_and_blocks_do_not_matter(seed, size):
    rng = np.random.default_rng(seed)
    passed, failed = tallies(rng, 3000, 0.5, 2000)
    eligible = np.sort(rng.choice(3000, size, replace=False))
    patch = pytest.MonkeyPatch()
    with patch.context() as patched:
        patched.setattr(module, "BLOCK", 100)
        chosen = thompson(passed, failed, 1.5, eligible, np.random.default_rng(seed))
    assert chosen in eligible
    assert type(chosen) is int
    assert thompson(passed, failed, 1.5, eligible, np.random.default_rng(seed)) in eligible


def test_one_certain_winner_is_found_wherever_it_is():
    """10,000 results of which all passed, against many that failed: in the first block, the last, and in a group."""
    for place in (0, 9_999, 5_000):
        for total in (SMALL - 1, 10_000):
            passed, failed = np.zeros(10_000, dtype=np.int64), np.full(10_000, total)
            passed[place], failed[place] = total, 0
            assert thompson(passed, failed, 1.0, None, np.random.default_rng(place)) == place


@pytest.mark.parametrize("tau", [0.02, 0.5, 1.0, 1.5, 800.0])
def test_few_agents_are_drawn_one_by_one(tau):
    """Each has a draw of its own: the frequencies are those of plain draws, sharp or blurred."""
    passed, failed = np.array([0, 1, 3, 3, 0, 7, 20]), np.array([0, 0, 2, 2, 3, 4, 12])
    if tau > 100:  # so sharp that only equals compete
        passed, failed = np.array([3, 3, 3, 2]), np.array([2, 2, 2, 3])
    rng = np.random.default_rng(5)
    quick = np.bincount([thompson(passed, failed, tau, None, rng) for _ in range(4000)], minlength=len(passed))
    draws = rng.beta(tau * (1 + passed), tau * (1 + failed), size=(4000, len(passed)))
    plain = np.bincount(draws.argmax(axis=1), minlength=len(passed))
    often = quick + plain > 10
    assert often.sum() >= 3
    assert stats.chi2_contingency([quick[often], plain[often]]).pvalue > 0.01


def test_the_largest_of_few_is_the_largest_beta():
    """A pair of gammas makes a beta, and only the order of betas counts."""
    rng, again = np.random.default_rng(4), np.random.default_rng(4)
    for _ in range(200):
        passed, failed = (rng.integers(0, 30, 50) for _ in range(2))
        again.integers(0, 30, 50), again.integers(0, 30, 50)
        won, lost = again.standard_gamma(1.5 * (1.0 + np.array((passed, failed))))
        assert thompson(passed, failed, 1.5, None, rng) == (won / (won + lost)).argmax()
