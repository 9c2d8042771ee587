"""What a request asks for, whichever door it came through: rows of fields, or the model's matrix as it is."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from octavo.errors import InvalidRequest, LimitExceeded
from octavo.serving.lineup import Lineup
from octavo.serving.requests import LARGEST_FLOAT32, Row


class Asked(NamedTuple):
    """The rows of a request.

    Attributes
    ----------
    rows : sequence of Row
        Empty ones where the model's inputs themselves were sent.
    matrix : ndarray, shape (n_rows, n_inputs), float32, or None
        The model's inputs, if they were sent; NaN is missing.
    """

    rows: Sequence[Row]
    matrix: npt.NDArray[np.float32] | None = None


Read = Callable[[Lineup, bytes], Asked]
"""Reads a body as a door takes it."""


def read_rows(lineup: Lineup, body: bytes) -> Asked:
    """The rows of ``{"rows": [{...}, ...]}``."""
    return Asked(rows=lineup.decoder.decode(body))


def asked_by_records(lineup: Lineup, records: Sequence[dict[str, Any]]) -> Asked:
    """The rows of objects that were decoded already; each is checked as it would be in a body of rows."""
    return Asked(rows=lineup.decoder.convert(records))


def asked_by_columns(lineup: Lineup, columns: dict[str, Sequence[Any]], *, n_rows: int) -> Asked:
    """The rows of columns of equal length; null in a field that may be left out is as good as not sent."""
    check_count(lineup, n_rows)
    names = tuple(columns)
    records = [dict(zip(names, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    return asked_by_records(lineup, records)


def asked_by_matrix(lineup: Lineup, matrix: npt.NDArray[np.floating[Any]], *, field: str) -> Asked:
    """The model's inputs as they are.

    Raises
    ------
    InvalidRequest
        If the loaded versions take different inputs, or these are not theirs.
    LimitExceeded
        If there are too many rows.
    """
    check_count(lineup, len(matrix))
    inputs = matrix_inputs(lineup, field=field)
    if matrix.shape[1] != len(inputs):
        raise InvalidRequest(
            f"{field} holds {matrix.shape[1]} numbers in a row; the model takes {len(inputs)}",
            field=field,
            fix=f"send its inputs in their order: {', '.join(inputs)}",
        )
    too_large = np.argwhere(np.abs(matrix) > LARGEST_FLOAT32)
    if len(too_large):
        row, column = too_large[0].tolist()
        raise InvalidRequest(
            f"{field}[{row}]: {inputs[column]} is no number between -{LARGEST_FLOAT32:.8g} and {LARGEST_FLOAT32:.8g}",
            field=f"{field}[{row}]",
            fix="send a finite number, or null in JSON and NaN in binary for what is missing",
        )
    return Asked(rows=[()] * len(matrix), matrix=np.ascontiguousarray(matrix, np.float32))


def check_count(lineup: Lineup, n_rows: int) -> None:
    """Refuse too many rows, or none.

    Raises
    ------
    LimitExceeded
    InvalidRequest
    """
    if n_rows > lineup.max_rows:
        raise LimitExceeded(
            f"the request holds more than {lineup.max_rows:,} rows",
            fix=f"send at most {lineup.max_rows:,} rows in one request",
        )
    if not n_rows:
        raise InvalidRequest("the request holds no row", fix="send at least one row")


def matrix_inputs(lineup: Lineup, *, field: str) -> tuple[str, ...]:
    """The columns of the matrix that all loaded versions take.

    Raises
    ------
    InvalidRequest
        If they take different ones.
    """
    inputs = lineup.common_inputs
    if inputs is None:
        raise InvalidRequest(
            f"the loaded versions of {lineup.manifest.deployment!r} take different inputs, so {field} fits only some",
            field=field,
            fix="send the request's fields by name, or ask one version",
        )
    return inputs
