"""PyTorch modules that a training function returns, as estimators."""

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from octavo.errors import TrainingFailed

Floats = npt.NDArray[np.float64]
_BATCH_ROWS = 8_192
_COLUMNS = (1, 2)
_EXAMPLE_ROWS = 2
_REASON = 300
_TRAINING = {"aten.dropout.default": 2, "aten.batch_norm.default": 5, "aten.feature_dropout.default": 2}
"""Operators that are told whether they are in training, and the place of the argument that tells them."""

_LOGGER = "torch.onnx._internal.exporter"
_WANTED = "a module must answer one number for each row, or the probabilities of classes 0 and 1"


class TorchEstimator:
    """A module that takes the inputs as one matrix of float32, shape (n_rows, n_inputs), on the processor.

    Its answer has shape (n_rows,) or (n_rows, 1): the value, or for a binary label the probability of class 1; or it
    has shape (n_rows, 2), the probabilities of classes 0 and 1. A module that answers logits is to be wrapped:
    ``nn.Sequential(module, nn.Sigmoid())``, of two classes ``nn.Sequential(module, nn.Softmax(dim=1))``. One that is
    given rows with missing inputs must make numbers of them itself, as by ``torch.nan_to_num``.

    Parameters
    ----------
    answer : callable
        Of a tensor to a tensor.
    export : callable
        Makes the ``ExportedProgram`` that does the same.
    """

    def __init__(self, answer: Callable[[Any], Any], *, export: Callable[[], Any]) -> None:
        self._answer = answer
        self._export = export

    @classmethod
    def of_module(cls, module: Any, *, n_inputs: int) -> "TorchEstimator":
        """A trained ``nn.Module``; it is set to evaluation and moved to the processor."""
        return cls(module.cpu().eval(), export=lambda: _exported(module, n_inputs=n_inputs))

    @classmethod
    def of_program(cls, program: Any) -> "TorchEstimator":
        """An ``ExportedProgram``; exported again, as it may have been for rows of one layout in memory.

        Raises
        ------
        TrainingFailed
            If it was exported while it was being trained, so that it answers by chance or by the rows beside.
        """
        _check_evaluates(program)
        answer = program.module()
        return cls(answer, export=lambda: _exported(answer, n_inputs=_width(program)))

    @cached_property
    def program(self) -> Any:
        """The model as an ``ExportedProgram``.

        Raises
        ------
        TrainingFailed
            If PyTorch cannot export it.
        """
        return self._export()

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
            rows = np.array(matrix, dtype=np.float32)
        parts = [self._run(rows[start : start + _BATCH_ROWS]) for start in range(0, len(rows), _BATCH_ROWS)]
        return np.concatenate(parts) if parts else np.empty(0)

    def _run(self, rows: npt.NDArray[np.float32]) -> Floats:
        """Answer a batch; one row is asked for twice, as what was exported with several may refuse a single one."""
        import torch

        with torch.no_grad():
            answer = self._answer(torch.from_numpy(np.repeat(rows, 2, axis=0) if len(rows) == 1 else rows))
        values = np.asarray(answer.numpy(), dtype=np.float64)[: len(rows)]
        if values.ndim > 2 or (values.ndim == 2 and values.shape[1] not in _COLUMNS):
            raise TrainingFailed(f"the module answers shape {list(values.shape)} for {len(rows)} rows; {_WANTED}")
        return values[:, -1] if values.ndim == 2 else values


def is_module(returned: Any) -> bool:
    """Whether something is a module of PyTorch, found out without importing it."""
    return any(
        (kind.__module__, kind.__name__) == ("torch.nn.modules.module", "Module") for kind in type(returned).__mro__
    )


@contextmanager
def quiet() -> Iterator[None]:
    """Keep what PyTorch's exporters say about PyTorch itself from people who can do nothing about it."""
    logger = logging.getLogger(_LOGGER)
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _check_evaluates(program: Any) -> None:
    for node in program.graph.nodes:
        place = _TRAINING.get(str(node.target))
        if place is not None and len(node.args) > place and node.args[place] is True:
            raise TrainingFailed(
                f"the program holds {node.target} as in training; call module.eval() before it is exported or saved"
            )


def _width(program: Any) -> int:
    """How many columns the only input of a program has."""
    inputs = [node for node in program.graph.nodes if node.name in program.graph_signature.user_inputs]
    shape: tuple[Any, ...] = tuple(inputs[0].meta["val"].shape) if len(inputs) == 1 else ()
    if len(shape) != 2 or not isinstance(shape[1], int):
        raise TrainingFailed(f"the exported program takes {len(inputs)} inputs; it must take one matrix")
    return shape[1]


def _exported(module: Any, *, n_inputs: int) -> Any:
    import torch

    rows = {0: torch.export.Dim("rows")}
    try:
        with quiet():
            return torch.export.export(module, (torch.zeros(_EXAMPLE_ROWS, n_inputs),), dynamic_shapes=(rows,))
    except Exception as error:  # a module may do anything when it is traced
        reason = str(error).strip().partition("\n")[0][:_REASON]
        raise TrainingFailed(
            f"PyTorch cannot export this {type(module).__name__}: {type(error).__name__}: {reason}; it must take one "
            f"matrix of {n_inputs} columns with any number of rows, and branch on no value in it (use torch.where)"
        ) from error
