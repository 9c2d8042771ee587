"""A compiled model over a matrix, in batches: what the registry judges and compares versions by."""

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
        self._output = self._session.get_outputs()[0].name

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
            return self._run(matrix)
        with np.errstate(over="ignore"):
            rows = np.ascontiguousarray(matrix, dtype=np.float32)
        parts = [self._run(rows[start : start + _BATCH_ROWS]) for start in range(0, len(rows), _BATCH_ROWS)]
        return np.concatenate(parts) if parts else np.empty(0)

    def _run(self, rows: npt.NDArray[np.float32]) -> Floats:
        try:
            (output,) = self._session.run([self._output], {self._input: rows})
        except Exception as error:  # the runtime's own exceptions share no base below it
            raise IntegrityError(f"the compiled model does not answer: {error}") from error
        if output.size != len(rows):
            raise IntegrityError(f"the compiled model answers {output.shape} values for {len(rows)} rows")
        values: Floats = output.reshape(-1).astype(np.float64)
        return values
