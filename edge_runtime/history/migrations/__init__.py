"""How a store of any age becomes one of today: Alembic's revisions, run by `database.open_database`."""
