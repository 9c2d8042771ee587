"""All that is written in a database of ours, for who looks for mentions of something."""

from collections.abc import Iterator

import sqlalchemy as sa

from octavo.stores.sql.schema import records, tables

_PAGE = 1_000


def read(connection: sa.Connection) -> Iterator[tuple[str, str, str]]:
    """See `Transaction.texts`; bodies of records are read as they are written, and not taken apart."""
    for table in tables.sorted_tables:
        named = (records.c.kind, records.c.key) if table is records else (sa.literal(table.name), sa.literal(""))
        written = [sa.cast(column, sa.Text) for column in table.c if isinstance(column.type, sa.Text | sa.JSON)]
        query = sa.select(*named, *written)
        for of, key, *found in connection.execute(query, execution_options={"yield_per": _PAGE}):
            yield of, key, "\n".join(found)
