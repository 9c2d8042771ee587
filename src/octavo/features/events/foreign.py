"""What a payload of a source's topic holds, whoever wrote it.

Another application may put messages of its own there: JSON, an object or a list of objects, of the source's columns.
They are checked as if they had been ingested, and sorted row by row.
"""

import msgspec
import pyarrow as pa

from octavo.definitions.sources import Source
from octavo.errors import IntegrityError
from octavo.features.events.payloads import column_schema, decode_payload
from octavo.features.events.refusals import PayloadKind, Refused
from octavo.features.events.sorting import Sorted, no_events, sort_lines

_JSON_BEGINS = (b"{", b"[")
_row = msgspec.json.Decoder(msgspec.Raw)
_rows = msgspec.json.Decoder(list[msgspec.Raw])


def decode_message(payload: bytes, source: Source, *, log: str, offset: int, now_us: int) -> Sorted:
    """The events of a payload, and what cannot be taken of it."""
    try:
        if payload.lstrip()[:1] in _JSON_BEGINS:
            return sort_lines(_lines(payload), source, now_us=now_us)
        return Sorted(events=_completed(decode_payload(payload, topic=log, offset=offset), source), refused=())
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        reason = f"the message is no JSON: {error}; send an object of the source's columns, or a list of them"
    except IntegrityError as error:
        reason = error.message
    wrong = Refused(row=0, field="", reason=reason, payload=payload, kind=PayloadKind.JSON)
    return Sorted(events=no_events(source), refused=(wrong,))


def _completed(events: pa.RecordBatch, source: Source) -> pa.RecordBatch:
    """Events with null in the columns that their source did not have yet when they came in."""
    for field in column_schema(source):
        if field.name not in events.schema.names:
            events = events.append_column(field, pa.nulls(events.num_rows, field.type))
    return events


def _lines(payload: bytes) -> list[bytes]:
    """The rows of a message, each as it was written."""
    if payload.lstrip()[:1] == b"[":
        return [bytes(row) for row in _rows.decode(payload)]
    return [bytes(_row.decode(payload))]
