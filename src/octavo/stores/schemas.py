"""Whether rows fit a table."""

import pyarrow as pa

from octavo.errors import Conflict


def same_schema(left: pa.Schema, right: pa.Schema) -> bool:
    """Whether two schemas have the same columns in the same order, apart from how Arrow happens to lay them out.

    Large and fixed-size strings, bytes and lists count as the plain ones; whether nulls may stand in a column is left
    out, as tables allow them everywhere.
    """
    return [(f.name, _plain(f.type)) for f in left] == [(f.name, _plain(f.type)) for f in right]


def conform(rows: pa.Table, schema: pa.Schema, *, table: str) -> pa.Table:
    """Rows with their columns in a table's order and types; values are never changed by it.

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
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, ValueError) as error:
        raise Conflict(f"rows do not fit table {table!r}: {error}", table=table) from error


def _plain(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return pa.string()
    if pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind) or pa.types.is_binary_view(kind):
        return pa.binary()
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return pa.list_(pa.field("item", _plain(kind.value_type)))
    return kind
