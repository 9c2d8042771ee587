"""How records are written down: plain values that are valid JSON, and back."""

import math
from collections.abc import Mapping
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any, TypeVar, cast

import msgspec

from octavo.errors import IntegrityError
from octavo.stores.ports import Record

R = TypeVar("R", bound=Record)

Body = dict[str, Any]
Scalar = str | int | float | bool | None


def encode(record: Record) -> Body:
    """The fields of a record as plain values.

    Times become RFC 3339 strings in UTC; a number that is not finite, which JSON cannot hold, becomes ``"nan"``,
    ``"inf"`` or ``"-inf"``, which `decode` turns back.

    Raises
    ------
    ValueError
        If a time has no zone.
    """
    return cast("Body", _json(msgspec.to_builtins(record, builtin_types=(datetime,))))


def decode(record_type: type[R], body: Body) -> R:
    """The record of a body that `encode` made, perhaps by an older release: absent fields take their defaults.

    Raises
    ------
    IntegrityError
        If the body does not fit the type.
    """
    try:
        return msgspec.convert(body, record_type)
    except msgspec.ValidationError:
        pass
    try:
        return msgspec.convert(body, record_type, strict=False)
    except msgspec.ValidationError as error:
        raise IntegrityError(
            f"a stored {record_type.kind} cannot be read as {record_type.__name__}: {error}; "
            "it was written by another release or changed by hand"
        ) from error


def conditions(record_type: type[Record], equal: Mapping[str, object]) -> dict[str, Scalar]:
    """The plain values that top-level fields shall equal.

    Raises
    ------
    TypeError
        If the type has no such field, or a value is not a single one.
    """
    known = {field.name for field in fields(cast("Any", record_type))}
    plain: dict[str, Scalar] = {}
    for name, value in equal.items():
        if name not in known:
            raise TypeError(f"{record_type.__name__} has no field {name!r}; it has: {', '.join(sorted(known))}")
        scalar = _json(msgspec.to_builtins(value, builtin_types=(datetime,)))
        if not isinstance(scalar, str | int | float | bool | None):
            raise TypeError(f"{record_type.__name__}.{name}: records are found by single values, not by {scalar!r}")
        plain[name] = scalar
    return plain


def _json(value: object) -> object:
    if isinstance(value, dict):
        return {key: _json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_json(item) for item in value]
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ValueError(f"{value} has no time zone, and so no place on the time line")
        return value.astimezone(UTC).isoformat()
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value
