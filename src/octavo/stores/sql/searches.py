"""Searches among records in a SQL database: conditions and orders over JSON bodies, every value bound."""

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from octavo.errors import InvalidRequest
from octavo.stores.ports import R
from octavo.stores.records import decode
from octavo.stores.searches import INFINITE, NUMBER, Comparing, Condition, Found, Order, Search, Value
from octavo.stores.sql.schema import records

Column = sa.ColumnElement[Any]

_PLAIN: Mapping[Comparing, Callable[[Any, Any], Any]] = {
    Comparing.EQUAL: operator.eq,
    Comparing.UNEQUAL: operator.ne,
    Comparing.LESS: operator.lt,
    Comparing.AT_MOST: operator.le,
    Comparing.MORE: operator.gt,
    Comparing.AT_LEAST: operator.ge,
}


def find(connection: sa.Connection, record_type: type[R], search: Search) -> Found[R]:
    """See `Transaction.search`."""
    dialect = connection.dialect.name
    keys = [_field(order.path, numeric=order.numeric, dialect=dialect) for order in search.order]
    query = sa.select(records.c.body, *(key.label(f"key_{i}") for i, key in enumerate(keys)), records.c.seq)
    query = query.where(records.c.kind == record_type.kind)
    query = query.where(*(_fulfilled(condition, dialect) for condition in search.where))
    if search.after is not None:
        query = query.where(_after(search.after, keys, search.order))
    query = query.order_by(*_orders(keys, search.order), records.c.seq.desc()).limit(search.limit + 1)
    rows = connection.execute(query).all()
    kept = rows[: search.limit]
    last = tuple(kept[-1][1:]) if len(rows) > search.limit and kept else None
    return Found(records=[decode(record_type, row[0]) for row in kept], last=last)


def _fulfilled(condition: Condition, dialect: str) -> Column:
    field = _field(condition.path, numeric=condition.numeric, dialect=dialect)
    values: Sequence[Any] = condition.values
    if condition.comparing in _PLAIN:
        plain: Column = _PLAIN[condition.comparing](field, values[0])
        return plain
    match condition.comparing:
        case Comparing.PRESENT:
            return field.is_not(None)
        case Comparing.ABSENT:
            return field.is_(None)
        case Comparing.IN:
            return field.in_(values)
        case Comparing.NOT_IN:
            return field.not_in(values)
        case Comparing.LIKE | Comparing.ILIKE:
            return _like(field, str(values[0]), any_case=condition.comparing is Comparing.ILIKE, dialect=dialect)
    raise AssertionError(f"{condition.comparing} has a meaning above")


def _field(path: Sequence[str], *, numeric: bool, dialect: str) -> Column:
    """A field of a body; absent, null, or no number where numbers are wanted, is NULL."""
    if dialect == "sqlite":
        return _field_of_sqlite(path, numeric=numeric)
    found: Any = records.c.body
    for name in path:
        found = found[name]
    text: Column = found.as_string()
    if not numeric:
        return sa.collate(text, "C")
    infinite = [(text == written, sa.literal(value, sa.Double)) for written, value in INFINITE.items()]
    is_number = sa.or_(sa.func.json_typeof(found) == "number", text.regexp_match(f"^{NUMBER}$"))
    return sa.case(*infinite, (is_number, sa.cast(text, sa.Double)), else_=sa.null())


def _field_of_sqlite(path: Sequence[str], *, numeric: bool) -> Column:
    """As it is kept, not as text: SQLite would shorten numbers on the way."""
    if any('"' in name or "\\" in name for name in path):
        raise InvalidRequest(f"{path[-1]!r} is no name of a field", field="where", fix="leave out the quotes")
    place = "$" + "".join(f'."{name}"' for name in path)
    found = sa.func.json_extract(records.c.body, place)
    if numeric:
        return sa.func.number_in(found, type_=sa.Double)  # `octavo.stores.searches.number_in`
    return sa.type_coerce(found, sa.Text)


def _like(field: Column, text: str, *, any_case: bool, dialect: str) -> Column:
    if dialect == "postgresql":
        escaped = text.replace("\\", "\\\\")
        return field.ilike(escaped) if any_case else field.like(escaped)
    if any_case:  # in SQLite LIKE takes no notice of the case of ASCII letters
        return field.like(text)
    glob = "".join({"%": "*", "_": "?", "*": "[*]", "?": "[?]", "[": "[[]"}.get(c, c) for c in text)
    return field.op("GLOB", is_comparison=True)(glob)


def _orders(keys: Sequence[Column], orders: Sequence[Order]) -> list[Column]:
    return [
        (key.desc() if order.descending else key.asc()).nulls_last() for key, order in zip(keys, orders, strict=True)
    ]


def _after(place: Sequence[Value], keys: Sequence[Column], orders: Sequence[Order]) -> Column:
    """Whether a record comes after a place: equal in the first keys, behind in the next."""
    later: list[Column] = []
    equal: list[Column] = []
    for value, key, order in zip(place, keys, orders, strict=False):
        if value is not None:
            behind = key < value if order.descending else key > value
            later.append(sa.and_(*equal, sa.or_(behind, key.is_(None))))
        equal.append(key.is_(None) if value is None else key == value)
    return sa.or_(*later, sa.and_(*equal, records.c.seq < place[-1]))
