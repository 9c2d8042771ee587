"""The golden rows of a bundle: which they are, and how they are written down."""

from collections.abc import Sequence
from typing import Any, TypeVar

import msgspec
import numpy as np
import numpy.typing as npt

from octavo.registry.bundles import Golden
from octavo.registry.parity import Trial

Floats = npt.NDArray[np.float64]
_Number = TypeVar("_Number", bound=np.floating[Any])
_ROWS_OF_A_KIND = 16


def choose_rows(trials: Sequence[Trial]) -> Floats:
    """A few rows of each kind, spread over it.

    Returns
    -------
    ndarray, shape (at most 16 for each trial, n_inputs), float64
    """
    return np.vstack([spread(trial.rows) for trial in trials])


def spread(rows: npt.NDArray[_Number]) -> npt.NDArray[_Number]:
    """At most 16 rows, spread over all."""
    return rows[np.unique(np.linspace(0, len(rows) - 1, min(_ROWS_OF_A_KIND, len(rows))).astype(np.intp))]


def encode_golden(golden: Golden) -> bytes:
    """The document that `octavo.registry.bundles.decode_golden` reads."""
    rows = [[_plain(value) for value in row] for row in golden.rows.tolist()]
    document: dict[str, object] = {
        "rows": rows,
        "expected": golden.expected.tolist(),
        "tolerance": golden.tolerance,
        "n_real": golden.n_real,
    }
    if golden.answers is not None:
        document["answers"] = [_plain(answer) for answer in golden.answers.tolist()]
    return msgspec.json.encode(document)


def _plain(value: float) -> float | str | None:
    if value != value:  # NaN
        return None
    return str(value) if value in (np.inf, -np.inf) else value
