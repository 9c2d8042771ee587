"""Metrics of predictions against labels, each with an interval.

The interval comes from a block bootstrap (Carlstein, Annals of Statistics 14, 1986): rows stand in order of time and
are cut into fifty stretches, and stretches are drawn with replacement. Neighbouring rows err alike, so drawing single
rows would claim more certainty than there is. It is the percentile interval of 400 draws, the same for the same rows.

Light: only numpy; monitoring judges matured outcomes by the same functions.
"""

from collections.abc import Iterable, Sequence
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from octavo.definitions.models import Task
from octavo.errors import InvalidRequest
from octavo.training.metrics import Draws, Metric, metric
from octavo.training.reports import Interval

Floats = npt.NDArray[np.float64]
_BLOCKS, _DRAWS = 50, 400
_SUREST_BY_PERCENTILE = 0.95


def evaluate(labels: Floats, predictions: Floats, *, metrics: Iterable[str], task: Task) -> dict[str, Interval]:
    """Each metric with its 95 % interval.

    Parameters
    ----------
    labels, predictions : ndarray, shape (n_rows,), float64, finite; in order of time

    Raises
    ------
    InvalidRequest
        If there are no rows, one is not finite, or a metric is undefined for them.
    """
    _check(labels, predictions)
    draws = _draw(len(labels))
    chosen = [metric(name, task=task) for name in metrics]
    return {m.name: _interval(m.weighted(labels, predictions, draws), name=m.name) for m in chosen}


def value(labels: Floats, predictions: Floats, *, metric: Metric) -> float:
    """One metric without an interval; NaN where it is undefined."""
    once = Draws(blocks=np.zeros(len(labels), dtype=np.intp), weights=np.ones((1, 1)))
    return float(metric.weighted(labels, predictions, once)[0])


def difference(labels: Floats, *, ours: Floats, theirs: Floats, metric: Metric, confidence: float = 0.95) -> Interval:
    """How far the metric of one prediction lies above that of another for the same rows, drawn together.

    Parameters
    ----------
    confidence : float
        Of the interval. Above 0.95 it is a normal one, as so few draws say little of what is rare.

    Raises
    ------
    InvalidRequest
        If there are no rows, or the metric is undefined for them.
    """
    apart = _differences(labels, ours, theirs, metric)
    if confidence > _SUREST_BY_PERCENTILE:
        reach = NormalDist().inv_cdf(0.5 + confidence / 2) * _deviation(apart)
        return Interval(value=float(apart[0]), low=float(apart[0]) - reach, high=float(apart[0]) + reach)
    return _interval(apart, name=metric.name, confidence=confidence)


def difference_and_error(labels: Floats, *, ours: Floats, theirs: Floats, metric: Metric) -> tuple[float, float]:
    """As `difference`, with the standard error of it.

    Raises
    ------
    InvalidRequest
        If there are no rows, or the metric is undefined for them.
    """
    apart = _differences(labels, ours, theirs, metric)
    return float(apart[0]), _deviation(apart)


def means_of_groups(values: Floats, groups: Sequence[npt.NDArray[np.bool_]]) -> Floats:
    """The mean of each group of rows in each draw, all drawn together.

    Parameters
    ----------
    values : ndarray, shape (n_rows,); in order of time
    groups : sequence of ndarray, shape (n_rows,), bool

    Returns
    -------
    ndarray, shape (n_draws, n_groups)
        The first draw is the rows as they are; NaN where a draw has none of a group.
    """
    draws = _draw(len(values))
    n_blocks = draws.weights.shape[1]
    sums = np.array([np.bincount(draws.blocks[g], values[g], minlength=n_blocks) for g in groups])
    rows = np.array([np.bincount(draws.blocks[g], minlength=n_blocks) for g in groups])
    sums, rows = sums.reshape(len(groups), n_blocks), rows.reshape(len(groups), n_blocks)
    drawn = draws.weights @ rows.T
    means: Floats = np.divide(draws.weights @ sums.T, drawn, out=np.full(drawn.shape, np.nan), where=drawn > 0)
    return means


def _differences(labels: Floats, ours: Floats, theirs: Floats, metric: Metric) -> Floats:
    _check(labels, ours)
    _check(labels, theirs)
    draws = _draw(len(labels))
    apart: Floats = metric.weighted(labels, ours, draws) - metric.weighted(labels, theirs, draws)
    _check_defined(apart, name=metric.name)
    return apart


def _deviation(values: Floats) -> float:
    """Of the draws, without the first, which is none."""
    return float(np.nanstd(values[1:]))


def _check(labels: Floats, predictions: Floats) -> None:
    if len(labels) == 0 or labels.shape != predictions.shape:
        raise InvalidRequest(f"{len(predictions)} predictions for {len(labels)} labels cannot be evaluated")
    if not (np.isfinite(labels).all() and np.isfinite(predictions).all()):
        raise InvalidRequest("labels or predictions that are not finite cannot be evaluated")


def _draw(n_rows: int) -> Draws:
    """The first draw is the rows as they are."""
    n_blocks = min(_BLOCKS, n_rows)
    drawn = np.random.default_rng(0).multinomial(n_blocks, np.full(n_blocks, 1 / n_blocks), size=_DRAWS)
    weights = np.vstack([np.ones(n_blocks), drawn]).astype(np.float64)
    return Draws(blocks=(np.arange(n_rows) * n_blocks // n_rows).astype(np.intp), weights=weights)


def _interval(values: Floats, *, name: str, confidence: float = 0.95) -> Interval:
    _check_defined(values, name=name)
    outside = (1 - confidence) / 2
    low, high = np.nanquantile(values, [outside, 1 - outside])
    return Interval(value=float(values[0]), low=float(min(low, values[0])), high=float(max(high, values[0])))


def _check_defined(values: Floats, *, name: str) -> None:
    if not np.isfinite(values[0]):
        raise InvalidRequest(f"{name} is undefined for these rows: the labels do not vary, or a value is too large")
