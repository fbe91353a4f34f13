"""The incremental side of a run's statistics: told each event as it happens, it has the policy's view at hand at once.

A board equals `evolve.state.view_of` after every event, at a cost that does not grow with the number of rows. It is the
one mutable thing that decisions are made from, and only the thread that runs the loop (or a simulation) may use it.

Clade sums are kept for all agents. Evidence is added to an agent and all its ancestors, walking up *runs*: stretches of
consecutive ids, each the child of the one before, are one slice. So a chain costs one slice and a random tree about
ln n of them. The worst case, two chains whose births take turns, costs one (short) step an ancestor.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from archive import History
from evolve.events import Event, Measured, Opened, Tried, Voided
from evolve.moves import Evaluate, Move
from evolve.policies.base import Bools, Ints, Policy, Verdicts, View
from evolve.settings import Settings
from evolve.state import MAX_VOIDS_OF_A_PAIR, columns, events_of, shut_columns

ROOM = 64
"""Agents that a new board has room for; doubled whenever they are all born."""
MANY = 16
"""Ancestors outside of runs from which on one look-up of all of them is quicker than one by one."""
COUNTS = (
    "parent", "children", "passed", "failed", "clade_passed", "clade_failed", "in_flight", "expanding", "attempts",
    "left",
)  # fmt: skip
"""The view's numbers by agent, in its order."""


class Board:
    """A run's statistics up to the last event told. A new one holds the seed and nothing else."""

    def __init__(self, tasks: Sequence[str], policy: Policy, *, budget: int, expansion_budget: int) -> None:
        """`tasks` are the columns of the views; the budgets as in `View`."""
        self.tasks = tuple(tasks)
        self.column = {task: column for column, task in enumerate(self.tasks)}
        self.next_decision = 0
        """The smallest number that no decision holds (`evolve.state.next_decision`)."""
        self._held: set[int] = set()
        """Numbers above it that are held."""
        self._budget, self._expansion_budget = budget, expansion_budget
        self._fold = policy.fold(len(self.tasks), budget)
        self._evaluations = self._evaluations_in_flight = 0
        self._expansions = self._expansions_in_flight = self._failed_in_a_row = 0
        self._seconds, self._usd = np.zeros(2), np.zeros(2)
        self._by_task: dict[str, Ints] = {name: np.zeros(len(self.tasks), np.int64) for name in ("passed", "failed")}
        self._shut: Bools = np.zeros(len(self.tasks), np.bool_)
        self._voids: Counter[tuple[int, int]] = Counter()
        self._agents = 0
        self._view: View | None = None
        self._windows: list[npt.NDArray[Any]] | None = None
        self._bases: list[npt.NDArray[Any]] | None = None
        """What the windows by agent are cut from, until they have to grow."""
        self._task_windows = [_read_only(values) for values in self._by_task.values()]
        self._sums = [_read_only(self._seconds), _read_only(self._usd)]
        self._by_agent: dict[str, Ints] = {name: np.zeros(ROOM, np.int64) for name in COUNTS}
        self._taken: Bools = np.zeros((ROOM, len(self.tasks)), np.bool_)
        """Agents × tasks: measured, being measured, or VOID too often."""
        self._open: Bools = self._taken.copy()
        self._verdict: Verdicts = np.full(self._taken.shape, -1, np.int8)
        # What the walk reads one by one is in lists: single items of arrays are slow.
        self._parents: list[int] = []
        self._runs: list[int] = []
        """The first id of the run that the agent is in."""
        self._birth(-1)

    def seen(self, event: Event) -> None:
        """Take in what happened next. A view made before is not valid any more."""
        self._view = None
        match event:
            case Opened(move, decision):
                self._hold(decision)
                self._begin(move)
            case Measured():
                self._measured(event)
            case Tried():
                self._tried(event)
            case Voided(move):
                self._voided(move)
        if self._fold is not None:
            self._fold.seen(event)

    def leave_alone(self, columns: Collection[int]) -> None:
        """Let nobody be measured on these tasks from now on, and on all others (again)."""
        self._view = None
        self._shut[:] = False
        self._shut[list(columns)] = True
        n = self._agents
        self._open[:n] = ~(self._taken[:n] | self._shut)
        self._by_agent["left"][:n] = self._open[:n].sum(axis=1)

    def view(self) -> View:
        """Where the run stands. Its arrays are windows on the board's own, so it is valid until the next event."""
        if self._view is None:
            if self._windows is None:
                self._windows = self._make_windows()
            # By place, in the order of View's fields: by name it would take twice as long.
            fields: tuple[Any, ...] = (
                self.tasks,
                *self._windows,
                self._fold,
                self._evaluations,
                self._evaluations_in_flight,
                self._expansions,
                self._expansions_in_flight,
                self._failed_in_a_row,
                self._budget,
                self._expansion_budget,
                *self._sums,
            )
            self._view = View(*fields)
        return self._view

    def _make_windows(self) -> list[npt.NDArray[Any]]:
        """The arrays of views, good until the next birth: values change under them, their size does not."""
        if self._bases is None:
            self._bases = [_read_only(values) for values in (*self._by_agent.values(), self._open, self._verdict)]
        return [*(values[: self._agents] for values in self._bases), *self._task_windows]

    def _hold(self, decision: int) -> None:
        if decision >= self.next_decision:
            self._held.add(decision)
        while self.next_decision in self._held:
            self._held.remove(self.next_decision)
            self.next_decision += 1

    def _begin(self, move: Move) -> None:
        if isinstance(move, Evaluate):
            self._evaluations_in_flight += 1
            self._by_agent["in_flight"][move.agent] += 1
            self._taken[move.agent, move.task] = True
            if self._open[move.agent, move.task]:
                self._open[move.agent, move.task] = False
                self._by_agent["left"][move.agent] -= 1
        else:
            self._expansions_in_flight += 1
            self._by_agent["expanding"][move.agent] += 1

    def _measured(self, event: Measured) -> None:
        name = "passed" if event.passed else "failed"
        self._evaluations_in_flight -= 1
        self._evaluations += 1
        self._by_agent["in_flight"][event.agent] -= 1
        self._by_agent[name][event.agent] += 1
        self._by_task[name][event.task] += 1
        self._verdict[event.agent, event.task] = event.passed
        self._seconds[0] += event.seconds
        self._usd[0] += event.usd
        self._add(self._by_agent[f"clade_{name}"], event.agent)

    def _add(self, sums: Ints, agent: int) -> None:
        """Add one to an agent and all its ancestors."""
        runs, parents = self._runs, self._parents
        alone: list[int] = []
        while agent >= 0:
            first = runs[agent]
            if first == agent:
                alone.append(agent)
            else:
                run = sums[first : agent + 1]
                run += 1
            agent = parents[first]
        if len(alone) > MANY:
            sums[alone] += 1
        else:
            for agent in alone:
                sums[agent] += 1

    def _tried(self, event: Tried) -> None:
        self._expansions_in_flight -= 1
        self._expansions += 1
        self._by_agent["expanding"][event.parent] -= 1
        self._by_agent["attempts"][event.parent] += 1
        self._seconds[1] += event.seconds
        self._usd[1] += event.usd
        self._failed_in_a_row += 1
        if event.child is not None:
            if event.child != self._agents:
                raise ValueError(f"agents are numbered by their births: {self._agents} is next, not {event.child}")
            self._failed_in_a_row = 0
            self._by_agent["children"][event.parent] += 1
            self._birth(event.parent)

    def _voided(self, move: Move) -> None:
        if not isinstance(move, Evaluate):
            self._expansions_in_flight -= 1
            self._by_agent["expanding"][move.agent] -= 1
            return
        agent, task = move.agent, move.task
        self._evaluations_in_flight -= 1
        self._by_agent["in_flight"][agent] -= 1
        self._voids[agent, task] += 1
        if self._voids[agent, task] < MAX_VOIDS_OF_A_PAIR and self._verdict[agent, task] < 0:
            self._taken[agent, task] = False
            if not self._shut[task]:
                self._open[agent, task] = True
                self._by_agent["left"][agent] += 1

    def _birth(self, parent: int) -> None:
        agent = self._agents
        if agent == len(self._taken):
            self._grow()
        self._agents += 1
        self._view = self._windows = None
        self._parents.append(parent)
        self._runs.append(self._runs[parent] if parent >= 0 and parent == agent - 1 else agent)
        self._by_agent["parent"][agent] = parent
        self._open[agent] = ~self._shut
        self._by_agent["left"][agent] = np.count_nonzero(self._open[agent])

    def _grow(self) -> None:
        """Make room for as many agents again."""
        self._bases = None
        for name, values in self._by_agent.items():
            self._by_agent[name] = np.concatenate([values, np.zeros_like(values)])
        self._taken, self._open = (np.concatenate([pairs, np.zeros_like(pairs)]) for pairs in (self._taken, self._open))
        self._verdict = np.concatenate([self._verdict, np.full_like(self._verdict, -1)])


def _read_only(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """A window on an array through which it cannot be changed; nor can it through windows on that window."""
    window = values[:]
    window.flags.writeable = False
    return window


def board_of(history: History, tasks: Sequence[str], settings: Settings) -> Board:
    """A board that was told all that the rows tell. `tasks`: the search split in the benchmark's order.

    Raises: `ArchiveError` if there are moves of an agent that was never born.
    """
    names = columns(history, tasks)
    board = Board(
        names, settings.policy, budget=settings.budget.evaluations, expansion_budget=settings.expansion_budget
    )
    board.leave_alone(shut_columns(history, names, tasks))
    for event in events_of(history, board.column):
        board.seen(event)
    return board
