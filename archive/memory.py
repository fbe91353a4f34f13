"""A writer's rows in memory: the only writer need not read what it wrote, and knows which ids and times come next."""

from __future__ import annotations

from collections.abc import Sized
from datetime import UTC, datetime, timedelta

from archive.history import History, agent_of
from archive.records import Agent, Evaluation, Expansion, Outcome


class Memory:
    """All rows of an archive by id, as the last committed transaction left them. Told of each row after its commit."""

    def __init__(self, rows: History) -> None:
        self.agents: dict[int, Agent] = {row.id: row for row in rows.agents}
        self.expansions: dict[int, Expansion] = {row.id: row for row in rows.expansions}
        self.evaluations: dict[int, Evaluation] = {row.id: row for row in rows.evaluations}
        self._of_agent: dict[int, dict[int, Evaluation]] = {}
        """The evaluations once more, by agent: those of one are few, however many there are."""
        for row in rows.evaluations:
            self._of_agent.setdefault(row.agent, {})[row.id] = row
        self._twins: dict[str, int] = {}
        """The oldest agent of each shape."""
        for agent in rows.agents:
            self._twins.setdefault(agent.shape, agent.id)
        moves: tuple[Expansion | Evaluation, ...] = (*rows.expansions, *rows.evaluations)
        self._taken = {row.decision for row in moves if row.decision is not None and row.outcome is not Outcome.VOID}
        times = [*(row.born for row in rows.agents), *(row.closed or row.opened for row in moves)]
        self._latest = max([datetime.min.replace(tzinfo=UTC), *times])
        self._history: History | None = None

    def history(self) -> History:
        """All rows, in the order of their ids."""
        if self._history is None:
            self._history = History(
                tuple(self.agents.values()), tuple(self.expansions.values()), tuple(self.evaluations.values())
            )
        return self._history

    def agent(self, id: int) -> Agent:
        """As `History.agent`."""
        return agent_of(id, self.agents)

    def evaluations_of(self, agent: int) -> tuple[Evaluation, ...]:
        """As `History.evaluations_of`, at a cost that does not grow with the rows of other agents."""
        return tuple(self._of_agent.get(agent, {}).values())

    def shapes(self) -> frozenset[str]:
        """As `History.shapes`."""
        return frozenset(self._twins)

    def twin(self, shape: str) -> int | None:
        """As `History.twin`, at once."""
        return self._twins.get(shape)

    def taken(self, decision: int) -> bool:
        """Whether a decision has a move that is open, or ended as anything but VOID."""
        return decision in self._taken

    def moment(self) -> datetime:
        """Now, and later than any row even if the clock was set back: times tell the order of what happened."""
        self._latest = max(datetime.now(UTC), self._latest + timedelta(microseconds=1))
        return self._latest

    def born(self, agent: Agent) -> None:
        """An agent's row was committed."""
        self.agents[agent.id] = agent
        self._twins.setdefault(agent.shape, agent.id)
        self._history = None

    def moved(self, row: Expansion | Evaluation) -> None:
        """A move's row was committed, open or closed."""
        if isinstance(row, Expansion):
            self.expansions[row.id] = row
        else:
            self.evaluations[row.id] = row
            self._of_agent.setdefault(row.agent, {})[row.id] = row
        if row.decision is not None and row.outcome is Outcome.VOID:
            self._taken.discard(row.decision)
        elif row.decision is not None:
            self._taken.add(row.decision)
        self._history = None


def next_id(rows: Sized, first: int = 1) -> int:
    """The next id: they are given without gaps, and no row is ever deleted."""
    return first + len(rows)
