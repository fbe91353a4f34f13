"""How well what is believed of each agent's clade foretells what its descendants reach (table 1 of the HGM paper).

The definitions are those of `evolve.simulate.correlation`; here they are applied to the rows of a run.
"""

from __future__ import annotations

from dataclasses import dataclass

from evolve.policies.base import Floats, Ints, View
from evolve.simulate.correlation import Correlation, below, correlation, own_mean, rest_of_clade


@dataclass(frozen=True, slots=True, eq=False)
class Estimate:
    """One way to foretell, for every agent; nan where it says nothing."""

    name: str
    value: Floats
    weight: Ints
    """Verdicts that it is made of."""
    correlation: Correlation


@dataclass(frozen=True, slots=True, eq=False)
class Foresight:
    """Both sides, by agent id."""

    reached: Floats
    """Empirical clade metaproductivity: the highest mean of a descendant; nan if none was measured."""
    estimates: tuple[Estimate, ...]


def foresight(view: View) -> Foresight:
    """Of a run as it stands, whatever its policy was."""
    found = below(view)
    means = (own_mean(view), view.passed + view.failed)
    estimates = (
        Estimate(name, value, weight, correlation(value, weight, found.highest))
        for name, (value, weight) in (("rest of the clade", rest_of_clade(view, found)), ("own mean", means))
    )
    return Foresight(found.highest, tuple(estimates))
