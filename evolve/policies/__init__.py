"""Policies: how a run spends its budget. One small file each behind one contract (`evolve.policies.base`)."""

from typing import Annotated

from pydantic import Field

from evolve.policies.base import Evaluate, Expand, Move, Policy, View
from evolve.policies.dgm import DGM
from evolve.policies.greedy import Greedy
from evolve.policies.hgm import HGM
from evolve.policies.uniform import Uniform

AnyPolicy = Annotated[HGM | DGM | Greedy | Uniform, Field(discriminator="name")]
"""The policies a run can name in its settings."""

__all__ = ["DGM", "HGM", "AnyPolicy", "Evaluate", "Expand", "Greedy", "Move", "Policy", "Uniform", "View"]
