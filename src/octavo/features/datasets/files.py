"""Datasets as Parquet files, written slice by slice, each with the digest of its content in its metadata."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from octavo.errors import IntegrityError, InvalidRequest, NotFound, Unavailable
from octavo.features.datasets.content import ContentDigest, plain_rows

DIGEST = b"octavo.dataset"
PART_ROWS = 50_000
"""How many rows a part of a file has, of those that are read and sent at once."""


class DatasetWriter:
    """Writes a file beside its place, and moves it there when it is whole.

    Parameters
    ----------
    scratch : Path
        Its folder is made if absent.
    """

    def __init__(self, scratch: Path) -> None:
        self._scratch = scratch
        self._writer: pq.ParquetWriter | None = None

    def write(self, rows: pa.Table) -> None:
        """Append rows; all have the columns of the first."""
        if self._writer is None:
            self._scratch.parent.mkdir(parents=True, exist_ok=True)
            self._writer = pq.ParquetWriter(self._scratch, rows.schema, compression="zstd")
        self._writer.write_table(rows, row_group_size=PART_ROWS)

    def finish(self, path: Path, *, digest: str) -> None:
        """Say what is in the file, and move it to its place."""
        assert self._writer is not None, "a dataset has a slice, if only an empty one"
        self._writer.add_key_value_metadata({DIGEST: digest.encode()})
        self._writer.close()
        self._scratch.replace(path)

    def discard(self) -> None:
        """Remove what was written, if it was not finished."""
        if self._writer is not None and self._scratch.exists():
            self._writer.close()
            self._scratch.unlink()


@contextmanager
def dataset_writer(scratch: Path) -> Iterator[DatasetWriter]:
    """A writer that leaves nothing behind unless it is finished.

    Raises
    ------
    Unavailable
        If the disk refuses the file.
    """
    writer = DatasetWriter(scratch)
    try:
        yield writer
    except OSError as error:
        raise Unavailable(f"the dataset cannot be written to {scratch.parent}: {error}") from error
    finally:
        writer.discard()


def digest_of_file(path: Path) -> str:
    """The digest of the rows in a Parquet file, whoever wrote it.

    Raises
    ------
    NotFound
        If there is no such file.
    IntegrityError
        If it is no Parquet file, or says of itself that it holds other rows.
    """
    if not path.is_file():
        raise NotFound("file", str(path))
    try:
        with pq.ParquetFile(path) as file:
            claimed = (file.schema_arrow.metadata or {}).get(DIGEST) or (file.metadata.metadata or {}).get(DIGEST)
            content = ContentDigest(plain_rows(file.schema_arrow.empty_table()).schema)
            for batch in file.iter_batches(batch_size=PART_ROWS):
                content.update(plain_rows(pa.Table.from_batches([batch])))
    except (pa.ArrowInvalid, OSError) as error:
        raise IntegrityError(
            f"{path.name} cannot be read as a Parquet file: {error}; it is damaged, or none"
        ) from error
    except InvalidRequest as error:
        raise IntegrityError(f"{path.name} is no dataset: {error.message}") from error
    digest = content.digest()
    if claimed is not None and claimed.decode() != digest:
        raise IntegrityError(
            f"{path.name} does not hold the rows of dataset {claimed.decode()}, as it says; make it again with: "
            f"octavo datasets rebuild {claimed.decode()}"
        )
    return digest


def encoded_part(path: Path, *, part: int) -> tuple[bytes, int]:
    """A part of a file as an Arrow stream, and how many parts there are.

    Raises
    ------
    InvalidRequest
        If there is no such part.
    """
    with pq.ParquetFile(path) as file:
        parts = max(file.num_row_groups, 1)
        if not 0 <= part < parts:
            raise InvalidRequest(f"the dataset has {parts} parts, the first of which is 0", field="part")
        rows = file.read_row_group(part) if file.num_row_groups else file.read()
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema.remove_metadata()) as stream:
        stream.write_table(rows.replace_schema_metadata(None))
    return sink.getvalue().to_pybytes(), parts
