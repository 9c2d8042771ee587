"""What steps of scikit-learn make of each column before the last one: a line through a number, a table of words.

Encoders, imputers and scalers treat each column by itself. So what they do is found out by asking them: of a category
for each of its words, of a number for a few values, on which what they do is a line.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from octavo.training.frames import Words

Floats = npt.NDArray[np.float64]
_BY_COLUMN = frozenset(
    {
        "MaxAbsScaler",
        "MinMaxScaler",
        "OneHotEncoder",
        "OrdinalEncoder",
        "RobustScaler",
        "SimpleImputer",
        "StandardScaler",
        "TargetEncoder",
    }
)
MISSING, UNSEEN, FIRST_WORD = 0, 1, 2
"""Where a table has its values: of no word, of a word that training did not have, of the words."""

_PROBES = np.array([0.0, 1.0, -3.75, 1234.5, np.nan])
_LARGEST_PROBE = 20_000_000
_BASES = 20
_CLOSE = 1e-9
_NEAR = 8
"""To lines that are so far from zero at zero, float32 does no more than 5e-7."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A prepared column that is ``slope * x + start`` of a given number, which is slope * (x - origin) + rest.

    Attributes
    ----------
    slope : float
        Not 0.
    missing : float
        What it is where the number is missing; possibly NaN.
    """

    column: int
    slope: float
    start: float
    missing: float

    @property
    def origin(self) -> np.float32:
        """About where the line is zero: taken off first, so that float32 keeps what is left; 0 where little is lost."""
        if abs(self.start) <= _NEAR:
            return np.float32(0)
        with np.errstate(over="ignore"):
            near = np.float32(-self.start / self.slope)
        return near if np.isfinite(near) else np.float32(0)

    @property
    def rest(self) -> float:
        return self.start + self.slope * float(self.origin)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Table:
    """A prepared column that is looked up by the word of a given category; one that is always the same, of any.

    Attributes
    ----------
    values : ndarray, shape (n_words + 2,), float64
        At `MISSING`, `UNSEEN`, and from `FIRST_WORD` on. NaN also where the steps refuse.
    """

    column: int
    values: Floats


Prepared = Line | Table


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Preparation:
    """All steps before the last one.

    Attributes
    ----------
    columns : tuple of Prepared
    transform : callable
        The steps themselves: a matrix of shape (n_rows, n_inputs), with places of words, to the prepared one.
    base : ndarray, shape (n_inputs,)
        A row that no step refuses.
    """

    columns: tuple[Prepared, ...]
    transform: Callable[[Floats], Floats]
    base: Floats


def preparation_of(estimator: Any, words: Words) -> tuple[Preparation, Any] | None:
    """The preparation of an estimator and the step after it; None if it is not understood column by column."""
    steps, last = _parted(estimator)
    if not steps or not all(_is_by_column(step) for step in steps):
        return None

    def transform(matrix: Floats) -> Floats:
        prepared: Any = words.frame(matrix, unseen_is_missing=False)
        for step in steps:
            prepared = step.transform(prepared)
        dense = prepared.toarray() if hasattr(prepared, "toarray") else prepared
        return np.asarray(dense, dtype=np.float64)

    base = _base(transform, words)
    columns = None if base is None else _columns(transform, base, words)
    return (
        None
        if base is None or columns is None
        else (Preparation(columns=columns, transform=transform, base=base), last)
    )


def _parted(estimator: Any) -> tuple[list[Any], Any]:
    if type(estimator).__name__ == "Pipeline":
        *before, (_, last) = estimator.steps
        return [step for _, step in before if step not in (None, "passthrough")], last
    inner = getattr(estimator, "_preprocessor", None)  # of histogram boosting that was given a frame
    return ([] if inner is None else [inner]), estimator


def _is_by_column(step: Any) -> bool:
    kind = type(step).__name__
    if isinstance(step, str) or step is None:
        return step in (None, "passthrough", "drop")
    if kind == "Pipeline":
        return all(_is_by_column(inner) for _, inner in step.steps)
    if kind == "ColumnTransformer":
        return all(_is_by_column(inner) for _, inner, _ in step.transformers_)
    if kind == "FunctionTransformer":
        return step.func is None or getattr(step.func, "func", step.func).__module__.startswith("sklearn.")
    return kind in _BY_COLUMN


def _base(transform: Callable[[Floats], Floats], words: Words) -> Floats | None:
    """A row that no step refuses: some word of each category, and zeros."""
    for choice in range(_BASES):
        row = np.zeros(len(words.columns))
        for place, known in words.by_place.items():
            row[place] = min(choice, len(known) - 1)
        if _asked(transform, row[None]) is not None:
            return row
    return None


def _columns(transform: Callable[[Floats], Floats], base: Floats, words: Words) -> tuple[Prepared, ...] | None:
    usual = transform(base[None])[0]
    found: list[Prepared | None] = [None] * len(usual)
    for column in range(len(base)):
        known = words.by_place.get(column)
        values = _PROBES if known is None else np.array([np.nan, -1.0, *range(len(known))])
        if len(values) * len(usual) > _LARGEST_PROBE:
            return None
        answers = _answers(transform, base, column=column, values=values)
        differs = (answers != answers[:1]) & ~(np.isnan(answers) & np.isnan(answers[:1]))
        for place in np.flatnonzero(differs.any(axis=0)).tolist():
            one = _line(column, answers[:, place]) if known is None else Table(column=column, values=answers[:, place])
            if one is None or found[place] is not None:
                return None
            found[place] = one
    column, known = next(iter(words.by_place.items()))
    return tuple(
        one or Table(column=column, values=np.full(len(known) + FIRST_WORD, value))
        for one, value in zip(found, usual.tolist(), strict=True)
    )


def _answers(transform: Callable[[Floats], Floats], base: Floats, *, column: int, values: Floats) -> Floats:
    """What becomes of rows that differ from the base in one column; NaN where the steps refuse it."""
    rows = np.tile(base, (len(values), 1))
    rows[:, column] = values
    together = _asked(transform, rows)
    if together is not None:
        return together
    usual = transform(base[None])[0]
    alone = [_asked(transform, row[None]) for row in rows]
    answers = np.array([usual if one is None else one[0] for one in alone])
    touched = (answers != usual).any(axis=0)
    for place, one in enumerate(alone):
        if one is None:
            answers[place, touched] = np.nan
    return answers


def _asked(transform: Callable[[Floats], Floats], rows: Floats) -> Floats | None:
    try:
        return transform(rows)
    except ValueError:  # by which every step of scikit-learn refuses a value
        return None


def _line(column: int, answers: Floats) -> Line | None:
    """The line through what became of `_PROBES`; None if it is none."""
    start, slope = float(answers[0]), float(answers[1] - answers[0])
    expected = start + slope * _PROBES[:-1]
    if slope == 0 or not np.allclose(answers[:-1], expected, rtol=_CLOSE, atol=_CLOSE * max(1.0, abs(start))):
        return None
    return Line(column=column, slope=slope, start=start, missing=float(answers[-1]))
