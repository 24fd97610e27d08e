"""Alembic's entry: `database.open_database` calls it with a connection that is in a transaction already."""

from alembic import context

from edge_runtime.history.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,  # SQLite cannot alter a column in place
    transaction_per_migration=False,
)
context.run_migrations()
