"""A simulated world: tasks of hidden difficulty, agents of hidden skill and of hidden capacity to improve.

What is assumed, in the units of item response theory (logits). Task j has difficulty b_j ~ N(0, difficulty_sd). Agent a
has ability θ_a, effects u_aj of its own on each task, and capacity m_a, the expected step of its children. It solves j
with probability lucky + (1 - lucky - flaky)·σ(θ_a - b_j + u_aj), anew each time. A child's ability is θ_a + Δ with
Δ ~ N(m_a - saturation·(θ_a - θ_0), step_sd), and some children are subtly broken. Task sets are a *search* set, which
policies see, and a *sealed* one of the same make, on which skill is told.

All luck is laid down by the world's seed. That of an expansion goes by its number in the run: whoever is let write the
fifth child, its step is as far above or below what is to be expected of that parent. That of a verdict goes by the
agent and the task, whatever was asked before. So policies in one world are equally lucky as far as they can be, and
differences between them less noisy (for hgm and greedy with 200 evaluations, 40 worlds: correlation of skill 0.46; 0.03
if an expansion's luck goes by its parent).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

from archive import Outcome
from evolve.moves import ANY, Entry
from evolve.simulate.draws import generator_of, key_of
from evolve.simulate.durations import (
    LEVELS,
    TIMINGS,
    Benchmark,
    Bools,
    Floats,
    Timings,
    agent_seconds,
    expansion_seconds,
    setup_seconds,
)
from evolve.simulate.parameters import RunTimings, WorldSettings

Ints = npt.NDArray[np.int64]

WIDEST_LOGIT = 40.0
"""No ability beyond this: σ is 0 or 1 there to the last bit."""


@dataclass(frozen=True, slots=True, eq=False)
class Hidden:
    """An agent as nobody in the simulated run can see it."""

    key: bytes
    """256 bits from which all its draws come."""
    parent: int
    """-1 for the first agent."""
    ability: float
    capacity: float
    logits: Floats
    """Of solving each task, search set before sealed set, without luck."""
    own: Floats
    """Effects of its own on each task."""
    chances: Floats
    """Of solving each task of the search set."""
    skill_search: float
    skill: float
    """Expected share of the sealed tasks that it solves: its true skill."""
    passed: list[bool]
    """Its first verdict on each task of the search set."""
    void: list[bool]
    """Whether its first evaluation on each task fails for the house's reasons."""
    seconds: list[float]
    """Of its first evaluation on each task."""
    usd: list[float]


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of an evaluation."""

    passed: bool | None
    """None: VOID, no evidence."""
    seconds: float
    usd: float

    @property
    def void(self) -> bool:
        return self.passed is None


@dataclass(frozen=True, slots=True)
class Attempt:
    """What came of an expansion. The child is nobody before `World.admit` gives it a number."""

    outcome: Outcome
    child: Hidden | None
    """Only if BORN."""
    seconds: float
    usd: float

    @property
    def void(self) -> bool:
        return self.outcome is Outcome.VOID


@dataclass(frozen=True, slots=True, eq=False)
class _Made:
    """An agent as its parent wrote it, before anything was drawn of what will be seen of it."""

    key: bytes
    parent: int
    ability: float
    capacity: float
    logits: Floats
    own: Floats


class World:
    """One drawn world and the agents born in it, by number; 0 is the first agent."""

    def __init__(self, settings: WorldSettings, seed: int) -> None:
        self.settings = settings
        self.seed = seed
        every = settings.tasks + settings.sealed
        self._root = key_of(b"", "root", seed)
        rng = generator_of(self._root)
        self.difficulty: Floats = settings.difficulty_sd * rng.standard_normal(every)
        self._slowness: Floats = rng.standard_normal(settings.tasks)
        self._trade = np.where(np.arange(every) % 2, -1.0, 1.0)
        self._timings = timings_of(settings.timings)
        self._pace = self._paces()
        capacity = settings.capacity_mean + settings.capacity_sd * float(rng.standard_normal())
        ability = self._first_ability()
        key = key_of(self._root, "agent", 0)
        first = _Made(key, -1, ability, capacity, ability - self.difficulty, np.zeros(every))
        self.agents: list[Hidden] = [self._agent(first, generator_of(key))]
        self._expansions = 0
        """Begun so far."""
        self._asked: dict[tuple[int, int], int] = {}

    def expand(self, parent: int, entry: Entry = ANY) -> Attempt:
        """Let `parent` try to write a child about what `entry` says."""
        self._expansions += 1
        key = key_of(self._root, "agent", self._expansions)
        rng = generator_of(key)
        outcome = self._outcome(rng.random())
        seconds = expansion_seconds(rng.standard_normal(), self._timings.expansion)
        child = None
        if outcome is Outcome.BORN:
            child = self._agent(self._made(parent, key, rng, entry), rng)
        return Attempt(outcome, child, seconds, self.settings.usd_expansion)

    def admit(self, child: Hidden) -> int:
        """Give a child its number: it is an agent from now on."""
        self.agents.append(child)
        return len(self.agents) - 1

    def evaluate(self, agent: int, task: int) -> Trial:
        """Measure `agent` on `task` of the search set, once more than before."""
        hidden = self.agents[agent]
        asked = self._asked.get((agent, task), 0)
        self._asked[agent, task] = asked + 1
        if asked:
            return self._again(hidden, task, asked)
        passed = None if hidden.void[task] else hidden.passed[task]
        return Trial(passed, hidden.seconds[task], hidden.usd[task])

    def skill(self, agent: int) -> float:
        """True skill: the expected share of sealed tasks solved."""
        return self.agents[agent].skill

    def skill_search(self, agent: int) -> float:
        """The expected share of the search set's tasks solved."""
        return self.agents[agent].skill_search

    def _again(self, hidden: Hidden, task: int, asked: int) -> Trial:
        rng = generator_of(key_of(hidden.key, f"again:{task}", asked))
        void, passed = rng.random(2) < (self.settings.void, hidden.chances[task])
        seconds, usd = self._times(np.array([passed]), np.array([task]), rng)
        return Trial(None if void else bool(passed), float(seconds[0]), float(usd[0]))

    def _outcome(self, fate: float) -> Outcome:
        settings = self.settings
        for outcome, share in (
            (Outcome.VOID, settings.void),
            (Outcome.NO_CHANGE, settings.no_change),
            (Outcome.DUPLICATE, settings.duplicate),
            (Outcome.STILLBORN, settings.stillborn),
            (Outcome.CRASHED, settings.crashed),
        ):
            if fate < share:
                return outcome
            fate -= share
        return Outcome.BORN

    def _made(self, parent: int, key: bytes, rng: np.random.Generator, entry: Entry) -> _Made:
        """What a child inherits, and what is new in it."""
        settings, above, first = self.settings, self.agents[parent], self.agents[0]
        scores = rng.standard_normal(3 + len(above.own))
        is_broken, is_pioneer = rng.random() < settings.broken, rng.random() < settings.pioneers
        loss = settings.broken_mean * rng.standard_exponential()
        step = above.capacity - settings.saturation * (above.ability - first.ability)
        step += settings.step_sd * float(scores[0])
        step += settings.contrast_gain if entry.kind == "contrast" else 0.0
        step -= loss if is_broken else 0.0
        kept = settings.capacity_kept
        capacity = settings.capacity_mean + kept * (above.capacity - settings.capacity_mean)
        capacity += settings.capacity_sd * (1 - kept**2) ** 0.5 * float(scores[1]) - settings.sterile * step
        if is_pioneer:
            step, capacity = step - settings.pioneer_cost, capacity + settings.pioneer_gain
        ability = max(-WIDEST_LOGIT, min(WIDEST_LOGIT, above.ability + step))
        fresh = settings.own_fresh
        own: Floats = (1 - fresh) ** 0.5 * above.own + fresh**0.5 * settings.own_sd * scores[3:]
        if entry.kind == "hybrid" and entry.peer is not None:
            own += settings.hybrid_share * (self.agents[entry.peer].own - above.own)
        logits = above.logits - above.own + own + (ability - above.ability)
        if settings.trade_sd:
            logits += settings.trade_sd * float(scores[2]) * self._trade
        return _Made(key, parent, ability, capacity, logits, own)

    def _agent(self, made: _Made, rng: np.random.Generator) -> Hidden:
        """An agent with its chances and with all that will be seen of it when it is first measured."""
        settings, tasks = self.settings, self.settings.tasks
        chances = settings.lucky + (1 - settings.lucky - settings.flaky) * special.expit(made.logits)
        passed = rng.random(tasks) < chances[:tasks]
        void = rng.random(tasks) < settings.void
        seconds, usd = self._times(passed, slice(None), rng)
        return Hidden(
            key=made.key,
            parent=made.parent,
            ability=made.ability,
            capacity=made.capacity,
            logits=made.logits,
            own=made.own,
            chances=chances[:tasks],
            skill_search=float(chances[:tasks].sum()) / tasks,
            skill=float(chances[tasks:].sum()) / settings.sealed,
            passed=passed.tolist(),
            void=void.tolist(),
            seconds=seconds.tolist(),
            usd=usd.tolist(),
        )

    def _times(self, passed: Bools, tasks: slice | Ints, rng: np.random.Generator) -> tuple[Floats, Floats]:
        """Seconds and dollars of evaluations on `tasks`, their verdicts being known."""
        number, settings = len(passed), self.settings
        own = agent_seconds(self._timings, passed, self._slowness[tasks], rng.standard_normal(number))
        own *= self._pace[tasks]
        usd = settings.usd_evaluation / self._timings.mean * own
        return own + setup_seconds(self._timings, settings.setup, rng.random(number)), usd

    def _paces(self) -> Floats:
        """What the agent's time on each task of the search set is multiplied by."""
        tasks = self.settings.tasks
        if not self.settings.slow_when_hard:
            return np.ones(tasks)
        rank = np.argsort(np.argsort(self.difficulty[:tasks], kind="stable"), kind="stable")
        paces: Floats = 3 * ((rank + 0.5) / tasks) ** 2
        return paces

    def _first_ability(self) -> float:
        """The ability at which the first agent's expected share of all tasks is `seed_skill`, by bisection."""
        settings = self.settings
        low, high = -WIDEST_LOGIT, WIDEST_LOGIT
        wanted = (settings.seed_skill - settings.lucky) / (1 - settings.lucky - settings.flaky)
        for _ in range(60):
            middle = (low + high) / 2
            if special.expit(middle - self.difficulty).mean() < wanted:
                low = middle
            else:
                high = middle
        return (low + high) / 2


def timings_of(source: Benchmark | RunTimings) -> Timings:
    """The tables that times are drawn from."""
    if isinstance(source, str):
        return TIMINGS[source]
    solved, failed, expansion = (np.array(each) for each in (source.solved, source.failed, source.expansion))
    return Timings(solved, failed, np.zeros(len(LEVELS)), source.mean, expansion)
