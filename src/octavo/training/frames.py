"""The rows that an estimator is given: a matrix of numbers, or a frame in which categories are words again."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from octavo.errors import MissingExtra

Floats = npt.NDArray[np.float64]
NO_WORD = "\x00"
"""A word that no vocabulary has."""
NO_CATEGORY = "nan"
"""What CatBoost is given for a missing category, as it takes none: what pandas writes for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """Which columns of a matrix are categories.

    Attributes
    ----------
    columns : tuple of str
        All of the matrix, in their order.
    categories : mapping of column to tuple of str
        The words of each that is a category. In the matrix is the place of a word among them, -1 for any other word and
        NaN for none.
    """

    columns: tuple[str, ...]
    categories: Mapping[str, tuple[str, ...]]

    @property
    def by_place(self) -> dict[int, tuple[str, ...]]:
        """The words of each category, by the place of its column."""
        return {place: self.categories[name] for place, name in enumerate(self.columns) if name in self.categories}

    def frame(self, matrix: Floats, *, unseen_is_missing: bool, missing: str | None = None) -> Any:
        """Rows as a frame: float64 columns, and a ``Categorical`` of its words for each category.

        Parameters
        ----------
        unseen_is_missing : bool
            Whether a word that is none of them is a missing value; else it is a word that no vocabulary has.
        missing : str or None
            A word that stands for none, for a library that takes no missing category.

        Raises
        ------
        MissingExtra
            If pandas is not installed.
        """
        try:
            import pandas as pd
        except ImportError as error:
            raise MissingExtra("categories", "giving categories to an estimator") from error
        columns: dict[str, Any] = {name: matrix[:, place] for place, name in enumerate(self.columns)}
        for name, words in self.categories.items():
            codes, known = _codes(columns[name], words, unseen_is_missing=unseen_is_missing, missing=missing)
            columns[name] = pd.Categorical.from_codes(codes, categories=list(known))
        return pd.DataFrame(columns)


def words_of(columns: tuple[str, ...], categories: Mapping[str, tuple[str, ...]]) -> Words | None:
    """Which columns are categories; None if none is, so that an estimator is given the matrix as it is."""
    return Words(columns=columns, categories=categories) if categories else None


def _codes(
    places: Floats, words: tuple[str, ...], *, unseen_is_missing: bool, missing: str | None
) -> tuple[npt.NDArray[np.int64], tuple[str, ...]]:
    """The place of each word among those that a frame knows: those given, and what else these rows need."""
    nothing, unseen = np.isnan(places), places < 0
    known = list(words)
    if not unseen_is_missing and unseen.any():
        known.append(NO_WORD)
    if missing is not None and missing not in known and nothing.any():
        known.append(missing)
    at = {word: place for place, word in enumerate(known)}
    absent = -1 if missing is None else at.get(missing, -1)
    codes = np.where(unseen, at.get(NO_WORD, -1), np.where(nothing, absent, places))
    return codes.astype(np.int64), tuple(known)
