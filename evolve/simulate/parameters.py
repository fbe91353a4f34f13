"""The parameters of a simulated world, with where each default comes from. What they mean together: `world`."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from evolve.simulate.durations import LEVELS, Benchmark, Setup

Seconds = Annotated[float, Field(gt=0)]
Quantiles = Annotated[tuple[Seconds, ...], Field(min_length=len(LEVELS), max_length=len(LEVELS))]


class RunTimings(BaseModel):
    """Quantiles (at `durations.LEVELS`) of the seconds that a run's own moves took, set-up in them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    solved: Quantiles
    failed: Quantiles
    expansion: Quantiles
    mean: Seconds
    """Of evaluations."""


class WorldSettings(BaseModel):
    """Every parameter of a world. Defaults are the priors of a world like SWE-bench Verified (docs/calibration.md)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tasks: int = Field(60, ge=1, le=100_000)
    """Tasks of the search set. HGM and DGM: 60."""
    sealed: int = Field(200, ge=1, le=100_000)
    """Tasks on which true skill is told."""
    seed_skill: float = Field(0.40, gt=0, lt=1)
    """Expected share of tasks that the first agent solves (HGM, table 2: .400 on SWE-bench, .203 on Polyglot)."""
    difficulty_sd: float = Field(3.2, ge=0)
    """Two published agents solve 245 and 265 of 500 tasks, both of them 205: 3.6 with own effects in it."""
    own_sd: float = Field(0.5, ge=0)
    """Of an agent's own effects on single tasks."""
    own_fresh: float = Field(0.3, ge=0, le=1)
    """Share of those effects' variance that is new in a child."""
    step_sd: float = Field(0.45, ge=0)
    """Of a child's ability around its expectation."""
    capacity_mean: float = -0.15
    """Expected step of a child, before saturation."""
    capacity_sd: float = Field(0.10, ge=0)
    """Of capacity among lines."""
    capacity_kept: float = Field(0.8, ge=0, le=1)
    """Correlation of a child's capacity with its parent's."""
    saturation: float = Field(0.1, ge=0, le=1)
    """What each logit gained takes from the expected step. With 1, a child is the first agent changed anew."""
    sterile: float = Field(0.0, ge=0)
    """Capacity that a child loses with each logit it gains, and wins with each that it loses: a greedy trap."""
    pioneers: float = Field(0.0, ge=0, le=1)
    """Share of children that are worse now and better parents: they stand `pioneer_cost` below and pass on more."""
    pioneer_cost: float = Field(0.0, ge=0)
    pioneer_gain: float = Field(0.0, ge=0)
    """What a pioneer's capacity is larger by."""
    trade_sd: float = Field(0.0, ge=0)
    """Of a child's step that helps every second task and harms the others as much."""
    broken: float = Field(0.10, ge=0, le=1)
    """Share of children that are subtly broken…"""
    broken_mean: float = Field(2.0, ge=0)
    """…by an exponential loss of this mean."""
    lucky: float = Field(0.005, ge=0, le=0.5)
    """Probability of solving what cannot be solved."""
    flaky: float = Field(0.01, ge=0, le=0.5)
    """Probability of failing what cannot be failed."""
    contrast_gain: float = 0.05
    """What an expansion about a contrast of two tasks (Mendel GM) adds to the child's expected step. A prior: the world
    cannot tell whether that operator helps, only whether a policy that uses it keeps its books."""
    hybrid_share: float = Field(0.3, ge=0, le=1)
    """How far a hybrid's own effects move from its parent's to its peer's. A prior, as above."""
    no_change: float = Field(0.08, ge=0, le=1)
    duplicate: float = Field(0.05, ge=0, le=1)
    stillborn: float = Field(0.12, ge=0, le=1)
    crashed: float = Field(0.05, ge=0, le=1)
    """Shares of expansions that end so."""
    void: float = Field(0.01, ge=0, lt=1)
    """Share of evaluations, and of expansions, that fail for the house's reasons."""
    timings: Benchmark | RunTimings = "swe"
    """Whose durations are drawn from."""
    setup: Setup = "peers"
    """Set-up of each evaluation: the peers' containers, or our boxes."""
    slow_when_hard: bool = False
    """Agent time times 3q², q being the rank of the task's difficulty from 0 to 1."""
    usd_evaluation: float = Field(0.083, ge=0)
    """Dollars of an evaluation of mean length in the timings' source; others cost as their agent's time. (DGM reports
    $5 for 60 Polyglot tasks with o3-mini.)"""
    usd_expansion: float = Field(0.66, ge=0)
    """Dollars of an expansion. A prior: eight evaluations."""

    @property
    def barren(self) -> float:
        """Share of expansions that give no child."""
        return self.void + self.no_change + self.duplicate + self.stillborn + self.crashed

    def model_post_init(self, _context: object, /) -> None:
        if self.barren > 1:
            raise ValueError(f"the shares of expansions without a child add up to {self.barren:g}, more than 1")
        if not self.lucky < self.seed_skill < 1 - self.flaky:
            raise ValueError(
                f"seed_skill = {self.seed_skill:g} lies outside what can be: lucky = {self.lucky:g} to 1 - flaky = "
                f"{1 - self.flaky:g}"
            )
