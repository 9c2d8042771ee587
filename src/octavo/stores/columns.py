"""What columns a table can have, and whether rows fit them."""

import pyarrow as pa

from octavo.errors import Conflict, InvalidRequest

TIME = pa.timestamp("us", tz="UTC")
_AS_THEY_ARE = (
    pa.bool_(),
    pa.int8(),
    pa.int16(),
    pa.int32(),
    pa.int64(),
    pa.float32(),
    pa.float64(),
    pa.string(),
    pa.binary(),
    TIME,
)


def plain(schema: pa.Schema) -> pa.Schema:
    """A schema as tables keep it: columns by name and type alone.

    Large and fixed-size strings, bytes and lists are kept as the plain ones; nulls may stand in every column.

    Raises
    ------
    InvalidRequest
        For a type that tables do not keep.
    """
    return pa.schema([pa.field(field.name, _plain(field.type, column=field.name)) for field in schema])


def in_utc(table: pa.Table) -> pa.Table:
    """A table with its times of any zone as timestamp[us, tz=UTC]."""
    wanted = [
        field.with_type(TIME) if pa.types.is_timestamp(field.type) and field.type.tz else field
        for field in table.schema
    ]
    return table.cast(pa.schema(wanted))


def added_columns(existing: pa.Schema, wanted: pa.Schema, *, table: str) -> list[pa.Field]:
    """The columns that a table still lacks.

    Raises
    ------
    Conflict
        If it has one that is not wanted, or is wanted of another type.
    """
    kept = [wanted.field(field.name) for field in existing if field.name in wanted.names]
    if kept != list(existing):
        columns = ", ".join(f"{field.name} {field.type}" for field in existing)
        raise Conflict(f"table {table!r} exists with other columns: {columns}", table=table)
    return [field for field in wanted if field.name not in existing.names]


def conform(rows: pa.Table, schema: pa.Schema, *, table: str) -> pa.Table:
    """Rows with their columns in a table's order and types.

    Raises
    ------
    Conflict
        If columns are missing or unknown, or a value does not fit the table's type.
    """
    missing, unknown = set(schema.names) - set(rows.column_names), set(rows.column_names) - set(schema.names)
    if missing or unknown:
        wrong = [f"lack {name!r}" for name in sorted(missing)] + [f"bring {name!r}" for name in sorted(unknown)]
        raise Conflict(f"rows do not fit table {table!r}: they {', '.join(wrong)}", table=table)
    try:
        return rows.select(schema.names).cast(schema)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise Conflict(f"rows do not fit table {table!r}: {error}", table=table) from error


def _plain(kind: pa.DataType, *, column: str) -> pa.DataType:
    if kind in _AS_THEY_ARE:
        return kind
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return pa.string()
    if pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind) or pa.types.is_binary_view(kind):
        return pa.binary()
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return pa.list_(pa.field("element", _plain(kind.value_type, column=column)))
    raise InvalidRequest(
        f"column {column!r} has type {kind}, which tables do not keep",
        field=column,
        fix="use bool, int8 to int64, float32, float64, string, binary, timestamp[us, tz=UTC], or lists of these",
    )
