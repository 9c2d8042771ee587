"""How much each input matters to a model: permutation importance (Breiman, Machine Learning 45, 2001)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from octavo.errors import InvalidRequest
from octavo.training.evaluation import difference, value
from octavo.training.intervals import Interval
from octavo.training.metrics import Metric

Floats = npt.NDArray[np.float64]
_ROWS, _BATCH_ROWS = 2_000, 50_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Importance:
    """How much each input matters.

    Attributes
    ----------
    shares : mapping of input to float
        At least 0, summing to 1; equal for all if no input matters.
    losses : mapping of input to Interval
        How much worse the metric gets when the input is shuffled, in the metric's unit; without those for which it is
        undefined.
    """

    shares: Mapping[str, float]
    losses: Mapping[str, Interval] = field(default_factory=dict)


def permutation_importance(
    outputs: Callable[[Floats], Floats], matrix: Floats, *, labels: Floats, columns: Sequence[str], metric: Metric
) -> Importance:
    """How much worse the metric gets when one input is shuffled among the rows.

    Parameters
    ----------
    outputs : callable
        Predictions for a matrix.
    matrix : ndarray, shape (n_rows, n_inputs); at most 2,000 rows spread over it are used
    """
    chosen = np.unique(np.linspace(0, len(matrix) - 1, min(_ROWS, len(matrix))).astype(np.intp))
    matrix, labels = matrix[chosen], labels[chosen]
    unshuffled = outputs(matrix)
    whole = value(labels, unshuffled, metric=metric)
    sign = -1.0 if metric.higher_is_better else 1.0
    shuffled = _shuffled(outputs, matrix)
    losses = [sign * (value(labels, answers, metric=metric) - whole) for answers in shuffled]
    gains = np.maximum(np.nan_to_num(losses, nan=0.0, posinf=0.0, neginf=0.0), 0.0)
    total = gains.sum()
    shares = gains / total if total > 0 else np.full(len(columns), 1 / len(columns))
    return Importance(
        shares=dict(zip(columns, shares.tolist(), strict=True)),
        losses={
            name: lost
            for name, answers in zip(columns, shuffled, strict=True)
            if (lost := _lost(labels, unshuffled, answers, metric=metric)) is not None
        },
    )


def _lost(labels: Floats, whole: Floats, shuffled: Floats, *, metric: Metric) -> Interval | None:
    """By how much the metric is worse, with what chance has to do with it."""
    better, worse = (whole, shuffled) if metric.higher_is_better else (shuffled, whole)
    try:
        return difference(labels, ours=better, theirs=worse, metric=metric)
    except InvalidRequest:
        return None


def _shuffled(outputs: Callable[[Floats], Floats], matrix: Floats) -> list[Floats]:
    """Predictions with each column shuffled in turn; several columns share one call, which costs far less."""
    n_rows, n_columns = matrix.shape
    random = np.random.default_rng(0)
    per_call = max(1, _BATCH_ROWS // n_rows)
    answers: list[Floats] = []
    for first in range(0, n_columns, per_call):
        block = range(first, min(first + per_call, n_columns))
        stacked = np.tile(matrix, (len(block), 1))
        for place, column in enumerate(block):
            stacked[place * n_rows : (place + 1) * n_rows, column] = matrix[random.permutation(n_rows), column]
        answers.extend(np.split(outputs(stacked), len(block)))
    return answers
