"""Linear models of scikit-learn with all that stands before them, as sums over the given columns.

Scaling, filling in, encoding and weighing come to a number for each word of a category, and to a line of each number.
Which ones is found out by asking the whole pipeline for its score of rows that differ in one column; whether that is
all there is to it (a step may mix columns) shows when the sum is tried like any other form.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from octavo.errors import TrainingFailed
from octavo.registry.formats.linear import Category, Linear, Link, Number
from octavo.training.frames import Words

Floats = npt.NDArray[np.float64]
_Score = Callable[[Floats], Floats]
_FAR = 2.0**40
"""So far out that a line's slope keeps its digits however far from zero it starts."""
_PROBES = np.array([-_FAR, _FAR, 1.0, -1.0, -999.0, 1234.5])
_CLOSE = 1e-9
_MOST_ROWS = 1_000


def linear_model(estimator: Any, *, n_inputs: int, words: Words | None) -> Linear:
    """The sum that an estimator is.

    Raises
    ------
    TrainingFailed
        If it is none.
    """
    if not hasattr(getattr(estimator, "steps", [(None, estimator)])[-1][1], "coef_"):
        raise TrainingFailed(f"{type(estimator).__name__} is no linear model")
    is_logistic = hasattr(estimator, "predict_proba")
    ask = getattr(estimator, "decision_function", None) if is_logistic else estimator.predict
    if ask is None:
        raise TrainingFailed(f"{type(estimator).__name__} has probabilities but no score")

    def score(rows: Floats) -> Floats:
        given = rows if words is None else words.frame(rows, unseen_is_missing=False)
        return np.asarray(ask(given), dtype=np.float64).reshape(len(rows))

    known = {} if words is None else words.by_place
    start = float(_asked(score, np.zeros((1, n_inputs)))[0])
    if not np.isfinite(start):
        raise TrainingFailed(f"{type(estimator).__name__} refuses a row of zeros")
    columns = [
        _category(score, column, len(known[column]), n_inputs=n_inputs, start=start)
        if column in known
        else _number(score, column, n_inputs=n_inputs, start=start)
        for column in range(n_inputs)
    ]
    return Linear(link=Link.LOGISTIC if is_logistic else Link.IDENTITY, start=start, columns=tuple(columns))


def _number(score: _Score, column: int, *, n_inputs: int, start: float) -> Number:
    low, high, *_ = answers = _with(score, column, _PROBES, n_inputs=n_inputs)
    weight = (high - low) / (2 * _FAR)
    if not np.allclose(answers, start + weight * _PROBES, rtol=_CLOSE, atol=_CLOSE * max(1.0, abs(start))):
        raise TrainingFailed(f"the score is no line of column {column + 1}")
    (missing,) = _with(score, column, np.array([np.nan]), n_inputs=n_inputs)
    return Number(weight=float(weight), missing=_added(missing, start))


def _category(score: _Score, column: int, n_words: int, *, n_inputs: int, start: float) -> Category:
    places = np.array([np.nan, -1.0, *range(n_words)])
    missing, unseen, *words = (_added(one, start) for one in _with(score, column, places, n_inputs=n_inputs))
    return Category(words=tuple(words), unseen=unseen, missing=missing)


def _added(answer: float, start: float) -> float | None:
    return float(answer - start) if np.isfinite(answer) else None


def _with(score: _Score, column: int, values: Floats, *, n_inputs: int) -> Floats:
    """The scores of rows of zeros, which of a category is its first word, with each value in one column."""
    rows = np.zeros((len(values), n_inputs))
    rows[:, column] = values
    return _asked(score, rows)


def _asked(score: _Score, rows: Floats) -> Floats:
    """The score of each row; NaN where the estimator refuses it."""
    if len(rows) <= _MOST_ROWS:
        try:
            return score(rows)
        except Exception:  # a user's pipeline may fail in any way
            if len(rows) == 1:
                return np.array([np.nan])
    half = len(rows) // 2
    return np.concatenate([_asked(score, rows[:half]), _asked(score, rows[half:])])
