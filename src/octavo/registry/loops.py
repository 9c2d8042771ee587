"""The forms that are loops of ours: the file that each answers from, and what reads it.

Light: a predictor imports it.
"""

from collections.abc import Callable, Mapping
from pkgutil import resolve_name
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from octavo.registry.forms import Form


class Loops(NamedTuple):
    """One such form."""

    file: str
    reader: str
    """By name, so that numba is imported only for a bundle of such a form."""


LOOPS: Mapping[Form, Loops] = {
    Form.TREES: Loops("trees.npz", "octavo.registry.formats.symmetric_file:read_trees"),
    Form.LINEAR: Loops("linear.json", "octavo.registry.formats.linear:read_linear"),
}


def singles(rows: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Rows as machine code is made for: rounded to float32, row by row, at places that it reads at once."""
    if rows.dtype == np.float32 and rows.flags.c_contiguous and rows.flags.aligned:
        return rows
    with np.errstate(over="ignore"):
        return np.require(rows, np.float32, ("C", "A"))


def read_loops(form: Form, data: bytes) -> Callable[[npt.NDArray[Any]], npt.NDArray[np.float64]]:
    """What answers rows from the bytes of its file, with its loops compiled.

    Raises
    ------
    IntegrityError
        If the bytes are no such file.
    """
    outputs: Callable[[npt.NDArray[Any]], npt.NDArray[np.float64]] = resolve_name(LOOPS[form].reader)(data)
    return outputs
