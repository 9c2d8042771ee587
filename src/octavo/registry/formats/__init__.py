"""How models of each library are kept and compiled: one file per library, and the choice between them."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from octavo.definitions.models import Task
from octavo.registry.forms import Form
from octavo.training.frames import Words

Floats = npt.NDArray[np.float64]
Outputs = Callable[[npt.NDArray[Any]], Floats]


class Format(Protocol):
    """What the registry must know of a library's models. None imports its library before a model of it is there."""

    @property
    def name(self) -> str:
        """As it stands in bundles."""

    @property
    def serves(self) -> bool:
        """Whether a predictor may answer by the library itself, from the files that `save` kept."""

    def matches(self, estimator: Any) -> bool:
        """Whether an estimator is of this library."""

    def save(self, estimator: Any) -> dict[str, bytes]:
        """The model in files that hold no code, by name; the same model always as the same bytes.

        Raises
        ------
        TrainingFailed
            If part of the model is code.
        """

    def load(self, files: Mapping[str, bytes], *, words: Words | None = None) -> Outputs:
        """The model that `save` kept, ready to predict as its estimator does, on one thread.

        It takes a matrix of float32 or float64, shape (n_rows, n_inputs).

        Parameters
        ----------
        words : Words or None
            Which columns are categories.

        Raises
        ------
        IntegrityError
            If the files cannot be read, or hold what is not trusted.
        MissingExtra
            If the library is not installed.
        """

    def to_onnx(self, estimator: Any, *, n_inputs: int, task: Task, words: Words | None = None) -> bytes:
        """Compile: one input, float32, shape (n_rows, n_inputs); one output, float32, with one number per row.

        Raises
        ------
        TrainingFailed
            If the model does something that cannot be compiled.
        """

    def thresholds(self, estimator: Any) -> Iterable[tuple[int, float]]:
        """Where the model's answer may jump: (column, value); parity is tried on both sides of each."""


@runtime_checkable
class OfLoops(Protocol):
    """What a format has besides of whose models some may be answered by loops of ours."""

    @property
    def loops(self) -> Form:
        """Which: one of `octavo.registry.loops.LOOPS`."""

    def to_loops(self, estimator: Any, *, n_inputs: int, words: Words | None = None) -> bytes:
        """The file that they answer from.

        Raises
        ------
        TrainingFailed
            If the model is none of those.
        """
