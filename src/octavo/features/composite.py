"""The entity that each event is about, in a column: a view's one key as it is, or its several keys joined.

Keys are joined as `composite_key` of `octavo.features.online.keys` joins those of a request, but for the shortening of
long ones, which `entity_key` does there.
"""

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from octavo.features.online.keys import COMPOSITE


def entity_column(events: pa.RecordBatch | pa.Table, keys: Sequence[str]) -> pa.Array | pa.ChunkedArray:
    """The entity of each event, as `octavo.features.online.keys.entity_key` takes it.

    Parameters
    ----------
    keys : sequence of str
        Columns of the events; one that they lack is null in all of them.

    Returns
    -------
    pa.Array or pa.ChunkedArray
        The column of one key; of several, binary. Null for no entity, which is where any key is null.
    """
    if not set(keys) <= set(events.schema.names):
        return pa.nulls(events.num_rows)
    if len(keys) == 1:
        return events.column(keys[0])
    return _joined([pa.scalar(COMPOSITE, pa.binary()), *(_part(events.column(key)) for key in keys)])


def _part(column: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    written = column.cast(pa.string()).cast(pa.binary())
    if pa.types.is_integer(column.type):
        return _joined([pa.scalar(b"i", pa.binary()), written, pa.scalar(b":", pa.binary())])
    length = pc.binary_length(written).cast(pa.string()).cast(pa.binary())
    return _joined([pa.scalar(b"s", pa.binary()), length, pa.scalar(b":", pa.binary()), written])


def _joined(parts: Sequence[pa.Array | pa.ChunkedArray | pa.Scalar]) -> pa.Array | pa.ChunkedArray:
    return pc.binary_join_element_wise(*parts, pa.scalar(b"", pa.binary()))
