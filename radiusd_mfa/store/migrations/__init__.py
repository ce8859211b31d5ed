"""The history of the schema, as alembic revisions that ship inside the package (run by store/upgrade.py)."""
