"""How much each input matters to a model: permutation importance (Breiman, Machine Learning 45, 2001)."""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from octavo.training.evaluation import Metric, value

Floats = npt.NDArray[np.float64]
_ROWS, _BATCH_ROWS = 2_000, 50_000


def permutation_importance(
    outputs: Callable[[Floats], Floats], matrix: Floats, *, labels: Floats, columns: Sequence[str], metric: Metric
) -> dict[str, float]:
    """How much worse the metric gets when one input is shuffled among the rows.

    Parameters
    ----------
    outputs : callable
        Predictions for a matrix.
    matrix : ndarray, shape (n_rows, n_inputs); at most 2,000 rows spread over it are used

    Returns
    -------
    dict
        Input to importance: at least 0, summing to 1; equal for all if no input matters.
    """
    chosen = np.unique(np.linspace(0, len(matrix) - 1, min(_ROWS, len(matrix))).astype(np.intp))
    matrix, labels = matrix[chosen], labels[chosen]
    whole = value(labels, outputs(matrix), metric=metric)
    sign = -1.0 if metric.higher_is_better else 1.0
    shuffled = _shuffled(outputs, matrix)
    losses = [sign * (value(labels, answers, metric=metric) - whole) for answers in shuffled]
    gains = np.maximum(np.nan_to_num(losses, nan=0.0, posinf=0.0, neginf=0.0), 0.0)
    total = gains.sum()
    shares = gains / total if total > 0 else np.full(len(columns), 1 / len(columns))
    return dict(zip(columns, shares.tolist(), strict=True))


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
