"""The metadata store's schema, step by step (Alembic)."""
