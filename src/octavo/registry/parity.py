"""Whether a compiled model answers as the native one does: on real rows, and on rows made to tell them apart."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from octavo.errors import TrainingFailed

Floats = npt.NDArray[np.float64]

TOLERANCE = 1e-4
"""Largest allowed difference; relative for answers above 1 in size."""

_THRESHOLDS, _SEED = 2_000, 0
_ROWS, _WORDS = 16, 500
_UNSEEN = -1.0
_BEYOND = 10.0
_LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Trial:
    """Rows of one kind that both models answer.

    Attributes
    ----------
    kind : str
        As it stands in messages and on the card: ``every input missing``.
    rows : ndarray, shape (n_rows, n_inputs), float64; each value is a float32
    may_overflow : bool
        Whether the compiled model, which counts in float32, may give no finite number here: such an answer is never
        served.
    """

    kind: str
    rows: Floats
    may_overflow: bool = False


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Parity:
    """What trials have shown.

    Attributes
    ----------
    worst : float
        The largest difference, as a share of what is allowed; at most 1.
    proven : tuple of Trial
        Those that both models answered alike, without any that may overflow.
    refused : tuple of str
        Kinds of rows for which the native model raises, but for numbers that are too large.
    """

    worst: float
    proven: tuple[Trial, ...]
    refused: tuple[str, ...]


def hard_trials(
    real: Floats, *, thresholds: Iterable[tuple[int, float]], categories: Mapping[int, int] | None = None
) -> tuple[Trial, ...]:
    """Rows at which a careless compilation would go wrong.

    Parameters
    ----------
    real : ndarray, shape (n_rows, n_inputs), at least one row
    thresholds : iterable of (column, value)
        At most 2,000 of them are tried, chosen at random but always the same.
    categories : mapping of column to int
        How many words each category has.
    """
    words = categories or {}
    numbers = [column for column in range(real.shape[1]) if column not in words]
    width, usual = real.shape[1], real[len(real) // 2]
    known = np.where(np.isfinite(real), real, 0.0)
    least, greatest = known.min(axis=0), known.max(axis=0)
    span = greatest - least
    beyond = [least, greatest, least - _BEYOND * span - 1, greatest + _BEYOND * span + 1]
    largest = [np.full(width, _LARGEST), np.full(width, -_LARGEST)]
    trials = (
        _trial("every input missing", [np.full(width, np.nan)]),
        _trial("one input missing", [_with(usual, column, np.nan) for column in numbers]),
        _trial("one or all inputs zero", [np.zeros(width), *(_with(usual, column, 0.0) for column in range(width))]),
        _trial("inputs at and beyond the ends of what was held out", beyond),
        _trial("the largest numbers", largest, may_overflow=True),
        _trial("inputs on and beside thresholds", _beside_thresholds(real, thresholds)),
    )
    if not words:
        return trials
    of_words = (
        _trial("a category never seen", [_with(row, column, _UNSEEN) for column in words for row in real[:_ROWS]]),
        _trial("a category missing", [_with(row, column, np.nan) for column in words for row in real[:_ROWS]]),
        _trial("any word", _with_each_word(real, words)),
    )
    kept = (replace(trial, rows=_among_words(trial.rows, usual, words)) for trial in trials if len(trial.rows))
    return (*kept, *of_words)


def prove_parity(
    trials: Sequence[Trial], *, native: Callable[[Floats], Floats], compiled: Callable[[Floats], Floats]
) -> Parity:
    """Compare two models.

    Parameters
    ----------
    trials
        The native model must answer the first one; any other it may refuse by TrainingFailed.

    Raises
    ------
    TrainingFailed
        If a difference is larger than `TOLERANCE`, or the native model refuses the first trial.
    """
    worst, proven, refused = 0.0, [], []
    for place, trial in enumerate(trials):
        try:
            expected = native(trial.rows)
        except TrainingFailed:
            if place == 0:
                raise
            if not trial.may_overflow:
                refused.append(trial.kind)
            continue
        worst = max(worst, _largest_difference(trial, expected, compiled(trial.rows)))
        if not trial.may_overflow:
            proven.append(trial)
    return Parity(worst=worst, proven=tuple(proven), refused=tuple(refused))


def _largest_difference(trial: Trial, expected: Floats, answered: Floats) -> float:
    """As a share of what is allowed."""
    with np.errstate(over="ignore", invalid="ignore"):
        shares = np.abs(answered - expected) / (TOLERANCE * np.maximum(1.0, np.abs(expected)))
    shares = np.where(np.isfinite(answered), shares, 0.0 if trial.may_overflow else np.inf)
    row = int(np.argmax(shares))
    if not shares[row] <= 1:
        raise TrainingFailed(
            f"the compiled model answers {answered[row]:.9g} where the trained one answers {expected[row]:.9g} "
            f"({trial.kind}, row {row + 1} of {len(shares)}), so it is not the model that was trained; return another "
            "estimator, such as LightGBM's, or one without the step that its compilation gets wrong"
        )
    return float(shares[row])


def settled(trial: Trial, column: int, place: float) -> Trial:
    """The trial with one word of a category in every row."""
    rows = trial.rows.copy()
    rows[:, column] = place
    return replace(trial, rows=rows)


def _with_each_word(real: Floats, words: Mapping[int, int]) -> list[Floats]:
    """Real rows with another word; of many words some, spread over all."""
    random = np.random.default_rng(_SEED)
    return [
        _with(real[random.integers(len(real))], column, float(place))
        for column, n_words in words.items()
        for place in np.unique(np.linspace(0, n_words - 1, min(_WORDS, n_words)).astype(np.intp))
    ]


def _among_words(rows: Floats, usual: Floats, words: Mapping[int, int]) -> Floats:
    """The rows with the usual word where there is no place of one."""
    settled = rows.copy()
    for column, n_words in words.items():
        places = settled[:, column]
        is_place = np.isnan(places) | ((places >= _UNSEEN) & (places < n_words) & (places == np.floor(places)))
        settled[:, column] = np.where(is_place, places, usual[column])
    return settled


def _trial(kind: str, rows: Sequence[Floats], *, may_overflow: bool = False) -> Trial:
    with np.errstate(over="ignore"):
        rounded = np.array(rows, dtype=np.float32).astype(np.float64)
    return Trial(kind=kind, rows=np.clip(rounded, -_LARGEST, _LARGEST), may_overflow=may_overflow)


def _beside_thresholds(real: Floats, thresholds: Iterable[tuple[int, float]]) -> list[Floats]:
    """Real rows with one input on a threshold, or next to it on either side; a real row where there is none."""
    distinct = sorted(set(thresholds))
    random = np.random.default_rng(_SEED)
    if len(distinct) > _THRESHOLDS:
        distinct = [distinct[place] for place in random.choice(len(distinct), _THRESHOLDS, replace=False)]
    return [real[0]] + [
        _with(real[random.integers(len(real))], column, value)
        for column, threshold in distinct
        for value in _around(threshold)
    ]


def _with(row: Floats, column: int, value: float) -> Floats:
    changed = row.copy()
    changed[column] = value
    return changed


def _around(threshold: float) -> tuple[float, float, float]:
    with np.errstate(over="ignore"):
        at = np.float32(threshold)
        return float(at), float(np.nextafter(at, np.float32(np.inf))), float(np.nextafter(at, np.float32(-np.inf)))
