"""Values rounded to seven significant bits, so that their counts merge exactly in any order, offline and online."""

import numpy as np
import numpy.typing as npt

_SPLITTER = 2.0**46 + 1
_LARGEST = 1e290


def rounded(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Round to seven significant bits (at most 0.8 % off) by Veltkamp's splitting; exact in IEEE arithmetic.

    Parameters
    ----------
    values : ndarray, float64
        Of any shape; a magnitude above 1e290 is returned as it is.
    """
    safe = np.where(np.abs(values) <= _LARGEST, values, 0.0)
    scaled = safe * _SPLITTER
    return np.where(np.abs(values) <= _LARGEST, scaled - (scaled - safe), values)
