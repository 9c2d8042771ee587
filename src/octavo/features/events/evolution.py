"""What becomes of the table of a source whose declaration has changed."""

from octavo.definitions.project import Project
from octavo.definitions.sources import Source
from octavo.errors import Conflict, InvalidDefinition
from octavo.features.events.payloads import table_of, table_schema
from octavo.stores.columns import added_columns, plain
from octavo.stores.ports import Tables


def check_tables(project: Project, tables: Tables) -> None:
    """Refuse sources that do not fit the events which their tables hold.

    Raises
    ------
    InvalidDefinition
        If a source no longer has a column that its table holds, or has it of another type.
    """
    for source in _held(project, tables):
        table = table_of(source.name)
        existing = plain(tables.query("SELECT * FROM events LIMIT 0", tables={"events": table}).schema)
        try:
            added_columns(existing, plain(table_schema(source)), table=table)
        except Conflict as error:
            raise _unfit(source, error) from error


def fit_tables(project: Project, tables: Tables) -> None:
    """Add the columns that sources now have to their tables, null in all events that are there.

    Raises
    ------
    InvalidDefinition
        As `check_tables`.
    """
    for source in _held(project, tables):
        try:
            tables.ensure(table_of(source.name), table_schema(source))
        except Conflict as error:
            raise _unfit(source, error) from error


def _held(project: Project, tables: Tables) -> list[Source]:
    """Sources that have a table."""
    return [source for source in project.sources.values() if tables.version(table_of(source.name)) >= 0]


def _unfit(source: Source, error: Conflict) -> InvalidDefinition:
    return InvalidDefinition(
        f"source {source.name!r} holds events that its schema does not fit: {error.message}. Columns can be added; one "
        "that is there keeps its type and stays declared, though nobody need send it. For anything else give the "
        "source a new name"
    )
