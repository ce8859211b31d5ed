"""What alembic loads to run revisions: inside the transaction of the connection that upgrade.py hands over."""

from alembic import context

from radiusd_mfa.store.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    # SQLite's DDL is transactional once the driver doesn't begin and commit by guess; database.py sees to that.
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
