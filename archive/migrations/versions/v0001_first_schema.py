"""The first schema: agents, decisions, expansions, evaluations, calls, meta.

Written out in full and never edited again: a migration says what the tables were then, whatever `archive.schema` says
now.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_TIME = sa.DateTime(timezone=True)


def _required(name: str, kind: sa.types.TypeEngine[Any]) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=False)


def _bill() -> list[sa.Column[Any]]:
    counts = ("calls", "input_tokens", "cached_tokens", "output_tokens")
    return [*(_required(name, sa.BigInteger()) for name in counts), _required("usd", sa.Double())]


def _primary(table: str, name: str = "id") -> sa.PrimaryKeyConstraint:
    return sa.PrimaryKeyConstraint(name, name=f"pk_{table}")


def _refers(table: str, column: str, target: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [target], name=f"fk_{table}_{column}")


def upgrade() -> None:
    op.create_table("meta", _required("key", sa.String(200)), _required("value", sa.Text()), _primary("meta", "key"))
    op.create_table(
        "agents",
        sa.Column("id", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("parent", sa.Integer()),
        _required("commit", sa.String(40)),
        _required("tree", sa.String(40)),
        _required("shape", sa.String(200)),
        _required("born", _TIME),
        _primary("agents"),
        _refers("agents", "parent", "agents.id"),
    )
    op.create_table(
        "decisions",
        sa.Column("number", sa.Integer(), nullable=False, autoincrement=False),
        _required("policy", sa.String(200)),
        _required("move", sa.String(20)),
        _required("agent", sa.Integer()),
        sa.Column("task", sa.Text()),
        _required("evidence", sa.Text()),
        _required("at", _TIME),
        _primary("decisions", "number"),
        _refers("decisions", "agent", "agents.id"),
    )
    op.create_table(
        "expansions",
        sa.Column("id", sa.Integer(), nullable=False, autoincrement=False),
        _required("decision", sa.Integer()),
        _required("parent", sa.Integer()),
        _required("entry", sa.Text()),
        _required("seed", sa.BigInteger()),
        _required("opened", _TIME),
        sa.Column("outcome", sa.String(20)),
        _required("reason", sa.Text()),
        _required("issue", sa.Text()),
        sa.Column("child", sa.Integer()),
        sa.Column("closed", _TIME),
        _required("seconds", sa.Double()),
        *_bill(),
        _primary("expansions"),
        _refers("expansions", "decision", "decisions.number"),
        _refers("expansions", "parent", "agents.id"),
        _refers("expansions", "child", "agents.id"),
        sa.CheckConstraint("(outcome IS NULL) = (closed IS NULL)", name=op.f("ck_expansions_closed")),
    )
    op.create_table(
        "evaluations",
        sa.Column("id", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("decision", sa.Integer()),
        _required("agent", sa.Integer()),
        _required("benchmark", sa.String(200)),
        _required("split", sa.String(20)),
        _required("task", sa.Text()),
        _required("attempt", sa.Integer()),
        _required("seed", sa.BigInteger()),
        _required("opened", _TIME),
        sa.Column("outcome", sa.String(20)),
        _required("reason", sa.Text()),
        sa.Column("closed", _TIME),
        _required("seconds", sa.Double()),
        _required("steps", sa.Integer()),
        *_bill(),
        _primary("evaluations"),
        _refers("evaluations", "decision", "decisions.number"),
        _refers("evaluations", "agent", "agents.id"),
        sa.CheckConstraint("(outcome IS NULL) = (closed IS NULL)", name=op.f("ck_evaluations_closed")),
    )
    op.create_table(
        "calls",
        sa.Column("id", sa.Integer(), nullable=False, autoincrement=True),
        sa.Column("expansion", sa.Integer()),
        sa.Column("evaluation", sa.Integer()),
        _required("role", sa.String(40)),
        _required("model", sa.Text()),
        _required("input_tokens", sa.BigInteger()),
        _required("cached_tokens", sa.BigInteger()),
        _required("output_tokens", sa.BigInteger()),
        _required("usd", sa.Double()),
        _required("seconds", sa.Double()),
        _required("retries", sa.Integer()),
        _required("status", sa.Text()),
        _primary("calls"),
        _refers("calls", "expansion", "expansions.id"),
        _refers("calls", "evaluation", "evaluations.id"),
        sa.CheckConstraint("(expansion IS NULL) <> (evaluation IS NULL)", name=op.f("ck_calls_one_move")),
    )
    op.create_index("ix_calls_expansion", "calls", ["expansion"])
    op.create_index("ix_calls_evaluation", "calls", ["evaluation"])
