"""All rows of an archive at one moment."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, RowMapping, Table, select

from archive import schema
from archive.errors import ArchiveError
from archive.records import Agent, Bill, Evaluation, Expansion


@dataclass(frozen=True, slots=True)
class History:
    """Agents, expansions and evaluations, each in the order of their ids."""

    agents: tuple[Agent, ...] = ()
    expansions: tuple[Expansion, ...] = ()
    evaluations: tuple[Evaluation, ...] = ()

    def spent(self) -> Bill:
        """What all moves cost together, void ones included: the money is gone either way."""
        return total([*(row.bill for row in self.expansions), *(row.bill for row in self.evaluations)])

    def agent(self, id: int) -> Agent:
        """The agent of that id. Raises: `ArchiveError` if there is none."""
        return agent_of(id, {agent.id: agent for agent in self.agents})

    def evaluations_of(self, agent: int) -> tuple[Evaluation, ...]:
        """One agent's, in the order of their ids."""
        return tuple(row for row in self.evaluations if row.agent == agent)

    def shapes(self) -> frozenset[str]:
        """Of all agents."""
        return frozenset(agent.shape for agent in self.agents)

    def twin(self, shape: str) -> int | None:
        """The oldest agent of that shape."""
        return next((agent.id for agent in self.agents if agent.shape == shape), None)


def agent_of(id: int, agents: Mapping[int, Agent]) -> Agent:
    """The agent of that id. Raises: `ArchiveError` if there is none."""
    if id not in agents:
        raise ArchiveError(f"there is no agent {id}; the archive has {len(agents)}, numbered from 0")
    return agents[id]


def total(bills: Iterable[Bill]) -> Bill:
    """The sum of bills, its dollars rounded once, so that it does not depend on the order."""
    bills = tuple(bills)
    return Bill(
        sum(bill.calls for bill in bills),
        sum(bill.input_tokens for bill in bills),
        sum(bill.cached_tokens for bill in bills),
        sum(bill.output_tokens for bill in bills),
        math.fsum(bill.usd for bill in bills),
    )


def load(connection: Connection) -> History:
    """Read a history inside the connection's transaction."""

    def rows(table: Table) -> Iterable[RowMapping]:
        return connection.execute(select(table).order_by(table.c.id)).mappings()

    return History(
        tuple(schema.agent_of(row) for row in rows(schema.agents)),
        tuple(schema.expansion_of(row) for row in rows(schema.expansions)),
        tuple(schema.evaluation_of(row) for row in rows(schema.evaluations)),
    )
