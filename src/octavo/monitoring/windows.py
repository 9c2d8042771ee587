"""The predictions of a window of time, read as one matrix."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from octavo.errors import NotFound
from octavo.monitoring.prediction_log import TABLE
from octavo.stores.columns import TIME
from octavo.stores.ports import Tables

_T = TypeVar("_T", bound=np.generic)
MOST_ROWS = 50_000
"""Of a window with more predictions a sample of about this many is read: the shares of so many are certain enough."""

ANSWERED = "(arm = 'live' OR (arm NOT IN ('shadow', 'fallback') AND isfinite(output)))"
"""What answers a request, once per request: where another arm failed, the live version answered instead."""

UNIT = "coalesce(json_extract_string(request, $path), json_extract_string(entities, $path), id)"
"""What traffic is divided by, where ``$path`` is that of its field; a prediction without it is a unit of its own."""

IN_PERIOD = f'deployment = $deployment AND "at" >= $since AND "at" < $until AND {ANSWERED}'
COUNT = f'SELECT count(*) AS n, min("at") AS oldest, max("at") AS newest FROM predictions WHERE {IN_PERIOD}'
_COLUMNS = 'SELECT "at", digest, inputs, status, output FROM predictions'
_ALL = f"{_COLUMNS} WHERE {IN_PERIOD} LIMIT $limit"
_SAMPLE = f"{_COLUMNS} WHERE {IN_PERIOD} AND hash(id) % $step = 0"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Window:
    """Answered predictions in no order; a sample of them if there are very many.

    Attributes
    ----------
    predictions : int
        Answered in the window, of whichever version and inputs.
    oldest_at, newest_at : datetime or None
        When the first and the last of them were made.
    matrix : ndarray, shape (n_rows, n_inputs), float32
        Of those with the inputs that were asked for.
    status : ndarray, shape (n_rows, n_inputs), uint8
        `octavo.features.values.FeatureStatus`.
    outputs : ndarray, shape (n_rows,), float64
    digests : ndarray of str, shape (n_rows,)
        Of the bundle that answered.
    """

    predictions: int
    oldest_at: datetime | None
    newest_at: datetime | None
    matrix: npt.NDArray[np.float32]
    status: npt.NDArray[np.uint8]
    outputs: npt.NDArray[np.float64]
    digests: npt.NDArray[np.object_]

    def __len__(self) -> int:
        return len(self.matrix)


def read_window(
    tables: Tables,
    deployment: str,
    *,
    since: datetime,
    until: datetime,
    n_inputs: int,
    fits: Callable[[str], bool],
    most_rows: int = MOST_ROWS,
) -> Window:
    """Read the predictions of a deployment that were answered in [since, until).

    Parameters
    ----------
    fits : callable
        Whether the bundle of a digest takes the inputs that are wanted, `n_inputs` of them.
    """
    parameters: dict[str, object] = {"deployment": deployment, "since": since, "until": until}
    try:
        rows, counted = _read(tables, parameters, most_rows=most_rows)
    except NotFound:
        rows, counted = _NOTHING.empty_table(), {"n": 0, "oldest": None, "newest": None}
    rows = with_inputs(rows, n_inputs=n_inputs, fits=fits)
    return Window(
        predictions=counted["n"],
        oldest_at=counted["oldest"],
        newest_at=counted["newest"],
        matrix=matrix_of(rows.column("inputs"), np.float32, width=n_inputs),
        status=matrix_of(rows.column("status"), np.uint8, width=n_inputs),
        outputs=rows.column("output").to_numpy(),
        digests=rows.column("digest").to_numpy(),
    )


def _read(tables: Tables, parameters: Mapping[str, object], *, most_rows: int) -> tuple[pa.Table, Mapping[str, Any]]:
    """Rows; and how many predictions they stand for, and when the oldest and the newest of those were made."""
    relations = {"predictions": TABLE}
    rows = tables.query(_ALL, tables=relations, parameters={**parameters, "limit": most_rows + 1})
    if rows.num_rows <= most_rows:
        at = pc.min_max(rows.column("at")).as_py()
        return rows, {"n": rows.num_rows, "oldest": at["min"], "newest": at["max"]}
    counted = tables.query(COUNT, tables=relations, parameters=parameters).to_pylist()[0]
    step = sampling_step(counted["n"], most_rows=most_rows)
    sample = tables.query(_SAMPLE, tables=relations, parameters={**parameters, "step": step})
    return sample, counted


def sampling_step(rows: int, *, most_rows: int) -> int:
    """Of which number of rows one is taken, by the hash of its id, so that about as many as wanted are left."""
    return max(1, -(-rows // most_rows))


def with_inputs(rows: pa.Table, *, n_inputs: int, fits: Callable[[str], bool]) -> pa.Table:
    """Those rows whose bundle fits and whose inputs were computed at all."""
    digests = rows.column("digest")
    fitting = pa.array([digest for digest in pc.unique(digests).to_pylist() if fits(digest)], pa.string())
    computed = pc.and_(
        pc.equal(pc.binary_length(rows.column("inputs")), n_inputs * np.dtype(np.float32).itemsize),
        pc.equal(pc.binary_length(rows.column("status")), n_inputs),
    )
    return rows.filter(pc.and_(pc.is_in(digests, value_set=fitting), computed))


def matrix_of(column: pa.ChunkedArray, dtype: type[_T], *, width: int) -> npt.NDArray[_T]:
    """Rows of bytes, each of `width` little-endian values, as a matrix; the bytes are not copied."""
    whole = column.combine_chunks()
    _, offsets, data = whole.buffers()
    if not len(whole) or data is None:
        return np.empty((0, width), dtype)
    start = np.frombuffer(offsets, np.int32)[whole.offset]
    return np.frombuffer(data, np.dtype(dtype).newbyteorder("<"), count=len(whole) * width, offset=int(start)).reshape(
        len(whole), width
    )


_NOTHING = pa.schema(
    {"at": TIME, "digest": pa.string(), "inputs": pa.binary(), "status": pa.binary(), "output": pa.float64()}
)
