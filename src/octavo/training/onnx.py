"""ONNX at work: opening it in the runtime, and models that a training function returns as ONNX, as estimators."""

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from octavo.errors import IntegrityError, TrainingFailed

if TYPE_CHECKING:
    import onnxruntime

Floats = npt.NDArray[np.float64]
_BATCH_ROWS = 8_192
_COLUMNS = (1, 2)
_WANTED = (
    "it must be one number for each row, or the probabilities of classes 0 and 1 (of skl2onnx: with the option "
    "zipmap=False)"
)
_NUMBERS = ("tensor(float)", "tensor(double)")


def open_session(onnx: bytes, *, what: str = "the compiled model") -> "onnxruntime.InferenceSession":
    """The runtime's session of a model, on one thread: more would fight whoever answers requests.

    Parameters
    ----------
    what : str
        What the model is called in an error.

    Raises
    ------
    IntegrityError
        If the runtime cannot load it.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    try:
        return onnxruntime.InferenceSession(onnx, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the runtime's own exceptions share no base below it
        raise IntegrityError(f"{what} cannot be loaded: {error}") from error


class OnnxEstimator:
    """A model given as ONNX: its last output holds the value of each row, or the probabilities of classes 0 and 1.

    Parameters
    ----------
    onnx : bytes

    Raises
    ------
    TrainingFailed
        If it does not take one matrix of float32 with any number of rows, or gives something else.
    """

    def __init__(self, onnx: bytes) -> None:
        self.onnx = onnx
        try:
            self._session = open_session(onnx, what="the ONNX model that was returned")
        except IntegrityError as error:
            raise TrainingFailed(f"{error.message}; export it again, and check it by onnx.checker") from error
        self._input = _only_input(self._session)
        self._output = _last_output(self._session)

    def predict(self, matrix: npt.ArrayLike) -> Floats:
        """Values, or probabilities of class 1.

        Parameters
        ----------
        matrix : array-like, shape (n_rows, n_inputs); rounded to float32

        Returns
        -------
        ndarray, shape (n_rows,), float64
        """
        with np.errstate(over="ignore"):
            rows = np.ascontiguousarray(matrix, dtype=np.float32)
        parts = [self._run(rows[start : start + _BATCH_ROWS]) for start in range(0, len(rows), _BATCH_ROWS)]
        return np.concatenate(parts) if parts else np.empty(0)

    def _run(self, rows: npt.NDArray[np.float32]) -> Floats:
        (output,) = self._session.run([self._output], {self._input: rows})
        values: Floats = np.asarray(output, dtype=np.float64)
        if values.ndim == 2 and values.shape[1] not in _COLUMNS:
            raise TrainingFailed(f"the ONNX model answers {values.shape[1]} numbers for each row; {_WANTED}")
        return values[:, -1] if values.ndim == 2 else values


def as_estimator(returned: Any) -> Any:
    """What a training function returned, as an estimator: a ``ModelProto`` of onnx is made one.

    Raises
    ------
    TrainingFailed
        As by `OnnxEstimator`.
    """
    kind = type(returned)
    if kind.__name__ != "ModelProto" or kind.__module__.partition(".")[0] != "onnx":
        return returned
    return OnnxEstimator(bytes(returned.SerializeToString(deterministic=True)))


def _only_input(session: "onnxruntime.InferenceSession") -> str:
    inputs = session.get_inputs()
    if len(inputs) != 1 or inputs[0].type != "tensor(float)" or len(inputs[0].shape) != 2:
        found = ", ".join(f"{one.name}: {one.type} {one.shape}" for one in inputs)
        raise TrainingFailed(
            f"the ONNX model takes {found}; it must take one matrix of float32, a row for each case and a column for "
            "each input of the model"
        )
    if isinstance(inputs[0].shape[0], int):
        raise TrainingFailed(
            f"the ONNX model takes exactly {inputs[0].shape[0]} rows; export it with a first dimension that is dynamic"
        )
    return str(inputs[0].name)


def _last_output(session: "onnxruntime.InferenceSession") -> str:
    output = session.get_outputs()[-1]
    dimensions = len(output.shape)
    too_wide = dimensions == 2 and isinstance(output.shape[1], int) and output.shape[1] not in _COLUMNS
    if output.type not in _NUMBERS or dimensions > 2 or too_wide:
        raise TrainingFailed(f"the ONNX model's last output is {output.name}: {output.type} {output.shape}; {_WANTED}")
    return str(output.name)
