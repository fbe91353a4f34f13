"""The tree's layout: no two agents in one place, parents amid their children."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from archive import Clade, Tally
from evolve.report.tree import layout


def family(parents: list[int]) -> list[Clade]:
    children: list[list[int]] = [[] for _ in range(len(parents) + 1)]
    for child, parent in enumerate(parents, start=1):
        children[parent].append(child)
    return [Clade(agent, Tally(), Tally(), tuple(own), 0) for agent, own in enumerate(children)]


@given(st.integers(0, 20).flatmap(lambda size: st.tuples(*(st.integers(0, child) for child in range(size)))))
def test_every_agent_has_a_place_of_its_own(parents: tuple[int, ...]) -> None:
    clades = family(list(parents))
    place = layout(clades)
    assert len({tuple(each) for each in place.tolist()}) == len(clades)
    leaves = [clade.agent for clade in clades if not clade.children]
    assert sorted(place[leaves, 1].tolist()) == list(range(len(leaves)))
    for clade in clades:
        for child in clade.children:
            assert place[child, 0] == place[clade.agent, 0] + 1
        if clade.children:
            rows = place[list(clade.children), 1]
            assert rows.min() <= place[clade.agent, 1] <= rows.max()
            assert (np.diff(rows) > 0).all()


def test_a_lineage_longer_than_the_stack() -> None:
    place = layout(family(list(range(2000))))
    assert place[-1].tolist() == [2000, 0]


def test_no_agent_no_place() -> None:
    assert layout([]).shape == (0, 2)
