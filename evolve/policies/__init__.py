"""Policies: how a run spends its budget. One small file each behind one contract (`evolve.policies.base`)."""

from typing import Annotated

from pydantic import Field

from evolve.moves import Entry, Evaluate, Expand, Move
from evolve.policies.base import Fold, Policy, View
from evolve.policies.dgm import DGM
from evolve.policies.greedy import Greedy
from evolve.policies.hgm import HGM
from evolve.policies.kin import Kin
from evolve.policies.uniform import Uniform

AnyPolicy = Annotated[HGM | DGM | Greedy | Uniform | Kin, Field(discriminator="name")]
"""The policies a run can name in its settings."""

__all__ = [
    "DGM",
    "HGM",
    "AnyPolicy",
    "Entry",
    "Evaluate",
    "Expand",
    "Fold",
    "Greedy",
    "Kin",
    "Move",
    "Policy",
    "Uniform",
    "View",
]
