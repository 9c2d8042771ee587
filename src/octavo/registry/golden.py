"""The golden rows of a bundle: which they are, and how they are written down."""

import msgspec
import numpy as np
import numpy.typing as npt

from octavo.registry.bundles import Golden

Floats = npt.NDArray[np.float64]
_REAL_ROWS = 40


def choose_rows(real: Floats, adversarial: Floats) -> Floats:
    """A few rows of each kind: real ones spread over time, and the first adversarial ones (all missing, all zero, ...).

    Returns
    -------
    ndarray, shape (at most 80, n_inputs), float64
    """
    spread = np.unique(np.linspace(0, len(real) - 1, min(_REAL_ROWS, len(real))).astype(np.intp))
    return np.vstack([real[spread], adversarial[:_REAL_ROWS]])


def encode_golden(golden: Golden) -> bytes:
    """The document that `octavo.registry.bundles.decode_golden` reads."""
    rows = [[_plain(value) for value in row] for row in golden.rows.tolist()]
    document = {"rows": rows, "expected": golden.expected.tolist(), "tolerance": golden.tolerance}
    return msgspec.json.encode(document)


def _plain(value: float) -> float | str | None:
    if value != value:  # NaN
        return None
    return str(value) if value in (np.inf, -np.inf) else value
