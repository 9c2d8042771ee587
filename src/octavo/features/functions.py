"""On-demand features: the user's own functions, run by the same code offline and in a request."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from octavo.definitions.features import OnDemand
from octavo.errors import OctavoError, PredictionFailed

_NUMBERS = "biuf"  # numpy's kinds: bool, signed, unsigned, float


def compute(
    functions: Sequence[OnDemand], columns: Mapping[str, npt.NDArray[Any]], n_rows: int
) -> dict[str, npt.NDArray[np.float64]]:
    """Run on-demand features over some rows.

    Parameters
    ----------
    columns : mapping of request field to ndarray, shape (n_rows,)
        As `OnDemand.function` takes them. Nulls are NaN, NaT or None; a column of whole numbers or truths that has
        any is float64.

    Returns
    -------
    dict of name to ndarray, shape (n_rows,), float64
        What is not finite is NaN, which is missing.

    Raises
    ------
    PredictionFailed
        If a function raises, or returns anything but one number per row.
    """
    return {function.name: _run(function, columns, n_rows) for function in functions}


def _run(function: OnDemand, columns: Mapping[str, npt.NDArray[Any]], n_rows: int) -> npt.NDArray[np.float64]:
    try:
        result = np.asarray(function.function(*(columns[name] for name in function.inputs)))
    except OctavoError:
        raise
    except Exception as error:  # a user's function may fail in any way; this is a process boundary
        raise PredictionFailed(
            f"on-demand feature {function.name!r} raised {type(error).__name__}: {error}", feature=function.name
        ) from error
    if result.shape != (n_rows,) or result.dtype.kind not in _NUMBERS:
        raise PredictionFailed(
            f"on-demand feature {function.name!r} returned {result.dtype} of shape {result.shape} for {n_rows} rows; "
            f"it must return one number per row, an array of shape ({n_rows},)",
            feature=function.name,
        )
    values = result.astype(np.float64)
    return np.where(np.isfinite(values), values, np.nan)
