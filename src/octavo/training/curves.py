"""What a binary model does at every threshold: ROC and precision-recall curves, and a table of thresholds."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from octavo.definitions.costs import Costs
from octavo.training.details import PrecisionPoint, RatePoint, ThresholdRow
from octavo.training.metrics import THRESHOLD

Floats = npt.NDArray[np.float64]
MOST_POINTS = 100
DEFAULT, BEST, CHEAPEST = "default", "greatest f1", "least cost"
_REGULAR = tuple(round(0.05 * place, 2) for place in range(1, 20))


class Steps:
    """The rows in falling order of prediction, those that are predicted alike together.

    Parameters
    ----------
    labels : ndarray, shape (n_rows,); at least one is above 0 and one is not
    predictions : ndarray, shape (n_rows,)
    """

    def __init__(self, labels: Floats, predictions: Floats) -> None:
        order = np.argsort(-predictions, kind="stable")
        ordered, positive = predictions[order], (labels > 0)[order]
        last = np.append(np.flatnonzero(np.diff(ordered)), len(ordered) - 1)
        self.thresholds = ordered[last]
        self.right: Floats = np.cumsum(positive)[last].astype(np.float64)
        self.chosen: Floats = (last + 1).astype(np.float64)
        self.positives, self.rows = float(self.right[-1]), float(len(labels))

    @property
    def wrong(self) -> Floats:
        wrong: Floats = self.chosen - self.right
        return wrong

    def roc(self) -> tuple[RatePoint, ...]:
        """At most a hundred points, spread along the curve."""
        rates = np.stack([self.wrong / (self.rows - self.positives), self.right / self.positives])
        kept = [
            RatePoint(
                false_positive_rate=float(rates[0, place]),
                true_positive_rate=float(rates[1, place]),
                threshold=float(self.thresholds[place]),
            )
            for place in _spread(rates)
        ]
        return (RatePoint(false_positive_rate=0.0, true_positive_rate=0.0), *kept)

    def precision_recall(self) -> tuple[PrecisionPoint, ...]:
        """At most a hundred points, spread along the curve, by rising recall."""
        curve = np.stack([self.right / self.positives, self.right / self.chosen])
        return tuple(
            PrecisionPoint(
                recall=float(curve[0, place]),
                precision=float(curve[1, place]),
                threshold=float(self.thresholds[place]),
            )
            for place in _spread(curve)
        )

    def table(self, costs: Costs | None) -> tuple[ThresholdRow, ...]:
        """What comes of regular thresholds, of the one by which f1 is greatest, and of the one that costs least."""
        special = {THRESHOLD: DEFAULT}
        f1 = 2 * self.right / (self.chosen + self.positives)
        special.setdefault(float(self.thresholds[np.argmax(f1)]), BEST)
        if costs is not None:
            special.setdefault(float(self.thresholds[np.argmin(self._cost(costs))]), CHEAPEST)
        found = sorted({*_REGULAR, *special})
        return tuple(replace(self._at(one, costs), why=special.get(one, "")) for one in found)

    def _at(self, threshold: float, costs: Costs | None) -> ThresholdRow:
        above = int((self.thresholds >= threshold).sum())
        right = int(self.right[above - 1]) if above else 0
        chosen = int(self.chosen[above - 1]) if above else 0
        missed = int(self.positives) - right
        row = ThresholdRow(
            threshold=threshold,
            true_positives=right,
            false_positives=chosen - right,
            false_negatives=missed,
            true_negatives=int(self.rows) - chosen - missed,
        )
        return row if costs is None else replace(row, cost=cost_of(row, costs))

    def _cost(self, costs: Costs) -> Floats:
        missed = self.positives - self.right
        kinds = (self.right, self.wrong, missed, self.rows - self.chosen - missed)
        total: Floats = np.sum([kind * cost for kind, cost in zip(kinds, costs.all, strict=True)], axis=0)
        return total


def cost_of(row: ThresholdRow, costs: Costs) -> float:
    """What it costs to decide so."""
    kinds = (row.true_positives, row.false_positives, row.false_negatives, row.true_negatives)
    return sum(kind * cost for kind, cost in zip(kinds, costs.all, strict=True))


def _spread(curve: Floats) -> list[int]:
    """Places of points about evenly far from each other along a curve of shape (2, n_points), both ends among them."""
    n_points = curve.shape[1]
    if n_points <= MOST_POINTS:
        return list(range(n_points))
    along = np.concatenate([[0.0], np.cumsum(np.abs(np.diff(curve)).sum(axis=0))])
    wanted = np.linspace(0, along[-1], MOST_POINTS)
    kept: list[int] = np.unique(np.minimum(np.searchsorted(along, wanted), n_points - 1)).tolist()
    return sorted({0, *kept, n_points - 1})
