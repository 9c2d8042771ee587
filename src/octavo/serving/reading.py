"""From what a door has taken apart to what is asked for: checked, and counted, whatever its form."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from octavo.errors import InvalidRequest, LimitExceeded
from octavo.serving.asked import Asked, AskedColumns, AskedMatrix, AskedRows
from octavo.serving.columns import Grid, accept_all, are_all_small, plain, rows_of
from octavo.serving.requests import LARGEST_FLOAT32, RequestDecoder
from octavo.serving.transposed import asked_by_rows


class Addressee(Protocol):
    """What a body is addressed to, as far as reading it goes: a deployment's lineup, or a composite of some."""

    @property
    def name(self) -> str:
        """Of the deployment, or the composite."""

    @property
    def decoder(self) -> RequestDecoder:
        """Of the fields that a caller sends."""

    @property
    def max_rows(self) -> int:
        """Per request."""

    @property
    def common_inputs(self) -> tuple[str, ...] | None:
        """The columns of the matrix, if all its versions take the same."""


Read = Callable[[Addressee, bytes], Asked]
"""Reads a body as a door takes it."""


def read_rows(lineup: Addressee, body: bytes) -> AskedRows | AskedColumns:
    """The rows of ``{"rows": [{...}, ...]}``."""
    return asked_by_rows(lineup.decoder, body)


def asked_by_records(lineup: Addressee, records: Sequence[dict[str, Any]]) -> Asked:
    """The rows of objects that were decoded already; each is checked as it would be in a body of rows."""
    return AskedRows(lineup.decoder.convert(records))


def asked_by_columns(
    lineup: Addressee,
    columns: Mapping[str, Any],
    *,
    n_rows: int,
    side_by_side: tuple[Sequence[str], npt.NDArray[np.floating[Any]]] | None = None,
) -> Asked:
    """The rows of columns of equal length, by name.

    Parameters
    ----------
    columns : mapping of name to list, ndarray, or `octavo.serving.columns.Words`
        Null in a field that may be left out is as good as not sent; in an array it is NaN.
    side_by_side : (names, ndarray), shape (n_rows, n_names), or None
        Columns of numbers of one type that lie side by side in memory, so that all are looked at, and copied, at once.
        They are among `columns` too.

    Raises
    ------
    InvalidRequest
        If a value, or a name, is none of the deployment's.
    LimitExceeded
        If there are too many rows.
    """
    check_count(lineup, n_rows)
    decoder = lineup.decoder
    if decoder.required <= columns.keys() <= decoder.dtypes.keys():
        names, values = side_by_side if side_by_side and are_all_small(side_by_side[1]) else ((), None)
        accepted = accept_all(columns, decoder.dtypes, required=decoder.required, accepted=names)
        if accepted is not None:
            grid = None if values is None else Grid(tuple([decoder.places[name] for name in names]), values)
            return AskedColumns(accepted, n_rows=n_rows, grid=grid)
    # Something is unusual, or wrong: each value is looked at as it would be in a body of rows, and refused by name.
    return asked_by_records(lineup, rows_of(tuple(columns), [plain(column) for column in columns.values()]))


def asked_by_matrix(lineup: Addressee, matrix: npt.NDArray[np.floating[Any]], *, field: str) -> Asked:
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
    return AskedMatrix(np.ascontiguousarray(matrix, np.float32))


def check_count(lineup: Addressee, n_rows: int) -> None:
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


def matrix_inputs(lineup: Addressee, *, field: str) -> tuple[str, ...]:
    """The columns of the matrix that all loaded versions take.

    Raises
    ------
    InvalidRequest
        If they take different ones.
    """
    inputs = lineup.common_inputs
    if inputs is None:
        raise InvalidRequest(
            f"the loaded versions of {lineup.name!r} take different inputs, so {field} fits only some",
            field=field,
            fix="send the request's fields by name, or ask one version",
        )
    return inputs
