"""Tables of any library that knows Arrow, as bodies of requests."""

from typing import Any, Protocol, runtime_checkable

from octavo.client.connections import Encoded

ARROW_STREAM = "application/vnd.apache.arrow.stream"


@runtime_checkable
class Columns(Protocol):
    """A table that tells its columns to whoever knows Arrow (the PyCapsule interface)."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> Any:
        """Its columns as a stream of record batches."""


def encode_table(table: Columns) -> Encoded:
    """A table as an Arrow IPC stream."""
    import pyarrow as pa

    with pa.RecordBatchReader.from_stream(table) as reader:
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, reader.schema) as writer:
            for batch in reader:
                writer.write_batch(batch)
    return Encoded(data=sink.getvalue().to_pybytes(), media_type=ARROW_STREAM)
