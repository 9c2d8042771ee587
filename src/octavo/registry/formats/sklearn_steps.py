"""Steps before trees, folded into their thresholds.

Filling in and scaling treat each column by itself and never turn its order around. So whether a prepared value is at
most a threshold is the same as whether the given value is at most another one. That one is sought among all float32 by
asking the steps themselves, so it is exact.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Whole = npt.NDArray[np.int64]
Truths = npt.NDArray[np.bool_]
_SCALERS = frozenset({"MaxAbsScaler", "MinMaxScaler", "RobustScaler", "StandardScaler"})
_LARGEST = int(np.array(np.finfo(np.float32).max).view(np.int32))
_SIGN = 0x8000_0000
_HALVINGS = 33
_ROWS = 20_000


def parted(estimator: Any) -> tuple[tuple[Any, ...], Any]:
    """The steps of a pipeline that can be folded, and its last one; any other estimator is one without steps."""
    if type(estimator).__name__ != "Pipeline":
        return (), estimator
    *before, (_, last) = estimator.steps
    steps = tuple(step for _, step in before if step not in (None, "passthrough"))
    return (steps, last) if all(_keeps_order(step) for step in steps) else ((), estimator)


def fold(
    steps: Sequence[Any], columns: Whole, thresholds: Floats, missing: Truths, *, width: int, single: bool
) -> tuple[Floats, Truths]:
    """What is to be asked of the given values, instead of the prepared ones.

    Parameters
    ----------
    columns, thresholds, missing : ndarray, shape (n_questions,)
        Whether the prepared value of a column is at most a threshold; `missing` is the answer for NaN.
    single : bool
        Whether prepared values are rounded to float32 before they are compared.

    Returns
    -------
    ndarray of float32 as float64, ndarray of bool, shape (n_questions,)
        The largest given value that is answered with yes, -inf if none is; and the answer for NaN.
    """

    def transform(matrix: Floats) -> Floats:
        for step in steps:
            matrix = step.transform(matrix)
        return matrix

    return fold_numbers(transform, columns, thresholds, missing, given=columns, base=np.zeros(width), single=single)


def fold_numbers(
    transform: Callable[[Floats], Floats],
    columns: Whole,
    thresholds: Floats,
    missing: Truths,
    *,
    given: Whole,
    base: Floats,
    single: bool,
) -> tuple[Floats, Truths]:
    """As `fold`, of steps that may put columns elsewhere.

    Parameters
    ----------
    columns, given : ndarray, shape (n_questions,)
        The prepared columns that are asked about, and the given ones that they are made of.
    base : ndarray, shape (n_inputs,)
        What stands in all other given columns.
    """
    parts = [
        _fold(
            _preparing(transform, columns[rows], given[rows], base=base, single=single),
            thresholds[rows],
            missing[rows],
        )
        for rows in _slices(len(columns))
    ]
    bounds, answers = zip(*parts, strict=True) if parts else ((), ())
    return np.concatenate([np.empty(0), *bounds]), np.concatenate([np.empty(0, dtype=np.bool_), *answers])


def _keeps_order(step: Any) -> bool:
    kind = type(step).__name__
    if kind != "SimpleImputer":
        return kind in _SCALERS
    fills_nan = isinstance(step.missing_values, float) and np.isnan(step.missing_values)
    return fills_nan and not step.add_indicator and len(step.get_feature_names_out()) == step.n_features_in_


def _slices(rows: int) -> Iterator[slice]:
    return (slice(start, start + _ROWS) for start in range(0, rows, _ROWS))


def _preparing(
    transform: Callable[[Floats], Floats], columns: Whole, given: Whole, *, base: Floats, single: bool
) -> Callable[[Floats], Floats]:
    """What the steps make of one value in each of the columns."""
    places = np.arange(len(columns))

    def prepared(values: Floats) -> Floats:
        matrix = np.tile(base, (len(columns), 1))
        matrix[places, given] = values
        prepared = transform(matrix)
        with np.errstate(over="ignore"):
            found = prepared[places, columns].astype(np.float32 if single else np.float64)
        return found.astype(np.float64)

    return prepared


def _fold(prepared: Callable[[Floats], Floats], thresholds: Floats, missing: Truths) -> tuple[Floats, Truths]:
    filled = prepared(np.full(len(thresholds), np.nan))
    yes, no = np.full(len(thresholds), -_LARGEST - 1), np.full(len(thresholds), _LARGEST + 1)
    for _ in range(_HALVINGS):
        middle = np.clip((yes + no) // 2, -_LARGEST, _LARGEST)
        is_yes = (prepared(_float32(middle)) <= thresholds) & (no - yes > 1)
        is_no = ~is_yes & (no - yes > 1)
        yes, no = np.where(is_yes, middle, yes), np.where(is_no, middle, no)
    bounds = np.where(yes < -_LARGEST, -np.inf, _float32(np.maximum(yes, -_LARGEST)))
    return bounds, np.where(np.isnan(filled), missing, filled <= thresholds)


def _float32(places: Whole) -> Floats:
    """Float32 by their place in order; 0 is at 0."""
    bits = np.where(places >= 0, places, -places | _SIGN).astype(np.uint32)
    return bits.view(np.float32).astype(np.float64)
