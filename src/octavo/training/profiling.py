"""Profiles of columns, and the calibration curve of predictions."""

import numpy as np
import numpy.typing as npt

from octavo.training.reports import CurvePoint, Interval, Profile

Floats = npt.NDArray[np.float64]
_BINS = 10
_LARGEST = float(np.finfo(np.float32).max)


def profile(values: npt.ArrayLike) -> Profile:
    """The distribution of a column, in at most ten bins of about equal share; a rare or single value has its own.

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


def _edges(present: Floats) -> Floats:
    distinct = np.unique(present)
    if len(distinct) > _BINS:
        ranks = np.arange(1, _BINS) / _BINS
        distinct = np.unique(np.quantile(present, ranks, method="inverted_cdf"))
        above: Floats = distinct[distinct > present.min()]
        return above
    if len(distinct) == 1:
        return np.array([distinct[0], np.nextafter(np.float32(distinct[0]), np.float32(np.inf))])
    return distinct[1:]


def calibration(labels: Floats, predictions: Floats) -> tuple[CurvePoint, ...]:
    """What came, by tenths of the rows in order of prediction, each mean with its 95 % normal interval."""
    order = np.argsort(predictions, kind="stable")
    tenths = [tenth for tenth in np.array_split(order, _BINS) if len(tenth)]
    return tuple(_point(labels[rows], predictions[rows]) for rows in tenths)


def _point(labels: Floats, predictions: Floats) -> CurvePoint:
    mean, error = float(labels.mean()), 1.96 * float(labels.std()) / len(labels) ** 0.5
    observed = Interval(value=mean, low=mean - error, high=mean + error)
    return CurvePoint(predicted=float(predictions.mean()), observed=observed, rows=len(labels))
