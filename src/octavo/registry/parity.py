"""Whether a compiled model answers as the native one does: on real rows, and on rows made to tell them apart."""

from collections.abc import Callable, Iterable

import numpy as np
import numpy.typing as npt

from octavo.errors import TrainingFailed

Floats = npt.NDArray[np.float64]

TOLERANCE = 1e-4
"""Largest allowed difference; relative for answers above 1 in size."""

_THRESHOLDS, _SEED = 2_000, 0
_LARGEST = float(np.finfo(np.float32).max)


def adversarial_rows(real: Floats, *, thresholds: Iterable[tuple[int, float]]) -> Floats:
    """Rows at which a careless compilation would go wrong.

    All missing, all zero, the largest and smallest float32, each input missing or zero by itself, and rows exactly on
    thresholds and on both sides of them.

    Parameters
    ----------
    real : ndarray, shape (n_rows, n_inputs), at least one row
    thresholds : iterable of (column, value)
        At most 2,000 of them are tried, chosen at random but always the same.

    Returns
    -------
    ndarray, shape (n, n_inputs), float64; each value is a float32
    """
    width = real.shape[1]
    usual = real[len(real) // 2]
    constant = [np.full(width, value) for value in (np.nan, 0.0, -0.0, 1.0, _LARGEST, -_LARGEST)]
    single = [_with(usual, column, value) for column in range(width) for value in (np.nan, 0.0)]
    distinct = sorted(set(thresholds))
    random = np.random.default_rng(_SEED)
    if len(distinct) > _THRESHOLDS:
        distinct = [distinct[place] for place in random.choice(len(distinct), _THRESHOLDS, replace=False)]
    beside = [
        _with(real[random.integers(len(real))], column, value)
        for column, threshold in distinct
        for value in _around(threshold)
    ]
    with np.errstate(over="ignore"):
        return np.array([*constant, *single, *beside], dtype=np.float32).astype(np.float64)


def check_parity(rows: Floats, *, native: Callable[[Floats], Floats], compiled: Callable[[Floats], Floats]) -> float:
    """Compare two models over rows.

    Returns
    -------
    float
        The largest difference, in units of what is allowed; at most 1.

    Raises
    ------
    TrainingFailed
        If a difference is larger than `TOLERANCE`.
    """
    expected, answered = native(rows), compiled(rows)
    difference = np.abs(answered - expected) / (TOLERANCE * np.maximum(1.0, np.abs(expected)))
    worst = int(np.argmax(np.where(np.isnan(difference), np.inf, difference)))
    if not difference[worst] <= 1:
        raise TrainingFailed(
            f"the compiled model answers {answered[worst]:.9g} where the trained one answers {expected[worst]:.9g} "
            f"(row {worst} of {len(rows)}), so it is not the model that was trained; use another estimator or options"
        )
    return float(difference[worst])


def _with(row: Floats, column: int, value: float) -> Floats:
    changed = row.copy()
    changed[column] = value
    return changed


def _around(threshold: float) -> tuple[float, float, float]:
    with np.errstate(over="ignore"):
        at = np.float32(threshold)
        return float(at), float(np.nextafter(at, np.float32(np.inf))), float(np.nextafter(at, np.float32(-np.inf)))
