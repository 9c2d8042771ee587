"""Which part of a partitioned model answers a row: that of its word, or the parent. Light: a predictor imports it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Outputs = Callable[[npt.NDArray[Any]], Floats]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Partitioned:
    """A fitted estimator for all rows, and others that answer in its place for some words of a category.

    Attributes
    ----------
    column : int
        Of the category in the matrix.
    parts : mapping of place to estimator
        By the place of their word in the category's vocabulary.
    """

    parent: Any
    parts: Mapping[int, Any]
    column: int


class Routes:
    """Answers of a parent and its parts, each asked once for all of its rows.

    Parameters
    ----------
    parent : callable
        Answers every row whose place has no part: that of any other word, -1, NaN, and what is no place at all.
    parts : mapping of place to callable
    column : int
        Of the matrix, where the places stand.
    """

    def __init__(self, parent: Outputs, parts: Mapping[int, Outputs], *, column: int) -> None:
        self._parent, self._column = parent, column
        self._parts: dict[float, Outputs] = {float(place): part for place, part in parts.items()}
        self._models = [parent, *parts.values()]
        self._model_of = np.zeros(max(parts, default=-1) + 1, dtype=np.intp)
        self._model_of[list(parts)] = np.arange(1, len(self._models))

    def predict(self, matrix: npt.NDArray[Any]) -> Floats:
        """Predictions, shape (n_rows,), for a matrix of shape (n_rows, n_inputs)."""
        if len(matrix) <= 1:
            place: float = matrix.item(0, self._column) if len(matrix) else np.nan
            return self._parts.get(place, self._parent)(matrix)
        chosen = self._chosen(matrix[:, self._column])
        if (chosen == chosen[0]).all():
            return self._models[int(chosen[0])](matrix)
        answers = np.empty(len(matrix))
        order = np.argsort(chosen, kind="stable")
        for rows in np.split(order, np.flatnonzero(np.diff(chosen[order])) + 1):
            answers[rows] = self._models[chosen[rows[0]]](matrix[rows])
        return answers

    def _chosen(self, places: npt.NDArray[Any]) -> npt.NDArray[np.intp]:
        """The model of each row: 0 is the parent."""
        is_known = (places >= 0) & (places < len(self._model_of)) & (places == np.floor(places))
        chosen = np.zeros(len(places), dtype=np.intp)
        chosen[is_known] = self._model_of[places[is_known].astype(np.intp)]
        return chosen
