"""What a user's fitted estimator answers, whatever its library: one float64 per row."""

from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from octavo.definitions.models import Task
from octavo.errors import OctavoError, TrainingFailed
from octavo.training.frames import NO_CATEGORY, Words
from octavo.training.routing import Partitioned, Routes

Floats = npt.NDArray[np.float64]


def predict(estimator: Any, matrix: Floats, *, task: Task, words: Words | None = None) -> Floats:
    """Predictions of a fitted estimator.

    Parameters
    ----------
    estimator
        With ``predict``; for a binary model with ``predict_proba`` of two classes, or with a ``predict`` that answers
        probabilities (a LightGBM ``Booster``). Or a `Partitioned` of such.
    matrix : ndarray, shape (n_rows, n_inputs), float64
    words : Words or None
        Which columns are categories; with any, the estimator is given a frame.

    Returns
    -------
    ndarray, shape (n_rows,), float64
        Values, or probabilities that the label is 1; always finite.

    Raises
    ------
    TrainingFailed
        If the estimator cannot answer so, or raises.
    """
    if isinstance(estimator, Partitioned):
        parent, *parts = (
            partial(predict, one, task=task, words=words) for one in (estimator.parent, *estimator.parts.values())
        )
        return Routes(parent, dict(zip(estimator.parts, parts, strict=True)), column=estimator.column).predict(matrix)
    try:
        rows = matrix if words is None else _frame(estimator, matrix, words)
        values = _answers(estimator, rows, task=task)
    except OctavoError:
        raise
    except Exception as error:  # a user's estimator may fail in any way; this is a process boundary
        raise TrainingFailed(
            f"the estimator raised {type(error).__name__} when it was asked for {len(matrix)} predictions: {error}"
        ) from error
    if values.shape != (len(matrix),):
        raise TrainingFailed(f"the estimator answered shape {values.shape} for {len(matrix)} rows, not one number each")
    if not np.isfinite(values).all():
        raise TrainingFailed(f"the estimator answered NaN or infinity for {int((~np.isfinite(values)).sum())} rows")
    if task is Task.BINARY and not ((values >= 0) & (values <= 1)).all():
        raise TrainingFailed(
            f"the estimator answered {values.min():g} to {values.max():g}, which are no probabilities; "
            "return a classifier with predict_proba, or a booster with a binary objective"
        )
    return values


def check(estimator: Any, *, task: Task) -> None:
    """Refuse what cannot be a fitted estimator of the task.

    Raises
    ------
    TrainingFailed
        With what to return instead.
    """
    if estimator is None:
        raise TrainingFailed("the training function returned None; return the fitted estimator")
    kind = type(estimator).__name__
    if not callable(getattr(estimator, "predict", None)):
        raise TrainingFailed(f"the training function returned a {kind}, which has no predict method")
    classes = _classes(estimator)
    if task is Task.REGRESSION and classes is not None:
        raise TrainingFailed(f"{kind} is a classifier, but the label is a number; return a regressor")
    if task is Task.BINARY and classes is not None and not _are_zero_and_one(classes):
        raise TrainingFailed(f"{kind} learned the classes {list(classes)} instead of 0 and 1; both must occur in y")
    if task is Task.BINARY and classes is not None and not hasattr(estimator, "predict_proba"):
        raise TrainingFailed(f"{kind} gives no probabilities; return a classifier with predict_proba")


def _classes(estimator: Any) -> Any:
    """What a classifier learned to tell apart; a regressor has none, or an empty list of them (CatBoost)."""
    classes = getattr(estimator, "classes_", None)
    return None if classes is None or (hasattr(classes, "__len__") and not len(classes)) else classes


def _are_zero_and_one(classes: Any) -> bool:
    try:
        return [float(one) for one in classes] == [0.0, 1.0]
    except (TypeError, ValueError):
        return False


def _frame(estimator: Any, matrix: Floats, words: Words) -> Any:
    """A frame as its library takes it: to some a word that training did not have is a missing value."""
    library = type(estimator).__module__.partition(".")[0]
    return words.frame(
        matrix,
        unseen_is_missing=library in ("lightgbm", "xgboost"),
        missing=NO_CATEGORY if library == "catboost" else None,
    )


def _answers(estimator: Any, rows: Any, *, task: Task) -> Floats:
    if task is Task.BINARY and hasattr(estimator, "predict_proba"):
        return np.asarray(estimator.predict_proba(rows), dtype=np.float64)[:, -1]
    return np.asarray(estimator.predict(rows), dtype=np.float64)
