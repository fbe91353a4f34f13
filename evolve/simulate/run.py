"""One simulated run: the loop's own board and policies in a simulated world, on a simulated clock.

What is absent is the archive, the boxes and the models. Decisions, budgets, the order of events and the stop rules are
those of `evolve.loop.Evolution`; that both make the same moves is a test. Not simulated: the loop's pause of some
seconds after a house's fault.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from datetime import UTC, datetime

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from archive import Evaluation, Expansion, Outcome
from evolve.board import Board
from evolve.events import Measured, Opened, Tried, Voided
from evolve.moves import Evaluate, Expand, Move
from evolve.policies import AnyPolicy, View
from evolve.quarantine import AFTER, quarantined
from evolve.seeds import generator
from evolve.settings import Budget, Settings
from evolve.simulate.parameters import WorldSettings
from evolve.simulate.presets import WORKERS
from evolve.simulate.trace import Checkpoint, Trace
from evolve.simulate.world import Attempt, Trial, World

NO_TIME = datetime.fromtimestamp(0, UTC)
OUT_OF_MOVES = "the policy has no further move"


class Plan(BaseModel):
    """What a simulated run may use."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    evaluations: int = Field(800, ge=1)
    """Measurements that are evidence (HGM's experiments: 800)."""
    workers: int = Field(WORKERS, ge=1)
    """Moves under way at once."""
    expansions: int | None = Field(None, ge=0)
    """Attempts to write a child. None: as many as `clade run` allows by default, the same for every policy."""
    every: int = Field(25, ge=1)
    """Evaluations between checkpoints."""

    @property
    def expansion_budget(self) -> int:
        budget = Budget(evaluations=self.evaluations, expansions=self.expansions)
        return Settings(budget=budget).expansion_budget


def simulate(settings: WorldSettings, policy: AnyPolicy, plan: Plan, seed: int) -> Trace:
    """One run of `policy` in the world that `settings` and `seed` make; the same arguments give the same trace."""
    rng = generator(seed, "policy")  # one for the whole run: a new one for each decision costs as much as the decision
    return Simulation(World(settings, seed), policy, plan, lambda _: rng).run()


class Simulation:
    """A run in the making. After `run`, `board.view()` and `world` tell what was believed and what was true."""

    def __init__(
        self, world: World, policy: AnyPolicy, plan: Plan, rng_of: Callable[[int], np.random.Generator]
    ) -> None:
        """`rng_of` gives the generator for the decision of that number."""
        self.world = world
        self.policy = policy
        self.plan = plan
        self.hours = 0.0
        self.moves: list[Move] = []
        """All decisions, in their order."""
        self._limits = Budget()
        """Of house's faults and of failures in a row: those of `clade run` by default."""
        self._rng_of = rng_of
        tasks = tuple(f"task-{number}" for number in range(world.settings.tasks))
        self.board = Board(tasks, policy, budget=plan.evaluations, expansion_budget=plan.expansion_budget)
        self._flying: list[tuple[float, int, Move, Trial | Attempt]] = []
        """Moves under way, as a heap: when each will end, its number, what will come of it."""
        self._evaluations = 0
        """Closed with evidence."""
        self._usd = 0.0
        self._closed: list[tuple[Move, Trial | Attempt]] = []
        self._failures = [0] * len(tasks)
        """House's faults with each task since its last evidence."""
        self._left_alone: set[int] = set()
        self._best = world.skill(0)
        self._voids = self._voids_in_a_row = 0
        self._checkpoints: list[Checkpoint] = []

    def run(self) -> Trace:
        """Go on until a stop rule holds, as the loop does."""
        while True:
            ending = self._fill()
            if not self._flying:
                break
            self.hours, _, move, result = heapq.heappop(self._flying)
            self._land(move, result)
        self._check(self.board.view())
        return Trace(
            seed=self.world.seed,
            seed_skill=self.world.skill(0),
            voids=self._voids,
            ending=ending or OUT_OF_MOVES,
            checkpoints=tuple(self._checkpoints),
        )

    def _fill(self) -> str | None:
        """Give every free worker a move; why not, if the run is over."""
        while len(self._flying) < self.plan.workers:
            view = self.board.view()
            if (ending := self._ending(view)) is not None:
                return ending
            number = self.board.next_decision
            move = self.policy.choose(view, self._rng_of(number))
            if move is None:
                return None
            self._launch(move, number)
        return None

    def _ending(self, view: View) -> str | None:
        limits = self._limits
        if view.evaluations >= view.budget:
            return f"the budget of {view.budget} evaluations is spent"
        if view.failed_in_a_row >= limits.failures_in_a_row:
            return f"{view.failed_in_a_row} expansions in a row gave no child"
        if self._voids_in_a_row >= limits.voids_in_a_row:
            return f"{self._voids_in_a_row} moves in a row could not be done"
        return None

    def _launch(self, move: Move, number: int) -> None:
        result: Trial | Attempt
        if isinstance(move, Expand):
            result = self.world.expand(move.agent, move.entry)
        else:
            result = self.world.evaluate(move.agent, move.task)
        self.moves.append(move)
        self.board.seen(Opened(move, number))
        heapq.heappush(self._flying, (self.hours + result.seconds / 3600, number, move, result))

    def _land(self, move: Move, result: Trial | Attempt) -> None:
        self._usd += result.usd
        self._closed.append((move, result))
        if result.void:
            self._voids += 1
            self._voids_in_a_row += 1
            self.board.seen(Voided(move))
        else:
            self._voids_in_a_row = 0
            if isinstance(result, Attempt):
                self._close_expansion(move.agent, result)
            else:
                self._close_evaluation(move, result)
        self._leave_alone(move, result)

    def _close_evaluation(self, move: Move, trial: Trial) -> None:
        assert isinstance(move, Evaluate) and trial.passed is not None
        self.board.seen(Measured(move.agent, move.task, trial.passed, trial.seconds, trial.usd))
        self._evaluations += 1
        if self._evaluations % self.plan.every == 0:
            self._check(self.board.view())

    def _close_expansion(self, parent: int, attempt: Attempt) -> None:
        child = None
        if attempt.child is not None:
            child = self.world.admit(attempt.child)
            self._best = max(self._best, self.world.skill(child))
        self.board.seen(Tried(parent, child, attempt.seconds, attempt.usd))

    def _leave_alone(self, move: Move, result: Trial | Attempt) -> None:
        """Keep the quarantine of tasks. The loop's own rule decides, asked only when its answer can have changed."""
        if isinstance(move, Expand):
            return
        task = move.task
        self._failures[task] = self._failures[task] + 1 if result.void else 0
        if self._failures[task] < AFTER and task not in self._left_alone:
            return
        found = {int(name) for name in quarantined([_row(*each) for each in self._closed])}
        if found != self._left_alone:
            self._left_alone = found
            self.board.leave_alone(found)

    def _check(self, view: View) -> None:
        """Note how things stand, in place of what was noted at the same number of evaluations."""
        chosen = self.policy.best(view) or 0
        now = Checkpoint(
            evaluations=view.evaluations,
            expansions=view.expansions,
            agents=view.agents,
            hours=self.hours,
            usd=self._usd,
            chosen=chosen,
            skill=self.world.skill(chosen),
            skill_search=self.world.skill_search(chosen),
            best=self._best,
        )
        if self._checkpoints and self._checkpoints[-1].evaluations == now.evaluations:
            self._checkpoints.pop()
        self._checkpoints.append(now)


def _row(move: Move, result: Trial | Attempt) -> Evaluation | Expansion:
    """A closed move as the archive would have it, as far as the quarantine looks at it."""
    if isinstance(move, Expand):
        assert isinstance(result, Attempt)
        return Expansion(0, 0, move.agent, "", 0, NO_TIME, outcome=result.outcome)
    outcome = Outcome.VOID if result.void else Outcome.UNRESOLVED
    return Evaluation(0, 0, move.agent, "", "search", str(move.task), 0, 0, NO_TIME, outcome=outcome)
