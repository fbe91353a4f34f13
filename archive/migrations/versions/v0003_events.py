"""Events beside the moves (the sealed split was opened), and expansions that name a second agent to learn from."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "events",
        sa.Column("id", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("kind", sa.String(40), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_events"),
    )
    # In SQL, because alembic would copy the whole table to add a reference in SQLite, and drop the old one under its
    # calls; SQLite and PostgreSQL both can add such a column in place.
    op.execute("ALTER TABLE expansions ADD COLUMN peer INTEGER CONSTRAINT fk_expansions_peer REFERENCES agents (id)")
