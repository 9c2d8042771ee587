"""Alembic's way in: migrates over the connection that `octavo.stores.sql` hands it, within its transaction."""

from alembic import context

context.configure(connection=context.config.attributes["connection"], transactional_ddl=True)
context.run_migrations()
