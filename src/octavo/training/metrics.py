"""Metrics of predictions, each of many weighings of the same rows at once.

Light: only numpy; monitoring judges matured outcomes by the same functions.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from octavo.definitions.models import Task
from octavo.errors import InvalidDefinition

Floats = npt.NDArray[np.float64]
THRESHOLD = 0.5
"""The probability from which on a prediction counts as positive, where a metric is of decisions."""

_SMALLEST_PROBABILITY, _CALIBRATION_BINS, _MOST_GROUPS = 1e-15, 10, 1_000


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


Weighted = Callable[[Floats, Floats, Draws], Floats]


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
    weighted: Weighted

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


def _of_means(parts: Callable[[Floats, Floats], Floats], combine: Callable[[Floats], Floats]) -> Weighted:
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
    hits: Floats = (_chosen(p) == (y > 0)).astype(np.float64)[None]
    return hits


def _chosen(p: Floats) -> npt.NDArray[np.bool_]:
    chosen: npt.NDArray[np.bool_] = p >= THRESHOLD
    return chosen


def _decisions(y: Floats, p: Floats) -> Floats:
    """Right positives, all that are chosen, all that are positive."""
    chosen, positive = _chosen(p), y > 0
    return np.stack([chosen & positive, chosen, positive]).astype(np.float64)


def _share(part: Floats, whole: Floats) -> Floats:
    """0 of nothing, as the field has it."""
    share: Floats = np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)
    return share


def _precision(means: Floats) -> Floats:
    return _share(means[0], means[1])


def _recall(means: Floats) -> Floats:
    return _share(means[0], means[2])


def _f1(means: Floats) -> Floats:
    return _share(2 * means[0], means[1] + means[2])


def _relative(y: Floats, p: Floats) -> Floats:
    return (np.abs(y - p) / np.maximum(np.abs(y), np.finfo(np.float64).eps))[None]


def _pinball(quantile: float) -> Callable[[Floats, Floats], Floats]:
    """The loss of a guess at a quantile (Koenker and Bassett, Econometrica 46, 1978)."""

    def losses(y: Floats, p: Floats) -> Floats:
        return np.where(y >= p, quantile * (y - p), (1 - quantile) * (p - y))[None]

    return losses


def _calibration_error(labels: Floats, predictions: Floats, draws: Draws) -> Floats:
    """Expected calibration error: how far labels lie from predictions, on average over ten bins of equal width.

    Naeini, Cooper and Hauskrecht, AAAI 2015.
    """
    bins = np.minimum((predictions * _CALIBRATION_BINS).astype(np.intp), _CALIBRATION_BINS - 1)
    n_blocks = draws.weights.shape[1]
    places = draws.blocks * _CALIBRATION_BINS + np.maximum(bins, 0)
    apart = np.bincount(places, labels - predictions, minlength=n_blocks * _CALIBRATION_BINS)
    by_bin = draws.weights @ apart.reshape(n_blocks, _CALIBRATION_BINS)
    rows = draws.weights @ np.bincount(draws.blocks, minlength=n_blocks)
    errors: Floats = np.abs(by_bin).sum(axis=1) / rows
    return errors


def _average_precision(labels: Floats, predictions: Floats, draws: Draws) -> Floats:
    """Average precision: the precision at each prediction, weighed by the recall that it adds.

    Rows that are predicted alike count together. More than a thousand different predictions are put into a thousand
    groups of neighbours, but for a single weighing and for the first of several, which are exact.
    """
    exact = _precision_of_groups(labels, np.unique(-predictions, return_inverse=True)[1], draws, slice(0, 1))
    if len(draws.weights) == 1:
        return exact
    order = np.unique(-predictions, return_inverse=True)[1]
    n_groups = int(order.max()) + 1
    if n_groups > _MOST_GROUPS:
        order = order * _MOST_GROUPS // n_groups
    return np.concatenate([exact, _precision_of_groups(labels, order, draws, slice(1, None))])


def _precision_of_groups(labels: Floats, group: npt.NDArray[np.intp], draws: Draws, which: slice) -> Floats:
    """Of groups in falling order of prediction."""
    n_groups, n_blocks = int(group.max()) + 1, draws.weights.shape[1]
    places = draws.blocks * n_groups + group
    positive = np.bincount(places, labels > 0, minlength=n_blocks * n_groups).reshape(n_blocks, n_groups)
    rows = np.bincount(places, minlength=n_blocks * n_groups).reshape(n_blocks, n_groups)
    weights = draws.weights[which]
    right = weights @ positive
    precision = _share(np.cumsum(right, axis=1), np.cumsum(weights @ rows, axis=1))
    total = right.sum(axis=1)
    areas: Floats = (right * precision).sum(axis=1)
    return np.where(total > 0, areas / np.where(total > 0, total, 1.0), np.nan)


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


def _low(name: str, weighted: Weighted, *, task: Task) -> Metric:
    return Metric(name=name, task=task, higher_is_better=False, weighted=weighted)


def _high(name: str, weighted: Weighted, *, task: Task) -> Metric:
    return Metric(name=name, task=task, higher_is_better=True, weighted=weighted)


PINBALLS: Mapping[str, float] = {"pinball_10": 0.1, "pinball_50": 0.5, "pinball_90": 0.9}
"""The quantile that each is the loss of a guess at."""

METRICS: Mapping[str, Metric] = {
    m.name: m
    for m in (
        _low("mae", _of_means(_absolute, _only), task=Task.REGRESSION),
        _low("rmse", _of_means(_squared, _root), task=Task.REGRESSION),
        _low("mape", _of_means(_relative, _only), task=Task.REGRESSION),
        *(_low(name, _of_means(_pinball(of), _only), task=Task.REGRESSION) for name, of in PINBALLS.items()),
        _high("r2", _of_means(_moments, _r2), task=Task.REGRESSION),
        _low("log_loss", _of_means(_log_losses, _only), task=Task.BINARY),
        _low("brier", _of_means(_squared, _only), task=Task.BINARY),
        _low("ece", _calibration_error, task=Task.BINARY),
        _high("accuracy", _of_means(_hits, _only), task=Task.BINARY),
        _high("precision", _of_means(_decisions, _precision), task=Task.BINARY),
        _high("recall", _of_means(_decisions, _recall), task=Task.BINARY),
        _high("f1", _of_means(_decisions, _f1), task=Task.BINARY),
        _high("auc", _auc, task=Task.BINARY),
        _high("average_precision", _average_precision, task=Task.BINARY),
    )
}
