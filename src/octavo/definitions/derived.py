"""Sources whose events the user's own SQL makes, from the tables of other sources."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from octavo.definitions.sources import Source
from octavo.definitions.types import ColumnType, DType, seconds
from octavo.errors import InvalidDefinition

COMPUTED_AT = "computed_at"
"""The column that says when a row was computed, where the SQL does not say since when its rows could be known."""


@dataclass(frozen=True, slots=True, init=False)
class SQLSource(Source):
    """Events that a SELECT makes: a row that is new or has changed since the last refresh is an event.

    A row that is no longer selected is not forgotten.

    Parameters
    ----------
    name : str
    sql : str
        One SELECT in DuckDB's dialect over the inputs by their names, which hold what is known now. ``$now`` is the
        platform's time; functions that ask the machine for the time or for chance are refused.
    inputs : sequence of Source
    schema : mapping of column to type
        What the SELECT yields, column by column.
    event_time : str
        The column that says when what a row tells of happened.
    available_at : str or None
        The column that says since when a row could be known. Unless given it is the moment at which the row was first
        computed, in a column `computed_at`. If given, each refresh computes some rows again from what was known at
        their time, and fails if they were not so then: no row may come from the future.
    id : sequence of str or None
        Columns that identify a row; needed unless `available_at` is given, which then identifies it with all others.
    every : str
        How often the worker refreshes it.
    description, owner : str
    """

    sql: str
    inputs: tuple[Source, ...]
    every_s: int
    row_id: tuple[str, ...]

    def __init__(
        self,
        name: str,
        *,
        sql: str,
        inputs: Sequence[Source],
        schema: Mapping[str, ColumnType],
        event_time: str,
        available_at: str | None = None,
        id: Sequence[str] | None = None,
        every: str = "1h",
        description: str = "",
        owner: str = "",
    ) -> None:
        if COMPUTED_AT in schema:
            raise InvalidDefinition(f"source {name!r}: the platform makes the column {COMPUTED_AT!r}; leave it out")
        if available_at is None and not id:
            raise InvalidDefinition(
                f"source {name!r}: say which columns identify a row, id=[...], so that one that changes is known again"
            )
        if not inputs or not all(isinstance(source, Source) for source in inputs):
            raise InvalidDefinition(f"source {name!r}: inputs are the sources that its SQL reads, at least one")
        columns = schema if available_at else {**schema, COMPUTED_AT: DType.TIMESTAMP}
        row_id = tuple(id or schema)
        Source.__init__(
            self,
            name,
            event_time=event_time,
            available_at=available_at or COMPUTED_AT,
            schema=columns,
            id=tuple(columns) if available_at else (*row_id, COMPUTED_AT),
            description=description,
            owner=owner,
        )
        put = object.__setattr__
        put(self, "sql", sql.strip().rstrip(";"))
        put(self, "inputs", tuple(inputs))
        put(self, "every_s", seconds(every, what="interval"))
        put(self, "row_id", row_id)

    @property
    def is_computed(self) -> bool:
        """Whether its rows could be known only once they were computed."""
        return self.available_at == COMPUTED_AT

    @property
    def selected(self) -> tuple[str, ...]:
        """The columns that the SELECT yields."""
        return tuple(name for name in self.columns if name != COMPUTED_AT)


def with_inputs(sources: Iterable[Source]) -> Iterator[Source]:
    """Sources, each behind the inputs that its SQL reads."""
    for source in sources:
        if isinstance(source, SQLSource):
            yield from with_inputs(source.inputs)
        yield source
