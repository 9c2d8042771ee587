"""Whether values are what is expected of them, in training sets and in what is served, judged by the same measure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from octavo.definitions.about import Expectation
from octavo.definitions.models import Model


class Expected(StrEnum):
    """What an expectation is about."""

    RANGE = "range"
    CATEGORIES = "categories"
    VALUES = "values"
    """That there are any: the share of nulls."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Breach:
    """An expectation that values do not meet.

    Attributes
    ----------
    input : str
        What the model calls the value.
    share : float
        Of the values there are, those that lie outside; for `VALUES` of all rows, those without a value of their own.
    allowed : float
        The share that is expected at most.
    expected : str
        The expectation in words.
    seen : str
        What was seen instead, in words; empty for `VALUES`.
    """

    input: str
    what: Expected
    share: float
    allowed: float
    expected: str
    seen: str = ""

    def __str__(self) -> str:
        if self.what is Expected.VALUES:
            return f"{self.input}: {_percent(self.share)} without a value (expected at most {_percent(self.allowed)})"
        return f"{self.input}: {_percent(self.share)} of the values not {self.expected} ({self.seen})"


def breaches_of_rows(
    model: Model,
    matrix: npt.NDArray[np.floating],
    *,
    stood_in: npt.NDArray[np.bool_],
    texts: Callable[[str], Mapping[str | None, int]],
) -> tuple[Breach, ...]:
    """What is not met by the rows of a training set.

    Parameters
    ----------
    matrix, stood_in : ndarray, shape (n_rows, n_inputs)
        The model's inputs, and where a default stands in.
    texts : callable
        Counts the strings of a request field, also of one that is a category.
    """
    found: list[Breach] = []
    for name, expected in model.expectations.items():
        if name in model.input_names and name not in model.category_names:
            place = model.input_names.index(name)
            absent = np.isnan(matrix[:, place]) | stood_in[:, place]
            found += breaches(name, expected, matrix[:, place], absent=absent)
        else:
            found += text_breaches(name, expected, texts(name))
    return tuple(found)


def breaches(
    name: str, expected: Expectation, values: npt.NDArray[np.floating], *, absent: npt.NDArray[np.bool_]
) -> tuple[Breach, ...]:
    """What is not met by the values of one input.

    Parameters
    ----------
    values : ndarray, shape (n_rows,)
        Compared as float32, which is what a model is given.
    absent : ndarray, shape (n_rows,)
        Where there is no value, or a default in its place; what stands in is not judged.
    """
    with np.errstate(over="ignore"):
        present = values[~absent].astype(np.float32)
    outside = _outside(expected, present)
    strange = present[outside]
    if expected.categories:
        seen = f"such as {', '.join(f'{one:g}' for one in np.unique(strange)[:3])}"
    else:
        seen = f"from {present.min():g} to {present.max():g}" if len(present) else ""
    return _judged(name, expected, rows=len(values), absent=int(absent.sum()), outside=len(strange), seen=seen)


def text_breaches(name: str, expected: Expectation, counts: Mapping[str | None, int]) -> tuple[Breach, ...]:
    """What is not met by the strings of a request field.

    Parameters
    ----------
    counts : mapping of string to number of rows
        None where there is none.
    """
    known = {None, *expected.categories} if expected.categories else counts.keys()
    strange = {one: n for one, n in counts.items() if one not in known}
    often = sorted(strange, key=lambda one: (-strange[one], str(one)))[:3]
    return _judged(
        name,
        expected,
        rows=sum(counts.values()),
        absent=counts.get(None, 0),
        outside=sum(strange.values()),
        seen=f"such as {', '.join(repr(one) for one in often)}",
    )


def _outside(expected: Expectation, present: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
    if expected.categories:
        return ~np.isin(present, np.array(expected.categories, np.float32))
    low = -np.inf if expected.minimum is None else expected.minimum
    high = np.inf if expected.maximum is None else expected.maximum
    outside: npt.NDArray[np.bool_] = (present < np.float32(low)) | (present > np.float32(high))
    return outside


def _judged(name: str, expected: Expectation, *, rows: int, absent: int, outside: int, seen: str) -> tuple[Breach, ...]:
    found = []
    if rows > absent and outside / (rows - absent) > expected.outside:
        what = Expected.CATEGORIES if expected.categories else Expected.RANGE
        found.append(
            Breach(
                input=name,
                what=what,
                share=outside / (rows - absent),
                allowed=expected.outside,
                expected=expected.of_values,
                seen=seen,
            )
        )
    if rows and expected.nulls is not None and absent / rows > expected.nulls:
        share = absent / rows
        found.append(
            Breach(input=name, what=Expected.VALUES, share=share, allowed=expected.nulls, expected=str(expected))
        )
    return tuple(found)


def _percent(share: float) -> str:
    """Never 0 % of something: one value in a million is what a person wants to see."""
    return f"{share * 100:.2g} %" if share < 0.1 else f"{share * 100:.0f} %"
