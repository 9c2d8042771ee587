"""Slices of rows: by the values of a column, by quarters of numbers, by a condition."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from octavo.definitions.gates import Slice, Where
from octavo.features.measures import rows_where

Chosen = npt.NDArray[np.bool_]
MOST_VALUES = 50
"""A column of more values is cut by the most common ones."""

_FEW_NUMBERS, _QUARTERS = 10, (0.25, 0.5, 0.75)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Cut:
    """Rows that have something in common.

    Attributes
    ----------
    column : str
        What they were cut by: a column, or a condition.
    value : str
        What they have in common, in words; empty for those of a condition.
    chosen : ndarray, shape (n_rows,), bool
    """

    column: str
    value: str
    chosen: Chosen

    @property
    def name(self) -> str:
        return f"{self.column} {self.value}" if self.value else self.column

    @property
    def rows(self) -> int:
        return int(self.chosen.sum())


def cut(rows: pa.Table, by: Sequence[Slice]) -> list[Cut]:
    """The slices of rows, without those that none is in.

    Parameters
    ----------
    rows : pa.Table
        With a column of each name that is cut by.
    """
    found: list[Cut] = []
    for one in by:
        if isinstance(one, Where):
            found.append(Cut(column=one.name, value="", chosen=rows_where(one.condition, rows)))
        else:
            found += _by_column(rows, one)
    return [each for each in found if each.rows]


def _by_column(rows: pa.Table, name: str) -> Iterator[Cut]:
    column = rows.column(name)
    is_number = pa.types.is_floating(column.type) or pa.types.is_integer(column.type)
    if is_number:
        yield from cut_numbers(name, column.cast(pa.float64()).fill_null(np.nan).to_numpy())
        return
    counts = sorted(pc.value_counts(column).to_pylist(), key=lambda one: (-one["counts"], str(one["values"])))
    for value in [one["values"] for one in counts][:MOST_VALUES]:
        chosen = column.is_null() if value is None else pc.fill_null(pc.equal(column, value), False)
        yield Cut(column=name, value=_worded(value), chosen=chosen.to_numpy())


def cut_numbers(name: str, values: npt.NDArray[np.float64]) -> Iterator[Cut]:
    """Each of a few numbers, else their quarters; and those that are missing."""
    missing = np.isnan(values)
    distinct = np.unique(values[~missing])
    if len(distinct) <= _FEW_NUMBERS:
        for value in distinct:
            yield Cut(column=name, value=f"= {value:g}", chosen=values == value)
    else:
        edges = np.unique(np.quantile(values[np.isfinite(values)], _QUARTERS))
        bins = np.searchsorted(edges, values, side="right")
        for place in range(len(edges) + 1):
            yield Cut(column=name, value=_between(edges, place), chosen=(bins == place) & ~missing)
    if missing.any():
        yield Cut(column=name, value="missing", chosen=missing)


def _between(edges: npt.NDArray[np.float64], place: int) -> str:
    if place == 0:
        return f"< {edges[0]:.4g}"
    if place == len(edges):
        return f">= {edges[-1]:.4g}"
    return f"{edges[place - 1]:.4g} to {edges[place]:.4g}"


def _worded(value: object) -> str:
    return "missing" if value is None else f"= {str(value)[:60]}"
