"""What a model does as one input moves: partial dependence (Friedman, Annals of Statistics 29, 2001), bounded."""

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from octavo.definitions.datasets import Dataset
from octavo.training.details import Dependence, DependencePoint

Floats = npt.NDArray[np.float64]
MOST_INPUTS, ROWS, VALUES = 6, 200, 12


def partial_dependence(
    outputs: Callable[[Floats], Floats], rows: Dataset, *, importance: Mapping[str, float]
) -> tuple[Dependence, ...]:
    """The dependence on the most important inputs, the most important first.

    Parameters
    ----------
    outputs : callable
        Predictions for a matrix.
    rows : Dataset
        At most 200 of them, spread over it, are used; an input is given at most twelve of its values.
    """
    ranked = sorted((name for name, share in importance.items() if share > 0), key=lambda name: -importance[name])
    chosen = np.unique(np.linspace(0, len(rows) - 1, min(ROWS, len(rows))).astype(np.intp))
    found = (_of_input(outputs, rows, name, rows.X[chosen]) for name in ranked[:MOST_INPUTS])
    return tuple(each for each in found if each.points)


def _of_input(outputs: Callable[[Floats], Floats], rows: Dataset, name: str, matrix: Floats) -> Dependence:
    place, words = rows.columns.index(name), rows.categories.get(name)
    values = _values(rows.X[:, place], is_category=words is not None)
    if not len(values):
        return Dependence(input=name, points=())
    moved = np.tile(matrix, (len(values), 1))
    moved[:, place] = np.repeat(values, len(matrix))
    answers = outputs(moved).reshape(len(values), len(matrix))
    return Dependence(
        input=name,
        points=tuple(
            DependencePoint(
                value=float(value),
                mean=float(given.mean()),
                low=float(np.quantile(given, 0.1)),
                high=float(np.quantile(given, 0.9)),
                word="" if words is None else words[int(value)],
            )
            for value, given in zip(values, answers, strict=True)
            if np.isfinite(given).all()
        ),
    )


def _values(column: Floats, *, is_category: bool) -> Floats:
    """Few values as they are, else quantiles from 2 % to 98 %; of a category its most common words."""
    present = column[np.isfinite(column)]
    if is_category:
        places, counts = np.unique(present[present >= 0], return_counts=True)
        return np.sort(places[np.argsort(-counts, kind="stable")[:VALUES]])
    distinct = np.unique(present)
    if len(distinct) <= VALUES:
        return distinct
    return np.unique(np.quantile(present, np.linspace(0.02, 0.98, VALUES), method="inverted_cdf"))
