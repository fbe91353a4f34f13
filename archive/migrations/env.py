"""Alembic's environment: migrations run on the connection that `archive.engine` hands over, in its transaction."""

from alembic import context

from archive.schema import metadata

# SQLite's DDL is transactional once the driver is told to begin; without this alembic would assume otherwise.
context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=True,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
