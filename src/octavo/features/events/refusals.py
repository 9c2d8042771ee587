"""What is said of events that cannot be taken, and what is kept of each."""

import re
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum

from octavo.definitions.sources import Source
from octavo.errors import InvalidRequest

_ROW = re.compile(r"rows\[\d+\]")


class PayloadKind(StrEnum):
    """How an event that could not be taken was written."""

    JSON = "json"
    """Meant to be one JSON object; perhaps no JSON, and perhaps no UTF-8."""
    ARROW = "arrow"
    """An Arrow IPC stream of one row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """An event that could not be taken.

    Attributes
    ----------
    row : int
        Its place in what was sent.
    field : str
        The column at fault; empty if it is none in particular.
    reason : str
        What is wrong and how to mend it, without the row, so that the same fault reads the same.
    payload : bytes
        The event as it was sent.
    """

    row: int
    field: str
    reason: str
    payload: bytes
    kind: PayloadKind


def refused(error: InvalidRequest, *, row: int, payload: bytes, kind: PayloadKind) -> Refused:
    """What an error about an event says, without its place."""
    field = _ROW.sub("", error.field or "").lstrip(".")
    said = _ROW.sub("the event", error.message.replace(error.field, field) if error.field and field else error.message)
    reason = f"{said}; {error.fix}" if error.fix else said
    return Refused(row=row, field=field, reason=reason, payload=payload, kind=kind)


def unknown_column(name: str, source: Source, *, row: int | None = None) -> InvalidRequest:
    """The error for a column that a source does not have."""
    nearest = get_close_matches(name, source.columns, n=1, cutoff=0.6)
    advice = f"did you mean {nearest[0]!r}?" if nearest else "leave it out;"
    where = "the table" if row is None else f"rows[{row}]"
    return InvalidRequest(
        f"{where} holds {name!r}, which source {source.name!r} does not have",
        field=name if row is None else f"rows[{row}].{name}",
        fix=f"{advice} it has: {', '.join(source.columns)}",
    )
