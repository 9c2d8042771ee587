"""Metadata in a SQL database."""

from octavo.stores.sql.metadata import SqlMetadata

__all__ = ["SqlMetadata"]
