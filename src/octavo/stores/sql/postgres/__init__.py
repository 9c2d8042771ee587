"""PostgreSQL: where it is, how it is spoken to, and what a database of ours there is."""

from octavo.stores.sql.postgres.address import SCHEME, PostgresAddress
from octavo.stores.sql.postgres.database import PostgresDatabase, plain_engine

__all__ = ["SCHEME", "PostgresAddress", "PostgresDatabase", "plain_engine"]
