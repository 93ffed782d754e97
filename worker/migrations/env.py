"""Run by alembic: all steps that a database lacks, in one transaction."""

from __future__ import annotations

from alembic import context

connection = context.config.attributes["connection"]
# SQLite cannot alter most things in place: batch mode copies the table.
context.configure(connection=connection, render_as_batch=True, transaction_per_migration=False)
with context.begin_transaction():
    context.run_migrations()
