"""From the bytes of a request to typed rows, or to an error that names the field and the fix.

The schema is the deployment's own: a msgspec decoder is made from its lookup plan, so that a row is checked while it is
parsed. Nothing nests deeper than ``{"rows": [{field: scalar}]}``, whatever is sent, because the decoder refuses a
container in a scalar's place as soon as it begins.
"""

import re
from collections.abc import Callable, Sequence
from datetime import datetime
from difflib import get_close_matches
from typing import Annotated, Any, NamedTuple

import msgspec
import numpy as np
from msgspec import UNSET, Meta, UnsetType
from msgspec.structs import astuple

from octavo.definitions.plans import PlannedField
from octavo.definitions.types import DType
from octavo.errors import InvalidRequest, LimitExceeded
from octavo.serving.malformed import duplicate_key, explain_malformed

LARGEST_FLOAT32 = 3.4028234663852886e38
LONGEST_STRING = 1024
"""Characters."""
FIRST_YEAR, LAST_YEAR = 1900, 2200

_LONGEST_NAME = 80
_LONG_BODY = 4096
_COLON = ord(":")
_KEY = re.compile(rb'"\s*:')
_PLACE = re.compile(r" - at `\$\.?([^`]*)`\Z")
_NAMED = re.compile(r"Object (missing required|contains unknown) field `(.*)`\Z", re.DOTALL)

_TYPES: dict[DType, Any] = {
    DType.FLOAT64: Annotated[float, Meta(ge=-LARGEST_FLOAT32, le=LARGEST_FLOAT32)],
    DType.INT64: Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)],
    DType.BOOL: bool,
    DType.STRING: Annotated[str, Meta(max_length=LONGEST_STRING)],
    DType.CATEGORY: Annotated[str, Meta(max_length=LONGEST_STRING)],
    DType.TIMESTAMP: Annotated[datetime, Meta(tz=True)],
}
_WANTED = {
    DType.FLOAT64: f"a number between -{LARGEST_FLOAT32:.8g} and {LARGEST_FLOAT32:.8g}",
    DType.INT64: "a whole number of 64 bits",
    DType.BOOL: "true or false",
    DType.STRING: f"a string of at most {LONGEST_STRING} characters",
    DType.CATEGORY: f"a string of at most {LONGEST_STRING} characters",
    DType.TIMESTAMP: (
        f'an RFC 3339 time with an offset, of a year from {FIRST_YEAR} to {LAST_YEAR}: "2026-01-31T09:30:00+01:00"'
    ),
}
_SHAPE = 'send {"rows": [{...}, ...]}'

Scalar = str | int | float | bool | datetime | None
Row = tuple[Scalar, ...]


class Fields(NamedTuple):
    """Rows of a request, field by field.

    Attributes
    ----------
    values : sequence of sequence
        In the order of the fields, a value for each row; None for null and for what is left out.
    """

    n_rows: int
    values: Sequence[Sequence[Any]]


class RequestDecoder:
    """Decodes the requests of one deployment.

    Parameters
    ----------
    fields : sequence of PlannedField
        All that a row may hold.
    max_rows : int
    """

    def __init__(self, fields: Sequence[PlannedField], *, max_rows: int) -> None:
        self.names = tuple(field.name for field in fields)
        self.places = {name: place for place, name in enumerate(self.names)}
        self.dtypes = {field.name: field.dtype for field in fields}
        self.required = frozenset(field.name for field in fields if field.required)
        self._fields = {field.name: field for field in fields}
        self.max_rows = max_rows
        self._optional = [place for place, field in enumerate(fields) if not field.required]
        self._times = [place for place, field in enumerate(fields) if field.dtype is DType.TIMESTAMP]
        row = msgspec.defstruct(
            "Row", [_declared(field) for field in fields], forbid_unknown_fields=True, kw_only=True, gc=False
        )
        body = msgspec.defstruct(
            "Body",
            [("rows", Annotated[list[row], Meta(min_length=1, max_length=max_rows)])],  # type: ignore[valid-type]
            forbid_unknown_fields=True,
        )
        self._body: Any = body
        self._decode: Callable[[bytes], Any] = msgspec.json.Decoder(body).decode
        self._n_keys = len(fields)

    def decode(self, body: bytes) -> list[Row]:
        """The rows, each with one value per field in the order of `names`; None for null and for what is left out.

        Raises
        ------
        InvalidRequest
            If the body is no JSON, holds a key twice, or a row does not fit the schema.
        LimitExceeded
            If there are too many rows.
        """
        rows = [astuple(row) for row in self._parse(body)]
        absent = self._count_absent(rows) if self._optional else 0
        if has_more_keys(body, 1 + len(rows) * self._n_keys - absent):
            duplicate_key(body)
        return self._completed(rows, absent=absent) if absent or self._times else rows

    def decode_fields(self, body: bytes) -> Fields:
        """As `decode`, but field by field, which of many rows takes less."""
        rows, width = self._parse(body), self._n_keys
        values: list[Any] = []
        for row in rows:  # a thousand tuples at once would be looked through by the collector of garbage
            values += astuple(row)
        fields = [values[place::width] for place in range(width)]
        absent = sum(fields[place].count(UNSET) for place in self._optional)
        if has_more_keys(body, 1 + len(rows) * width - absent):
            duplicate_key(body)
        if absent:
            for place in self._optional:
                fields[place] = [None if value is UNSET else value for value in fields[place]]
        for place in self._times:
            self._check_years(fields[place], place=place)
        return Fields(len(rows), fields)

    def convert(self, records: Sequence[dict[str, Any]]) -> list[Row]:
        """As `decode`, of rows that are objects already; each holds a key once, since they are."""
        try:
            rows = list(map(astuple, msgspec.convert({"rows": records}, self._body).rows))
        except msgspec.ValidationError as error:
            raise self._explain(str(error)) from error
        return self._completed(rows, absent=self._count_absent(rows))

    def _parse(self, body: bytes) -> list[Any]:
        try:
            rows: list[Any] = self._decode(body).rows
        except msgspec.ValidationError as error:
            raise self._explain(str(error)) from error
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise explain_malformed(body, error) from error
        return rows

    def _count_absent(self, rows: Sequence[tuple[Any, ...]]) -> int:
        return sum(row[place] is UNSET for place in self._optional for row in rows)

    def _completed(self, rows: list[Any], *, absent: int) -> list[Row]:
        if absent:
            rows = [tuple(None if value is UNSET else value for value in row) for row in rows]
        for place in self._times:
            self._check_years([row[place] for row in rows], place=place)
        return rows

    def _check_years(self, moments: Sequence[datetime | None], *, place: int) -> None:
        for number, moment in enumerate(moments):
            if moment is not None and not FIRST_YEAR <= moment.year <= LAST_YEAR:
                path = f"rows[{number}].{self.names[place]}"
                raise InvalidRequest(
                    f"{path} is a time in the year {moment.year}", field=path, fix=f"send {_WANTED[DType.TIMESTAMP]}"
                )

    def _explain(self, message: str) -> InvalidRequest:
        """An error for what msgspec says about a body that is JSON but does not fit."""
        found = _PLACE.search(message)
        path = found[1] if found else ""
        what = message[: found.start()] if found else message
        named = _NAMED.match(what)
        if named:
            return self._explain_name(_clipped(named[2]), path=path, unknown=named[1] == "contains unknown")
        field = self._fields.get(path.rpartition(".")[2]) if "." in path else None
        if field is not None:
            return InvalidRequest(_sentence(path, what), field=path, fix=_fix(field))
        if path == "rows" and "length <=" in what:
            return LimitExceeded(
                f"rows holds more than {self.max_rows:,} rows",
                field="rows",
                fix=f"send at most {self.max_rows:,} rows in one request",
            )
        if path == "rows" and "length >=" in what:
            return InvalidRequest("rows is empty", field="rows", fix="send at least one row")
        return InvalidRequest(_sentence(path or "the body", what), field=path or None, fix=_SHAPE)

    def _explain_name(self, name: str, *, path: str, unknown: bool) -> InvalidRequest:
        if not path:
            message = f"the body {'holds an unknown' if unknown else 'lacks the'} field {name!r}"
            return InvalidRequest(message, field=name, fix=_SHAPE)
        place = f"{path}.{name}"
        if not unknown:
            fix = f"add {name!r} to the row: {_WANTED[self._fields[name].dtype]}"
            return InvalidRequest(f"{path} lacks the field {name!r}", field=place, fix=fix)
        nearest = get_close_matches(name, self.names, n=1, cutoff=0.6)
        advice = f"did you mean {nearest[0]!r}?" if nearest else "leave it out;"
        fix = f"{advice} a row holds: {', '.join(self.names)}"
        return InvalidRequest(f"{path} holds the unknown field {name!r}", field=place, fix=fix)


def has_more_keys(body: bytes, n_keys: int) -> bool:
    """Whether JSON may hold more keys than were read of it, so that one stands there twice.

    A colon stands behind each key, and behind its closing quote; more of them than keys is rare (a string with an
    escaped quote before a colon), and to be looked at closely.
    """
    return _count_colons(body) != n_keys and len(_KEY.findall(body)) != n_keys


def _count_colons(body: bytes) -> int:
    if len(body) < _LONG_BODY:
        return body.count(b":")
    return int(np.count_nonzero(np.frombuffer(body, np.uint8) == _COLON))  # in a tenth of the time


def _declared(field: PlannedField) -> tuple[Any, ...]:
    kind = _TYPES[field.dtype]
    return (field.name, kind) if field.required else (field.name, kind | None | UnsetType, UNSET)


def _fix(field: PlannedField) -> str:
    return f"send {_WANTED[field.dtype]}{'' if field.required else ', or null'}"


def _clipped(name: str) -> str:
    """A name that a caller made up, short enough to be repeated to him."""
    return name if len(name) <= _LONGEST_NAME else f"{name[:_LONGEST_NAME]}..."


def _sentence(path: str, what: str) -> str:
    return f"{path}: {what[:1].lower()}{what[1:]}".replace("`", "'")
