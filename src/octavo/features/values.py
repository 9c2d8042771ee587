"""What a feature value is beside its number: its status and its age."""

from enum import IntEnum
from typing import NamedTuple

import numpy as np
import numpy.typing as npt


class FeatureStatus(IntEnum):
    """How a value came to stand where it stands; one byte in records."""

    PRESENT = 0
    STALE = 1
    """Older than its time to live, and no default is declared: the model is given NaN."""
    MISSING = 2
    """Nothing is known, and no default is declared: the model is given NaN."""
    DEFAULT = 3
    """The declared default stood in for what is missing or stale."""
    UNREAD = 4
    """The store could not be read: the model is given the declared default, or NaN without one."""
    SENT = 5
    """The request brought it along, which goes before what is stored."""

    @property
    def word(self) -> str:
        """As it stands in answers and pages."""
        return self.name.lower()


class OnlineValues(NamedTuple):
    """Feature values of some rows, with what is known about each.

    Attributes
    ----------
    values : ndarray, shape (n_rows, n_features), float32
        NaN where a value is missing or stale and has no default.
    status : ndarray, shape (n_rows, n_features), uint8
        `FeatureStatus`.
    ages_s : ndarray, shape (n_rows, n_features), float32
        Seconds since the newest event that the value rests on; NaN where it rests on none.
    """

    values: npt.NDArray[np.float32]
    status: npt.NDArray[np.uint8]
    ages_s: npt.NDArray[np.float32]


def float32(values: npt.ArrayLike) -> npt.NDArray[np.float32]:
    """Values as a model takes them: one beyond the range of float32 is infinite."""
    with np.errstate(over="ignore"):
        return np.array(values, np.float32)
