"""Telling events that can be taken from those that cannot, where one wrong row shall not keep the others out."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from octavo.definitions.sources import Source
from octavo.errors import InvalidRequest
from octavo.features.events.casting import cast_column, check_columns, unfit_rows
from octavo.features.events.decode import as_events, columns_of, read_line
from octavo.features.events.faults import find_faults
from octavo.features.events.payloads import column_schema, payload_schema
from octavo.features.events.refusals import PayloadKind, Refused, refused


@dataclass(frozen=True, slots=True, kw_only=True)
class Sorted:
    """Events that were sent, in two heaps.

    Attributes
    ----------
    events : RecordBatch
        Those that can be taken, in the schema of `octavo.features.events.payloads.payload_schema`; perhaps none.
    refused : tuple of Refused
        The others, in the order in which they were sent.
    """

    events: pa.RecordBatch
    refused: tuple[Refused, ...]


def sort_lines(lines: Sequence[bytes], source: Source, *, now_us: int, first_row: int = 0) -> Sorted:
    """Sort events that are written as JSON, one object each.

    Parameters
    ----------
    first_row : int
        Number of the first in the whole that `lines` is a part of.
    """
    rows, places, wrong = [], [], {}
    for place, line in enumerate(lines):
        try:
            rows.append(read_line(line, source))
            places.append(place)
        except InvalidRequest as error:
            wrong[place] = error
    columns = columns_of(rows, source)
    faults = _first_faults(columns, source, now_us=now_us)
    wrong |= {places[row]: error for row, error in faults.items()}
    return Sorted(
        events=as_events(_without(columns, faults), source, now_us=now_us),
        refused=tuple(
            refused(wrong[place], row=first_row + place, payload=lines[place], kind=PayloadKind.JSON)
            for place in sorted(wrong)
        ),
    )


def sort_table(table: pa.Table | pa.RecordBatch, source: Source, *, now_us: int, first_row: int = 0) -> Sorted:
    """Sort events that are the rows of a table.

    A table whose columns cannot be those of the source is refused row by row, for the one reason.
    """
    try:
        check_columns(table.schema, source)
    except InvalidRequest as error:
        wrong: Mapping[int, InvalidRequest] = dict.fromkeys(range(table.num_rows), error)
        kept = no_events(source)
    else:
        columns, unfit = _fitting(table, source)
        wrong = {**_first_faults(columns, source, now_us=now_us), **unfit}
        kept = as_events(_without(columns, wrong), source, now_us=now_us)
    lines = _encoded_rows(table, sorted(wrong))
    return Sorted(
        events=kept,
        refused=tuple(
            refused(wrong[row], row=first_row + row, payload=line, kind=PayloadKind.ARROW)
            for row, line in zip(sorted(wrong), lines, strict=True)
        ),
    )


def no_events(source: Source) -> pa.RecordBatch:
    """None, in the schema of `octavo.features.events.payloads.payload_schema`."""
    return pa.RecordBatch.from_pylist([], schema=payload_schema(source))


def _fitting(table: pa.Table | pa.RecordBatch, source: Source) -> tuple[pa.RecordBatch, dict[int, InvalidRequest]]:
    """A table in the source's types, with null for each value that does not fit, and what is wrong with these."""
    columns: list[pa.Array] = []
    unfit: dict[int, InvalidRequest] = {}
    for field in column_schema(source):
        if field.name not in table.schema.names:
            columns.append(pa.nulls(table.num_rows, field.type))
            continue
        column = table.column(field.name)
        rows = unfit_rows(column, field)
        for row in rows:
            unfit.setdefault(row, _unfit(column.slice(row, 1), field))
        columns.append(cast_column(_nulled(column, rows), field))
    return pa.RecordBatch.from_arrays(columns, schema=column_schema(source)), unfit


def _unfit(value: pa.Array | pa.ChunkedArray, field: pa.Field) -> InvalidRequest:
    try:
        cast_column(value, field)
    except InvalidRequest as error:
        return error
    raise AssertionError("a value that did not fit among others does not fit alone")


def _nulled(column: pa.Array | pa.ChunkedArray, rows: Sequence[int]) -> pa.Array | pa.ChunkedArray:
    if not rows:
        return column
    places = np.arange(len(column))
    return column.take(pa.array(places, mask=np.isin(places, rows)))


def _first_faults(columns: pa.RecordBatch, source: Source, *, now_us: int) -> dict[int, InvalidRequest]:
    """What is wrong with each row in which something is, the first thing of several."""
    found: dict[int, InvalidRequest] = {}
    for fault in find_faults(columns, source, now_us=now_us):
        error = fault.refusal()
        for row in fault.rows.tolist():
            found.setdefault(row, error)
    return found


def _without(columns: pa.RecordBatch, rows: Mapping[int, object]) -> pa.RecordBatch:
    if not rows:
        return columns
    return columns.take(pa.array(np.setdiff1d(np.arange(columns.num_rows), list(rows))))


def _encoded_rows(table: pa.Table | pa.RecordBatch, rows: Sequence[int]) -> Iterator[bytes]:
    """Rows of a table, each as an Arrow IPC stream of its own; dictionaries are written out."""
    chosen = table.take(pa.array(rows, pa.int64()))
    plain = [
        column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column
        for column in chosen.columns
    ]
    written = pa.table(plain, names=table.schema.names)
    for row in range(len(rows)):
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, written.schema) as writer:
            writer.write_table(written.slice(row, 1).combine_chunks())
        yield sink.getvalue().to_pybytes()
