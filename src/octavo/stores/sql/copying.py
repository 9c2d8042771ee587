"""All rows of one database of ours in another, as they are: for backups, and to move from SQLite to PostgreSQL."""

from typing import Any

import sqlalchemy as sa

from octavo.errors import Conflict
from octavo.stores.sql.schema import tables

_PAGE = 1_000


def copy_rows(source: sa.Connection, target: sa.Connection) -> dict[str, int]:
    """Copy all rows into tables of the same schema, within the transactions of both; how many rows of each.

    Raises
    ------
    Conflict
        If the target holds anything.
    """
    for table in tables.sorted_tables:
        if not _is_empty(target, table):
            raise Conflict(
                f"the database to copy to has rows already, in the table {table.name!r}; copy to where nothing is: "
                "another file, database or schema"
            )
    copied = {}
    for table in tables.sorted_tables:
        target.execute(sa.delete(table))  # of what an empty store has too
        copied[table.name] = _copy_table(source, target, table)
    return copied


def _copy_table(source: sa.Connection, target: sa.Connection, table: sa.Table) -> int:
    count, order = 0, list(table.primary_key.columns)
    with source.execution_options(yield_per=_PAGE).execute(sa.select(table).order_by(*order)) as rows:
        for page in rows.mappings().partitions():
            target.execute(sa.insert(table), [dict(row) for row in page])
            count += len(page)
    if target.dialect.name == "postgresql" and "seq" in table.c and count:
        target.execute(sa.text(_GO_ON.format(table=table.name)))
    return count


_GO_ON = "SELECT setval(pg_get_serial_sequence('{table}', 'seq'), (SELECT max(seq) FROM {table}))"


def _is_empty(target: sa.Connection, table: sa.Table) -> bool:
    query: Any = sa.select(sa.func.count()).select_from(table)
    if table.name == "audit_head":  # where a trail without events ends
        query = query.where(table.c.sequence > 0)
    return bool(target.scalar(query) == 0)
