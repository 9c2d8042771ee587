"""What a training function is given."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """Labelled rows with their features as known at the time of each decision, ordered by that time.

    Attributes
    ----------
    columns : tuple of str
        The model's inputs, in the order of `X`'s columns.
    X : ndarray, shape (n_rows, n_columns), float64
        NaN where a value is missing or stale.
    y : ndarray, shape (n_rows,), float64
        The label; 0 or 1 for a binary one.
    times : ndarray, shape (n_rows,), datetime64[us], UTC
        When each decision was made, ascending.
    categories : mapping of column to tuple of str
        The words of each column that is a category. With such a column a training function is given `X` as a pandas
        ``DataFrame``, in which it is a ``Categorical`` of these words; else `X` holds the place of a word among them,
        -1 for any other word and NaN for none.
    """

    columns: tuple[str, ...]
    X: npt.NDArray[np.float64]
    y: npt.NDArray[np.float64]
    times: npt.NDArray[np.datetime64]
    categories: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.y)
