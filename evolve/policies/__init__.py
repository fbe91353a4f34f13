"""Policies: how a run spends its budget. One small file each behind one contract (`evolve.policies.base`)."""

from typing import Annotated

from pydantic import Field

from evolve.moves import Entry, Evaluate, Expand, Move
from evolve.policies.base import Fold, Policy, View
from evolve.policies.best_of_n import BestOfN
from evolve.policies.dgm import DGM
from evolve.policies.greedy import Greedy
from evolve.policies.hgm import HGM
from evolve.policies.hgm_paper import HGMPaper
from evolve.policies.hgm_released import HGMReleased
from evolve.policies.kin import Kin
from evolve.policies.mendel import Mendel
from evolve.policies.sica import SICA
from evolve.policies.uniform import Uniform

AnyPolicy = Annotated[
    HGM | HGMPaper | HGMReleased | DGM | SICA | Mendel | BestOfN | Greedy | Uniform | Kin, Field(discriminator="name")
]
"""The policies a run can name in its settings."""

__all__ = [
    "DGM",
    "HGM",
    "SICA",
    "AnyPolicy",
    "BestOfN",
    "Entry",
    "Evaluate",
    "Expand",
    "Fold",
    "Greedy",
    "HGMPaper",
    "HGMReleased",
    "Kin",
    "Mendel",
    "Move",
    "Policy",
    "Uniform",
    "View",
]
