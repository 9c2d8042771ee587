"""On-demand functions as a predictor asks for them: which they are, and their values for some rows."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from octavo.definitions.answers import AfterModel
from octavo.definitions.features import OnDemand
from octavo.definitions.order import in_order
from octavo.features.answers import answer_of
from octavo.features.functions import compute

Columns = Mapping[str, npt.NDArray[Any]]
Values = dict[str, npt.NDArray[np.float64]]


class Functions(Protocol):
    """Functions that travelled here with a version or a composite."""

    async def answer(self, columns: Columns, n_rows: int) -> npt.NDArray[np.float64]:
        """What comes after the model, as `octavo.features.answers.answer_of` gives it; as `compute` otherwise."""

    async def compute(self, columns: Columns, n_rows: int, *, only: str = "") -> Values:
        """Their values, as `octavo.features.functions.compute` gives them.

        Parameters
        ----------
        columns : mapping of name to ndarray, shape (n_rows,)
            All that they take and are not themselves; others are passed over.
        only : str
            The one that is wanted, which then takes nothing of the others; empty for all.

        Raises
        ------
        PredictionFailed
            If one fails.
        Unavailable
            If they cannot be asked, or nothing comes of it.
        """


class FunctionsHere:
    """Functions that run where they are asked for: those of the process's own project, and none at all.

    Parameters
    ----------
    functions : sequence of OnDemand
    after : AfterModel or None
        What comes after the model.
    """

    def __init__(self, functions: Sequence[OnDemand] = (), after: AfterModel | None = None) -> None:
        self._after = after
        self._in_order = in_order(functions)
        self._by_name = {function.name: function for function in functions}

    async def answer(self, columns: Columns, n_rows: int) -> npt.NDArray[np.float64]:
        """See `Functions.answer`."""
        assert self._after is not None, "nobody asks for what is not planned"
        return answer_of(self._after, columns, n_rows)

    async def compute(self, columns: Columns, n_rows: int, *, only: str = "") -> Values:
        """See `Functions.compute`."""
        return compute((self._by_name[only],) if only else self._in_order, columns, n_rows)
