"""Profiles of columns, and the calibration curve of predictions."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from octavo.definitions.models import Task
from octavo.training.reports import CurvePoint, Interval, Profile

Floats = npt.NDArray[np.float64]
_BINS, _MOST_COMMON = 10, 4
_WORDS = 20
_Z = 1.96
_LARGEST = np.finfo(np.float32).max


def profile(values: npt.ArrayLike) -> Profile:
    """The distribution of a column, in at most ten bins of about equal share.

    A value that a tenth of the rows have has a bin of its own, at most four do; so has each of few values.

    Parameters
    ----------
    values : array-like, shape (n_rows,); NaN is missing, an infinity counts as the largest float32
    """
    column = np.clip(np.asarray(values, dtype=np.float64), -_LARGEST, _LARGEST).astype(np.float32).astype(np.float64)
    present = column[~np.isnan(column)]
    missing = 1 - len(present) / len(column) if len(column) else 1.0
    if not len(present):
        return Profile(edges=(), shares=(0.0,), missing=missing, mean=None, std=None)
    edges = _edges(present)
    counts = np.bincount(np.searchsorted(edges, present, side="right"), minlength=len(edges) + 1)
    return Profile(
        edges=tuple(edges.tolist()),
        shares=tuple((counts / len(present)).tolist()),
        missing=missing,
        mean=float(present.mean()),
        std=float(present.std()),
        low=float(present.min()),
        high=float(present.max()),
    )


def profile_of_category(places: npt.ArrayLike, vocabulary: Sequence[str]) -> Profile:
    """The distribution of a category: a bin for what training did not know, and one for each word.

    Of more than forty words the twenty most common have a bin each, and those between two of them share one.

    Parameters
    ----------
    places : array-like, shape (n_rows,); of words in the vocabulary, -1 for any other word, NaN for none
    """
    column = np.asarray(places, dtype=np.float64)
    present = column[~np.isnan(column)]
    counts = np.bincount(present[present >= 0].astype(np.intp), minlength=len(vocabulary))
    starts = list(range(len(vocabulary))) if len(vocabulary) <= 2 * _WORDS else _starts(counts)
    within = np.bincount(np.searchsorted(starts, present, side="right"), minlength=len(starts) + 1)
    bins = [vocabulary[start:end] for start, end in pairwise([*starts, len(vocabulary)])]
    return Profile(
        edges=tuple(map(float, starts)),
        shares=tuple((within / max(len(present), 1)).tolist()),
        missing=1 - len(present) / len(column) if len(column) else 1.0,
        mean=None,
        std=None,
        words=("any other", *(words[0] if len(words) == 1 else f"{words[0]} to {words[-1]}" for words in bins)),
    )


def _starts(counts: npt.NDArray[np.intp]) -> list[int]:
    """Where bins begin if the most common words have one each."""
    common = np.argsort(-counts, kind="stable")[:_WORDS].tolist()
    return sorted({0, *common, *(place + 1 for place in common if place + 1 < len(counts))})


def _edges(present: Floats) -> Floats:
    distinct, counts = np.unique(present, return_counts=True)
    if len(distinct) == 1:
        return np.unique([distinct[0], float(np.nextafter(np.float32(distinct[0]), _LARGEST))])
    if len(distinct) <= _BINS:
        return distinct[1:]
    common = np.argsort(-counts, kind="stable")[:_MOST_COMMON]
    common = common[counts[common] >= len(present) / _BINS]
    rest = present[~np.isin(present, distinct[common])]
    n_bins = _BINS - 2 * len(common)  # a common value takes two edges: its own and that of the next value
    cuts = np.quantile(rest, np.arange(1, n_bins) / n_bins, method="inverted_cdf") if len(rest) else rest
    beside = distinct[np.minimum(common + 1, len(distinct) - 1)]
    edges = np.unique(np.concatenate([cuts, distinct[common], beside]))
    above: Floats = edges[edges > distinct[0]]
    return above


def calibration(labels: Floats, predictions: Floats, *, task: Task) -> tuple[CurvePoint, ...]:
    """What came, by tenths of the rows in order of prediction, each mean with its 95 % interval.

    Of shares it is Wilson's (Journal of the American Statistical Association 22, 1927), of numbers the normal one.
    """
    order = np.argsort(predictions, kind="stable")
    tenths = [tenth for tenth in np.array_split(order, _BINS) if len(tenth)]
    around = _wilson if task is Task.BINARY else _normal
    return tuple(
        CurvePoint(predicted=float(predictions[rows].mean()), observed=around(labels[rows]), rows=len(rows))
        for rows in tenths
    )


def _normal(labels: Floats) -> Interval:
    mean, error = float(labels.mean()), _Z * float(labels.std()) / len(labels) ** 0.5
    return Interval(value=mean, low=mean - error, high=mean + error)


def _wilson(labels: Floats) -> Interval:
    rows, share = len(labels), float(labels.mean())
    middle = (share + _Z**2 / (2 * rows)) / (1 + _Z**2 / rows)
    reach = _Z / (1 + _Z**2 / rows) * float(np.sqrt(share * (1 - share) / rows + _Z**2 / (4 * rows**2)))
    return Interval(value=share, low=min(max(middle - reach, 0.0), share), high=max(min(middle + reach, 1.0), share))
