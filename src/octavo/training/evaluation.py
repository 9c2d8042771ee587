"""Metrics of predictions against labels, each with an interval.

The interval comes from a block bootstrap (Carlstein, Annals of Statistics 14, 1986): rows stand in order of time and
are cut into fifty stretches, and stretches are drawn with replacement. Neighbouring rows err alike, so drawing single
rows would claim more certainty than there is. It is the percentile interval of 400 draws, the same for the same rows.

Light: only numpy; monitoring judges matured outcomes by the same functions.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from octavo.definitions.models import Task
from octavo.errors import InvalidDefinition, InvalidRequest
from octavo.training.reports import Interval

Floats = npt.NDArray[np.float64]
_BLOCKS, _DRAWS, _SMALLEST_PROBABILITY = 50, 400, 1e-15


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Draws:
    """Resampled rows.

    Attributes
    ----------
    blocks : ndarray, shape (n_rows,)
        The block of each row.
    weights : ndarray, shape (n_draws, n_blocks)
        How often each block was drawn.
    """

    blocks: npt.NDArray[np.intp]
    weights: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """A way to judge predictions.

    Attributes
    ----------
    weighted : callable
        Takes labels, predictions (both shape (n_rows,)) and draws; returns the metric of each draw, NaN where it is
        undefined.
    """

    name: str
    task: Task
    higher_is_better: bool
    weighted: Callable[[Floats, Floats, Draws], Floats]

    def better(self, a: float, b: float) -> bool:
        """Whether `a` is strictly better than `b`."""
        return a > b if self.higher_is_better else a < b


def metric(name: str, *, task: Task) -> Metric:
    """The metric of a name.

    Raises
    ------
    InvalidDefinition
        If there is none for the task.
    """
    if name not in METRICS or METRICS[name].task is not task:
        known = ", ".join(m.name for m in METRICS.values() if m.task is task)
        raise InvalidDefinition(f"{name!r} is no metric of a {task} model; there are: {known}")
    return METRICS[name]


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


def difference(labels: Floats, *, ours: Floats, theirs: Floats, metric: Metric) -> Interval:
    """How far the metric of one prediction lies above that of another for the same rows, drawn together.

    Raises
    ------
    InvalidRequest
        If there are no rows, or the metric is undefined for them.
    """
    _check(labels, ours)
    _check(labels, theirs)
    draws = _draw(len(labels))
    return _interval(metric.weighted(labels, ours, draws) - metric.weighted(labels, theirs, draws), name=metric.name)


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


def _interval(values: Floats, *, name: str) -> Interval:
    if not np.isfinite(values[0]):
        raise InvalidRequest(f"{name} is undefined for these rows: the labels do not vary, or a value is too large")
    low, high = np.nanpercentile(values, [2.5, 97.5])
    return Interval(value=float(values[0]), low=float(min(low, values[0])), high=float(max(high, values[0])))


def _of_means(
    parts: Callable[[Floats, Floats], Floats], combine: Callable[[Floats], Floats]
) -> Callable[[Floats, Floats, Draws], Floats]:
    """A metric that is a function of means over rows: means of `parts`, shape (n_parts, n_rows), put together."""

    def weighted(labels: Floats, predictions: Floats, draws: Draws) -> Floats:
        sums = np.array([np.bincount(draws.blocks, part) for part in parts(labels, predictions)])
        return combine((sums @ draws.weights.T) / (np.bincount(draws.blocks) @ draws.weights.T))

    return weighted


def _only(means: Floats) -> Floats:
    first: Floats = means[0]
    return first


def _absolute(y: Floats, p: Floats) -> Floats:
    return np.abs(y - p)[None]


def _squared(y: Floats, p: Floats) -> Floats:
    return np.square(y - p)[None]


def _moments(y: Floats, p: Floats) -> Floats:
    centred = y - y.mean()
    return np.stack([np.square(y - p), centred, np.square(centred)])


def _r2(means: Floats) -> Floats:
    variance = means[2] - np.square(means[1])
    explained: Floats = np.where(variance > 0, 1 - means[0] / np.where(variance > 0, variance, 1), np.nan)
    return explained


def _root(means: Floats) -> Floats:
    roots: Floats = np.sqrt(means[0])
    return roots


def _log_losses(y: Floats, p: Floats) -> Floats:
    certain = np.clip(p, _SMALLEST_PROBABILITY, 1 - _SMALLEST_PROBABILITY)
    return -np.where(y > 0, np.log(certain), np.log1p(-certain))[None]


def _hits(y: Floats, p: Floats) -> Floats:
    hits: Floats = ((p >= 0.5) == (y > 0)).astype(np.float64)[None]
    return hits


def _auc(labels: Floats, predictions: Floats, draws: Draws) -> Floats:
    """Area under the ROC curve: the share of pairs in the right order, ties counting half.

    Pairs are counted once by the blocks that they join; a draw then only weighs those counts.
    """
    n_blocks = draws.weights.shape[1]
    rank = np.unique(predictions, return_inverse=True)[1]
    positive = labels > 0
    right_order = np.empty((n_blocks, n_blocks))
    for block in range(n_blocks):
        below = np.bincount(rank[~positive & (draws.blocks == block)], minlength=int(rank.max()) + 1)
        passed = np.cumsum(below) - below / 2
        right_order[:, block] = np.bincount(draws.blocks[positive], passed[rank[positive]], minlength=n_blocks)
    ups = draws.weights @ np.bincount(draws.blocks[positive], minlength=n_blocks)
    downs = draws.weights @ np.bincount(draws.blocks[~positive], minlength=n_blocks)
    pairs = ups * downs
    areas: Floats = np.einsum("db,bc,dc->d", draws.weights, right_order, draws.weights, optimize=True)
    return np.where(pairs > 0, areas / np.where(pairs > 0, pairs, 1.0), np.nan)


METRICS: Mapping[str, Metric] = {
    m.name: m
    for m in (
        Metric(name="mae", task=Task.REGRESSION, higher_is_better=False, weighted=_of_means(_absolute, _only)),
        Metric(name="rmse", task=Task.REGRESSION, higher_is_better=False, weighted=_of_means(_squared, _root)),
        Metric(name="r2", task=Task.REGRESSION, higher_is_better=True, weighted=_of_means(_moments, _r2)),
        Metric(name="log_loss", task=Task.BINARY, higher_is_better=False, weighted=_of_means(_log_losses, _only)),
        Metric(name="brier", task=Task.BINARY, higher_is_better=False, weighted=_of_means(_squared, _only)),
        Metric(name="accuracy", task=Task.BINARY, higher_is_better=True, weighted=_of_means(_hits, _only)),
        Metric(name="auc", task=Task.BINARY, higher_is_better=True, weighted=_auc),
    )
}
