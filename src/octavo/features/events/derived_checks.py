"""Whether the SQL of a source can be right: one SELECT over its inputs, the same whenever it is run, of its columns."""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
import pyarrow as pa

from octavo.clock import EPOCH
from octavo.definitions.derived import SQLSource
from octavo.definitions.project import Project
from octavo.definitions.types import DType, Field
from octavo.errors import InvalidDefinition, InvalidRequest
from octavo.features.events.payloads import column_schema
from octavo.stores.ports import Tables

_UNSTEADY = frozenset(
    {
        *("now", "current_timestamp", "current_date", "current_time", "localtime", "localtimestamp", "today"),
        *("get_current_time", "get_current_timestamp", "transaction_timestamp", "random", "setseed", "uuid"),
        *("gen_random_uuid", "uuidv4", "uuidv7", "nextval", "currval", "getenv", "current_setting"),
    }
)
"""Functions whose answers depend on when or where they are asked."""
_PURE_TABLES = frozenset({"unnest", "range", "generate_series"})
_KINDS = {
    DType.FLOAT64: "a number",
    DType.INT64: "a whole number",
    DType.BOOL: "a boolean",
    DType.STRING: "text",
    DType.TIMESTAMP: "a time with a zone",
}


def check_derived(project: Project, tables: Tables) -> None:
    """Check the SQL of all sources that have one.

    Raises
    ------
    InvalidDefinition
        For the first that cannot be right, with the reason.
    """
    for source in project.sources.values():
        if isinstance(source, SQLSource):
            _check_statement(source, tables)
            _check_columns(source, tables)


def _check_statement(source: SQLSource, tables: Tables) -> None:
    found = tables.query("SELECT json_serialize_sql($sql) AS tree", tables={}, parameters={"sql": source.sql})
    tree = msgspec.json.decode(found.column("tree")[0].as_py())
    if tree.get("error"):
        raise _wrong(source, str(tree.get("error_message")))
    if len(tree["statements"]) != 1:
        raise _wrong(source, "it must be one SELECT")
    nodes = list(_nodes(tree))
    known = {each.name for each in source.inputs} | {
        entry["key"] for node in nodes for entry in node.get("cte_map", {}).get("map", ())
    }
    for node in nodes:
        _check_node(node, source, known=known)


def _check_node(node: Mapping[str, Any], source: SQLSource, *, known: set[str]) -> None:
    match node.get("type"):
        case "BASE_TABLE":
            name = ".".join(filter(None, (node.get("catalog_name"), node.get("schema_name"), node["table_name"])))
            if name not in known:
                inputs = ", ".join(each.name for each in source.inputs)
                raise _wrong(source, f"it reads {name!r}, which is none of its inputs: {inputs}")
        case "TABLE_FUNCTION" if (name := node["function"].get("function_name", "")) not in _PURE_TABLES:
            raise _wrong(source, f"it reads from {name}(), and may read its inputs only")
        case "FUNCTION" if node.get("function_name", "").lower() in _UNSTEADY:
            raise _wrong(source, f"{node['function_name']}() differs from run to run; the platform's time is $now")
        case "COLUMN_REF" if len(node["column_names"]) == 1 and node["column_names"][0].lower() in _UNSTEADY:
            raise _wrong(source, f"{node['column_names'][0]} differs from run to run; the platform's time is $now")
        case "VALUE_PARAMETER" if node.get("identifier") != "now":
            raise _wrong(source, f"it has a parameter ${node.get('identifier')}; there is only $now")


def _check_columns(source: SQLSource, tables: Tables) -> None:
    """Run the SELECT over empty inputs, and compare what it yields with what is declared."""
    frames = {each.name: column_schema(each).empty_table() for each in source.inputs}
    parameters = {"now": EPOCH} if "$now" in source.sql else {}
    try:
        found = tables.query(source.sql, tables={}, frames=frames, parameters=parameters).schema
    except InvalidRequest as error:
        raise _wrong(source, error.message) from error
    missing, unknown = set(source.selected) - set(found.names), set(found.names) - set(source.selected)
    if missing or unknown or len(found.names) != len(source.selected):
        raise _wrong(
            source, f"it yields the columns {', '.join(found.names)}, and declares {', '.join(source.selected)}"
        )
    for name in source.selected:
        declared, kind = source.field(name), found.field(name).type
        if not _fits(kind, declared):
            raise _wrong(source, f"column {name!r} is of type {kind}, not {_kind(declared)}; cast it")


def _kind(field: Field) -> str:
    item = _item(field)
    return f"a list of which each value is {_KINDS[item]}" if item else _KINDS[field.dtype]


def _item(field: Field) -> DType | None:
    """What a vector or a list holds."""
    return DType.FLOAT64 if field.dtype is DType.VECTOR else field.item


def _fits(kind: pa.DataType, field: Field) -> bool:
    """Whether a cast changes no value, or only fails for one that is too large."""
    if item := _item(field):
        is_list = pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind)
        return is_list and _fits_one(kind.value_type, item)
    return _fits_one(kind, field.dtype)


def _fits_one(kind: pa.DataType, dtype: DType) -> bool:
    is_whole = pa.types.is_integer(kind) or (pa.types.is_decimal(kind) and kind.scale == 0)
    fits = {
        DType.FLOAT64: is_whole or pa.types.is_floating(kind) or pa.types.is_decimal(kind),
        DType.INT64: is_whole,
        DType.BOOL: pa.types.is_boolean(kind),
        DType.STRING: pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind),
        DType.TIMESTAMP: pa.types.is_timestamp(kind) and kind.tz is not None,
    }
    return bool(fits[dtype])


def _nodes(tree: Any) -> Iterator[Mapping[str, Any]]:
    """All objects in a tree."""
    if isinstance(tree, dict):
        yield tree
        for value in tree.values():
            yield from _nodes(value)
    elif isinstance(tree, list):
        for item in tree:
            yield from _nodes(item)


def _wrong(source: SQLSource, what: str) -> InvalidDefinition:
    return InvalidDefinition(f"source {source.name!r}: its SQL cannot be right: {what}")
