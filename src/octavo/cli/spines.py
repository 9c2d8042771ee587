"""Spines from files: entity keys, and the moments at which their values are wanted."""

from pathlib import Path

import pyarrow as pa
import pyarrow.csv as csv
import pyarrow.parquet as pq

from octavo.errors import InvalidRequest, NotFound

_UTC = pa.timestamp("us", tz="UTC")


def read_spine(path: Path, *, at: str | None) -> pa.Table:
    """The rows of a Parquet or CSV file.

    Parameters
    ----------
    at : str or None
        The column with the moments, which a CSV file writes in RFC 3339 with an offset; None if there is none.

    Raises
    ------
    NotFound
        If there is no such file.
    InvalidRequest
        If it is of another kind, or cannot be read.
    """
    if not path.is_file():
        raise NotFound("file", str(path))
    try:
        match path.suffix:
            case ".parquet":
                rows: pa.Table = pq.read_table(path)
                return rows
            case ".csv":
                types = {at: _UTC} if at else {}
                return csv.read_csv(path, convert_options=csv.ConvertOptions(column_types=types))
    except (pa.ArrowInvalid, pa.ArrowKeyError) as error:
        raise InvalidRequest(
            f"{path.name} cannot be read: {error}",
            field=at,
            fix="write times like 2013-12-07T00:00:00Z, and name each column in the first line",
        ) from error
    raise InvalidRequest(f"{path.name} is no spine", field="spine", fix="give a .parquet or .csv file")
