"""On-demand features: the user's own functions, run by the same code offline and in a request."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from octavo.definitions.answers import AfterModel
from octavo.definitions.features import OnDemand
from octavo.errors import OctavoError, PredictionFailed
from octavo.features.values import float32

_NUMBERS = "biuf"  # numpy's kinds: bool, signed, unsigned, float


def compute(
    functions: Sequence[OnDemand], columns: Mapping[str, npt.NDArray[Any]], n_rows: int
) -> dict[str, npt.NDArray[np.float64]]:
    """Run on-demand features over some rows.

    Parameters
    ----------
    functions : sequence of OnDemand
        Each after those that it takes (see `octavo.definitions.order.in_order`).
    columns : mapping of name to ndarray, shape (n_rows,)
        As `OnDemand.function` takes them, and features of views by their input names. Nulls are NaN, NaT or None; a
        column of whole numbers or truths that has any is float64.

    Returns
    -------
    dict of name to ndarray, shape (n_rows,), float64
        What is not finite is NaN, which is missing.

    Raises
    ------
    PredictionFailed
        If a function raises, or returns anything but one number per row.
    """
    known, values = dict(columns), dict[str, npt.NDArray[np.float64]]()
    for function in functions:
        what = f"on-demand feature {function.name!r}"
        known[function.name] = values[function.name] = run_function(function, known, n_rows, what=what)
    return values


def as_taken(values: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Values of a view's feature as functions take them: as exact as a predictor has them; NaN where not known."""
    return float32(values).astype(np.float64)


def run_function(
    function: OnDemand | AfterModel, columns: Mapping[str, npt.NDArray[Any]], n_rows: int, *, what: str
) -> npt.NDArray[np.float64]:
    """Run one function; as `compute`, which is for on-demand features.

    Parameters
    ----------
    what : str
        Which it is, for those who read errors.
    """
    try:
        result = np.asarray(function.function(*(columns[name] for name in function.inputs)))
    except OctavoError:
        raise
    except Exception as error:  # a user's function may fail in any way; this is a process boundary
        raise PredictionFailed(f"{what} raised {type(error).__name__}: {error}", feature=function.name) from error
    if result.shape != (n_rows,) or result.dtype.kind not in _NUMBERS:
        raise PredictionFailed(
            f"{what} returned {result.dtype} of shape {result.shape} for {n_rows} rows; "
            f"it must return one number per row, an array of shape ({n_rows},)",
            feature=function.name,
        )
    values = result.astype(np.float64)
    return np.where(np.isfinite(values), values, np.nan)
