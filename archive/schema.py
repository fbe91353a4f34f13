"""The archive's tables, and rows as records.

Every column of a move's bill is the sum of its calls, written once, in the transaction that closes the row.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    Double,
    ForeignKey,
    Integer,
    MetaData,
    RowMapping,
    String,
    Table,
    Text,
    TypeDecorator,
)
from sqlalchemy.engine import Dialect

from archive.records import Agent, Bill, Call, Decision, Evaluation, Event, Expansion, Outcome

Values = dict[str, Any]
"""A row's values by column name, of as many types as there are columns."""


class Utc(TypeDecorator[datetime]):
    """An aware time, stored as UTC (SQLite keeps no zone)."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)


def _bill() -> list[Column[Any]]:
    counts = ("calls", "input_tokens", "cached_tokens", "output_tokens")
    return [*(Column(name, BigInteger, nullable=False) for name in counts), Column("usd", Double, nullable=False)]


def _id(name: str = "id") -> Column[int]:
    return Column(name, Integer, primary_key=True, autoincrement=False)


meta = Table("meta", metadata, Column("key", String(200), primary_key=True), Column("value", Text, nullable=False))

agents = Table(
    "agents",
    metadata,
    _id(),
    Column("parent", ForeignKey("agents.id")),
    Column("commit", String(40), nullable=False),
    Column("tree", String(40), nullable=False),
    Column("shape", String(200), nullable=False),
    Column("born", Utc, nullable=False),
)

decisions = Table(
    "decisions",
    metadata,
    _id("number"),
    Column("policy", String(200), nullable=False),
    Column("move", String(20), nullable=False),
    Column("agent", ForeignKey("agents.id"), nullable=False),
    Column("task", Text),
    Column("evidence", Text, nullable=False),
    Column("at", Utc, nullable=False),
)

expansions = Table(
    "expansions",
    metadata,
    _id(),
    Column("decision", ForeignKey("decisions.number"), nullable=False),
    Column("parent", ForeignKey("agents.id"), nullable=False),
    Column("entry", Text, nullable=False),
    Column("seed", BigInteger, nullable=False),
    Column("opened", Utc, nullable=False),
    Column("outcome", String(20)),
    Column("reason", Text, nullable=False),
    Column("issue", Text, nullable=False),
    Column("child", ForeignKey("agents.id")),
    Column("closed", Utc),
    Column("seconds", Double, nullable=False),
    *_bill(),
    Column("peer", ForeignKey("agents.id")),
    CheckConstraint("(outcome IS NULL) = (closed IS NULL)", name="closed"),
)

evaluations = Table(
    "evaluations",
    metadata,
    _id(),
    Column("decision", ForeignKey("decisions.number")),
    Column("agent", ForeignKey("agents.id"), nullable=False),
    Column("benchmark", String(200), nullable=False),
    Column("split", String(20), nullable=False),
    Column("task", Text, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("seed", BigInteger, nullable=False),
    Column("opened", Utc, nullable=False),
    Column("outcome", String(20)),
    Column("reason", Text, nullable=False),
    Column("closed", Utc),
    Column("seconds", Double, nullable=False),
    Column("steps", Integer, nullable=False),
    *_bill(),
    Column("source", Text, nullable=False, server_default=""),
    CheckConstraint("(outcome IS NULL) = (closed IS NULL)", name="closed"),
)

calls = Table(
    "calls",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("expansion", ForeignKey("expansions.id"), index=True),
    Column("evaluation", ForeignKey("evaluations.id"), index=True),
    Column("role", String(40), nullable=False),
    Column("model", Text, nullable=False),
    Column("input_tokens", BigInteger, nullable=False),
    Column("cached_tokens", BigInteger, nullable=False),
    Column("output_tokens", BigInteger, nullable=False),
    Column("usd", Double, nullable=False),
    Column("seconds", Double, nullable=False),
    Column("retries", Integer, nullable=False),
    Column("status", Text, nullable=False),
    CheckConstraint("(expansion IS NULL) <> (evaluation IS NULL)", name="one_move"),
)

events = Table(
    "events",
    metadata,
    _id(),
    Column("at", Utc, nullable=False),
    Column("kind", String(40), nullable=False),
    Column("text", Text, nullable=False),
)


def storable(text: str) -> str:
    """Text as a database can hold it: NUL and lone surrogates, which agents may well print, become U+FFFD."""
    return text.replace("\0", "\ufffd").encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def agent_of(row: RowMapping) -> Agent:
    return Agent(**row)


def decision_of(row: RowMapping) -> Decision:
    return Decision(**row)


def expansion_of(row: RowMapping) -> Expansion:
    return Expansion(**_move_fields(row))


def evaluation_of(row: RowMapping) -> Evaluation:
    return Evaluation(**_move_fields(row))


def event_of(row: RowMapping) -> Event:
    return Event(**row)


def call_of(row: RowMapping) -> Call:
    return Call(**{name: value for name, value in row.items() if name not in ("id", "expansion", "evaluation")})


def values_of(record: Agent | Decision | Expansion | Evaluation | Call | Event) -> Values:
    """A record as a row's values; a bill becomes its columns."""
    values = {name: getattr(record, name) for name in record.__slots__ if name != "bill"}
    values = {name: storable(value) if type(value) is str else value for name, value in values.items()}
    if isinstance(record, Expansion | Evaluation):
        values |= {name: getattr(record.bill, name) for name in Bill.__slots__}
        values["outcome"] = None if record.outcome is None else record.outcome.value
    return values


def _move_fields(row: RowMapping) -> Values:
    fields = dict(row)
    fields["bill"] = Bill(**{name: fields.pop(name) for name in Bill.__slots__})
    fields["outcome"] = None if row["outcome"] is None else Outcome(row["outcome"])
    return fields
