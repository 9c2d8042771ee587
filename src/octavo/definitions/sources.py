"""Where events come from, and what they are about."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from octavo.definitions.lists import list_in
from octavo.definitions.types import ColumnType, DType, Field, Schema, check_name, schema_of
from octavo.errors import InvalidDefinition


@dataclass(frozen=True, slots=True)
class Entity:
    """What features are about: a customer, a plane, an airport.

    Parameters
    ----------
    name : str
    key : str
        The column that identifies one of them, in every source and request. A source that has it under another name
        maps it with ``FeatureView(..., key="tail_number")``.
    dtype : DType
        String or Int64.
    description : str
    """

    name: str
    key: str
    dtype: DType = DType.STRING
    description: str = ""

    def __post_init__(self) -> None:
        check_name(self.name, what="entity")
        check_name(self.key, what="key column")
        if self.dtype not in (DType.STRING, DType.INT64):
            raise InvalidDefinition(f"entity {self.name!r}: a key is a String or an Int64, not {self.dtype}")


@dataclass(frozen=True, slots=True, init=False)
class Source:
    """A stream of immutable events.

    Parameters
    ----------
    name : str
    event_time : str
        The column that says when the event happened.
    available_at : str or None
        The column that says when it could be known; the event time unless given. Never before the event time: an event
        that claims so is refused.
    schema : mapping of column to type
        All columns, both times included.
    id : sequence of str or None
        Columns that identify an event, so that one sent twice counts once; all columns unless given.
    description, owner : str
    """

    name: str
    event_time: str
    available_at: str
    schema: Schema
    id: tuple[str, ...]
    description: str
    owner: str

    def __init__(
        self,
        name: str,
        *,
        event_time: str,
        schema: Mapping[str, ColumnType],
        available_at: str | None = None,
        id: Sequence[str] | None = None,
        description: str = "",
        owner: str = "",
    ) -> None:
        check_name(name, what="source")
        put = object.__setattr__
        put(self, "name", name)
        put(self, "event_time", event_time)
        put(self, "available_at", available_at or event_time)
        put(self, "schema", schema_of(schema, owner=f"source {name!r}"))
        put(self, "id", tuple(id) if id is not None else tuple(schema))
        put(self, "description", description)
        put(self, "owner", owner)
        for role, column in (("event_time", self.event_time), ("available_at", self.available_at)):
            if self.dtype(column, role=role) is not DType.TIMESTAMP:
                raise InvalidDefinition(f"source {name!r}: {role} column {column!r} must be an oc.Timestamp")
        for column in self.id:
            self.dtype(column, role="id")

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(field.name for field in self.schema)

    def dtype(self, column: str, *, role: str = "column") -> DType:
        """The type of a column.

        Raises
        ------
        InvalidDefinition
            If the source has no such column.
        """
        return self.field(column, role=role).dtype

    def field(self, column: str, *, role: str = "column") -> Field:
        """A column, or the length of one of lists (``len(basket)``), which is a whole number.

        Raises
        ------
        InvalidDefinition
            If the source has no such column.
        """
        for field in self.schema:
            if field.name == column:
                return field
        counted = list_in(column)
        if counted is not None and self.dtype(counted, role=role) is DType.LIST:
            return Field(name=column, dtype=DType.INT64)
        raise InvalidDefinition(
            f"source {self.name!r} has no column {column!r} (wanted as {role}); it has: {', '.join(self.columns)}"
        )
