"""What a request for predictions must be: Python's own JSON and one check after the other. Slow and obviously right.

It shares no code with the product but the definitions.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any

from octavo.definitions.plans import PlannedField
from octavo.definitions.types import DType

LARGEST_FLOAT32 = 3.4028234663852886e38
_TIME = re.compile(r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.(\d+))?([Zz]|([+-])(\d\d):?(\d\d))", re.ASCII)


class _Constant:
    """NaN or an infinity."""


@dataclass
class Verdict:
    """What the oracle thinks of a body.

    Attributes
    ----------
    rows : list of tuple
        In the order of the fields; empty if the body must be refused.
    is_json : bool
        Whether the body is a document at all, be it with NaN, infinities and halves of surrogate pairs.
    faults : set of str or None
        Paths of all that is wrong with a document; None stands for the document as a whole.
    """

    rows: list[tuple[Any, ...]] = field(default_factory=list)
    is_json: bool = True
    faults: set[str | None] = field(default_factory=set)

    @property
    def is_accepted(self) -> bool:
        return self.is_json and not self.faults


def judge(body: bytes, fields: Sequence[PlannedField], *, max_rows: int) -> Verdict:
    """Whether a body is one that a deployment with these fields takes, and its rows or what is wrong with it."""
    try:
        document = json.loads(body.decode("utf-8"), object_pairs_hook=_Pairs, parse_constant=lambda name: _Constant())
    except (ValueError, RecursionError):
        return Verdict(is_json=False)
    verdict = Verdict(faults=set(_faults(document, {f.name: f for f in fields}, max_rows)))
    if verdict.is_accepted:
        verdict.rows = [tuple(_value(dict(row).get(f.name), f.dtype) for f in fields) for row in dict(document)["rows"]]
    return verdict


class _Pairs(list[tuple[str, Any]]):
    """An object as its keys and values, however often a key stands in it."""


def _faults(document: Any, fields: dict[str, PlannedField], max_rows: int) -> Iterator[str | None]:
    if not isinstance(document, _Pairs):
        yield None
        return
    names = [name for name, _ in document]
    if names != ["rows"]:
        yield from (name for name in names if name != "rows" and not _is_broken(name))
        yield from (None for name in names if _is_broken(name))
        if names.count("rows") != 1:
            yield "rows"
    for name, rows in document:
        if name != "rows":
            yield from _deep_faults(rows, name)
        elif type(rows) is not list:
            yield "rows"
        else:
            if not 1 <= len(rows) <= max_rows:
                yield "rows"
            for number, row in enumerate(rows):
                yield from _row_faults(row, fields, path=f"rows[{number}]")


def _row_faults(row: Any, fields: dict[str, PlannedField], *, path: str) -> Iterator[str | None]:
    if not isinstance(row, _Pairs):
        yield path
        return
    names = [name for name, _ in row]
    for name in fields:
        if names.count(name) > 1 or (fields[name].required and name not in names):
            yield f"{path}.{name}"
    for name, value in row:
        if _is_broken(name):
            yield path
        elif name not in fields or not _fits(value, fields[name]):
            yield f"{path}.{name}"
            yield from _deep_faults(value, f"{path}.{name}")


def _deep_faults(value: Any, path: str) -> Iterator[str | None]:
    """Where a value that should not be there at all holds what JSON does not have."""
    if isinstance(value, _Pairs):
        for name, item in value:
            if _is_broken(name):
                yield path
            yield from _deep_faults(item, f"{path}.{name}")
    elif isinstance(value, list):
        for place, item in enumerate(value):
            yield from _deep_faults(item, f"{path}[{place}]")
    elif isinstance(value, _Constant) or (isinstance(value, str) and _is_broken(value)):
        yield path


def _fits(value: Any, of: PlannedField) -> bool:
    if value is None:
        return not of.required
    match of.dtype:
        case DType.BOOL:
            return isinstance(value, bool)
        case DType.INT64:
            return type(value) is int and -(2**63) <= value < 2**63
        case DType.FLOAT64:
            return type(value) in (int, float) and -LARGEST_FLOAT32 <= value <= LARGEST_FLOAT32
        case DType.STRING:
            return isinstance(value, str) and len(value) <= 1024 and not _is_broken(value)
        case DType.TIMESTAMP:
            moment = _moment(value) if isinstance(value, str) else None
            return moment is not None and 1900 <= moment.year <= 2200


def _value(value: Any, dtype: DType) -> Any:
    if value is None:
        return None
    if dtype is DType.TIMESTAMP:
        return _moment(value)
    return float(value) if dtype is DType.FLOAT64 else value


def _moment(text: str) -> datetime | None:
    """A time to the nearest microsecond; None for what is no time with an offset."""
    found = _TIME.fullmatch(text)
    if found is None:
        return None
    date, time, fraction, _, sign, hours, minutes = found.groups()
    try:
        moment = datetime.fromisoformat(f"{date}T{time}")
        offset = timedelta(hours=int(hours or 0), minutes=int(minutes or 0)) * (-1 if sign == "-" else 1)
        zone = timezone(offset) if int(minutes or 0) < 60 else None
        rounded = (int((fraction or "0").ljust(7, "0")[:7]) + 5) // 10
        return None if zone is None else moment.replace(tzinfo=zone) + timedelta(microseconds=rounded)
    except (ValueError, OverflowError):
        return None


def _is_broken(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return True
    return False
