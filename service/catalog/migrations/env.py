"""What Alembic runs: the migrations, on the connection that it is given."""

from __future__ import annotations

from alembic import context

from catalog import tables

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=tables.METADATA,
    render_as_batch=True,  # SQLite changes tables by making new ones
    transaction_per_migration=True,
)
with context.begin_transaction():
    context.run_migrations()
