"""The one rule by which a declared default stands in: where a value is not known, that is missing, stale or no number.

Training sets, requests and requests that find the store gone all go by it, and all say where it did.
"""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from octavo.features.values import FeatureStatus


class Defaults:
    """What stands in for each of some values.

    Parameters
    ----------
    declared : iterable of float or None
        One per column; None where nothing stands in.

    Attributes
    ----------
    values : ndarray, shape (n_columns,), float32
        NaN where nothing stands in.
    """

    def __init__(self, declared: Iterable[float | None]) -> None:
        self.values = np.array([np.nan if default is None else default for default in declared], np.float32)
        self._declared = ~np.isnan(self.values)
        self._any = bool(self._declared.any())

    def fill(self, values: npt.NDArray[np.floating]) -> npt.NDArray[np.bool_]:
        """Put defaults in the place of NaN; changes `values`.

        Parameters
        ----------
        values : ndarray, shape (..., n_columns)

        Returns
        -------
        ndarray, shape (..., n_columns), bool
            Where a default stands in.
        """
        if not self._any:
            return np.zeros(values.shape, np.bool_)
        stood_in: npt.NDArray[np.bool_] = np.isnan(values) & self._declared
        np.copyto(values, self.values, where=stood_in)
        return stood_in

    def stand_in(self, values: npt.NDArray[np.floating], status: npt.NDArray[np.uint8]) -> None:
        """Put defaults in the place of NaN and say so in the status; changes both arrays."""
        if self._any:
            status[self.fill(values)] = FeatureStatus.DEFAULT
