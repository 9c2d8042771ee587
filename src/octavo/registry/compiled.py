"""A compiled model over a matrix, in batches: what the registry judges and compares versions by."""

from threading import Lock
from typing import Any

import numpy as np
import numpy.typing as npt

from octavo.errors import IntegrityError
from octavo.training.onnx import open_session

Floats = npt.NDArray[np.float64]
_BATCH_ROWS = 8_192


class CompiledModel:
    """An ONNX model with one float32 input, shape (n_rows, n_inputs), and one number per row as its first output.

    Parameters
    ----------
    onnx : bytes

    Attributes
    ----------
    width : int or None
        How many columns it takes; None for any number.

    Raises
    ------
    IntegrityError
        If the runtime cannot load it, or it takes several inputs.
    """

    def __init__(self, onnx: bytes) -> None:
        self._session = open_session(onnx, what="its model")
        inputs = self._session.get_inputs()
        if len(inputs) != 1:
            raise IntegrityError(f"the compiled model takes {len(inputs)} inputs instead of one matrix")
        self._input, self.width = inputs[0].name, inputs[0].shape[-1]
        self._outputs = [self._session.get_outputs()[0].name]
        self._one_row: _OneRow | None = None
        self._turn = Lock()

    def predict(self, matrix: npt.ArrayLike) -> Floats:
        """Predictions for rows.

        Parameters
        ----------
        matrix : array-like, shape (n_rows, n_inputs); rounded to float32

        Returns
        -------
        ndarray, shape (n_rows,), float64

        Raises
        ------
        IntegrityError
            If the runtime fails, as for a matrix of another width.
        """
        if isinstance(matrix, np.ndarray) and matrix.dtype == np.float32 and 0 < len(matrix) <= _BATCH_ROWS:
            return self._run_one(matrix) if len(matrix) == 1 else self._run(matrix)
        with np.errstate(over="ignore"):
            rows = np.ascontiguousarray(matrix, dtype=np.float32)
        parts = [self._run(rows[start : start + _BATCH_ROWS]) for start in range(0, len(rows), _BATCH_ROWS)]
        return np.concatenate(parts) if parts else np.empty(0)

    def _run_one(self, row: npt.NDArray[np.float32]) -> Floats:
        one = self._one_row
        if one is None:
            values = self._run(row)  # which refuses what is no such model, or row
            self._one_row = _OneRow(self._session, self._input, self._outputs[0], width=row.shape[1])
            return values
        if row.shape != one.shape or not self._turn.acquire(blocking=False):
            return self._run(row)
        try:
            return one.run(row)
        except Exception as error:  # see `_run`
            raise _failure(error) from error
        finally:
            self._turn.release()

    def _run(self, rows: npt.NDArray[np.float32]) -> Floats:
        try:
            (output,) = self._session.run(self._outputs, {self._input: rows})
        except Exception as error:  # the runtime's own exceptions share no base below it
            raise _failure(error) from error
        if output.size != len(rows):
            raise IntegrityError(f"the compiled model answers {output.shape} values for {len(rows)} rows")
        values: Floats = output.reshape(-1).astype(np.float64)
        return values


class _OneRow:
    """One row at a time, in memory that the runtime knows already: half of what a call costs is to make it known.

    Not to be run by two threads at once.
    """

    def __init__(self, session: Any, input_name: str, output_name: str, *, width: int) -> None:
        self.shape = (1, width)
        self._run = session.run_with_iobinding
        self._row = np.zeros(self.shape, np.float32)
        (output,) = session.run([output_name], {input_name: self._row})
        self._output = np.zeros_like(output)
        self._binding = session.io_binding()
        for bind, name, array in (
            (self._binding.bind_input, input_name, self._row),
            (self._binding.bind_output, output_name, self._output),
        ):
            bind(name, "cpu", 0, array.dtype, array.shape, array.ctypes.data)

    def run(self, row: npt.NDArray[np.float32]) -> Floats:
        self._row[...] = row
        self._run(self._binding)
        return np.array([self._output.item()], np.float64)


def _failure(error: Exception) -> IntegrityError:
    return IntegrityError(f"the compiled model does not answer: {error}")
