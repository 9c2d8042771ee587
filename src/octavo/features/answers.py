"""What comes after a model: its answer, from what it said and what it was given.

Nothing else is looked at than the model's output and its matrix. So the answer is the same for rows of a training set,
rows of a request, a matrix that a caller sent and rows that were recorded, and is made by the same code.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from octavo.definitions.answers import PREDICTION, AfterModel
from octavo.features.functions import as_taken, run_function

Floats = npt.NDArray[np.float64]
Matrix = npt.NDArray[np.floating]


class Said(NamedTuple):
    """What a model said of some rows, as a function takes it.

    Attributes
    ----------
    rows : ndarray of int or None
        Which rows these are, those of which the model gave a finite number; None if they are all.
    columns : mapping of parameter to ndarray, shape (n_rows,)
    """

    rows: npt.NDArray[np.intp] | None
    columns: Mapping[str, npt.NDArray[Any]]
    n_rows: int

    def spread(self, answers: Floats, *, n_rows: int) -> Floats:
        """The answers in the places of their rows, NaN where the model gave no number."""
        if self.rows is None:
            return answers
        whole = np.full(n_rows, np.nan)
        whole[self.rows] = answers
        return whole


class AnswerColumns:
    """Makes the columns that a function takes of a model's matrix.

    Parameters
    ----------
    taken : sequence of str
        The function's parameters.
    inputs : sequence of str
        The columns of the matrix.
    categories : mapping of input to its words
        Of those that are categories, whose places are in the matrix.
    """

    def __init__(self, taken: Sequence[str], *, inputs: Sequence[str], categories: Mapping[str, Sequence[str]]) -> None:
        self._places = {name: inputs.index(name) for name in taken if name != PREDICTION}
        self._words = {name: _table(categories[name]) for name in self._places if name in categories}

    def of(self, outputs: Floats, matrix: Matrix) -> Said:
        """The columns of those rows of which the model gave a finite number."""
        finite = np.isfinite(outputs)
        rows = None if finite.all() else np.flatnonzero(finite)
        if rows is not None:
            outputs, matrix = outputs[rows], matrix[rows]
        columns: dict[str, npt.NDArray[Any]] = {PREDICTION: np.array(outputs, np.float64)}
        for name, place in self._places.items():
            values, words = as_taken(matrix[:, place]), self._words.get(name)
            columns[name] = values if words is None else _named(values, words)
        return Said(rows, columns, len(outputs))


def answer_of(function: AfterModel, columns: Mapping[str, npt.NDArray[Any]], n_rows: int) -> Floats:
    """Run a function over rows.

    Returns
    -------
    ndarray, shape (n_rows,), float64
        What is not finite is NaN.

    Raises
    ------
    PredictionFailed
        If it raises, or returns anything but one number per row.
    """
    return run_function(function, columns, n_rows, what=f"{function.name!r}, which comes after the model,")


def with_answer(
    outputs: Callable[[Any], Floats],
    function: AfterModel | None,
    *,
    inputs: Sequence[str],
    categories: Mapping[str, Sequence[str]],
) -> Callable[[Any], Floats]:
    """What answers as a model does with a function after it; the same as before without one."""
    if function is None:
        return outputs
    after, columns = function, AnswerColumns(function.inputs, inputs=inputs, categories=categories)

    def answers(matrix: Any) -> Floats:
        said = columns.of(outputs(matrix), matrix)
        if not said.n_rows:
            return np.full(len(matrix), np.nan)
        return said.spread(answer_of(after, said.columns, said.n_rows), n_rows=len(matrix))

    return answers


def _table(words: Sequence[str]) -> npt.NDArray[np.object_]:
    """The words by their places, and behind them None."""
    table = np.empty(len(words) + 1, object)
    table[:-1] = words
    return table


def _named(places: Floats, table: npt.NDArray[np.object_]) -> npt.NDArray[np.object_]:
    """The words at some places; None for none, and for one that training did not know."""
    known = (places >= 0) & (places < len(table) - 1)  # which NaN is not
    named: npt.NDArray[np.object_] = table[np.where(known, places, len(table) - 1).astype(np.intp)]
    return named
