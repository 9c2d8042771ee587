"""What a report holds beside its metrics: curves, slices, what each input does.

Light: imported with reports by the processes that serve and monitor.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from octavo.training.intervals import Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class RatePoint:
    """A point of the ROC curve; `threshold` is None at its start, where nothing is chosen."""

    false_positive_rate: float
    true_positive_rate: float
    threshold: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PrecisionPoint:
    """A point of the precision-recall curve."""

    recall: float
    precision: float
    threshold: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ThresholdRow:
    """What comes of deciding from a threshold on, on the held-out rows.

    Attributes
    ----------
    cost : float or None
        Of all rows together; None if the project declares no costs.
    why : str
        What sets this threshold apart; empty for one of the regular ones.
    """

    threshold: float
    true_positives: int
    false_positives: int
    false_negatives: int
    true_negatives: int
    cost: float | None = None
    why: str = ""

    @property
    def rows(self) -> int:
        return self.true_positives + self.false_positives + self.false_negatives + self.true_negatives

    @property
    def chosen(self) -> int:
        return self.true_positives + self.false_positives

    @property
    def precision(self) -> float:
        """0 if nothing is chosen."""
        return self.true_positives / self.chosen if self.chosen else 0.0

    @property
    def recall(self) -> float:
        positives = self.true_positives + self.false_negatives
        return self.true_positives / positives if positives else 0.0

    @property
    def false_positive_rate(self) -> float:
        negatives = self.false_positives + self.true_negatives
        return self.false_positives / negatives if negatives else 0.0

    @property
    def f1(self) -> float:
        of = self.chosen + self.true_positives + self.false_negatives
        return 2 * self.true_positives / of if of else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceRow:
    """A part of the held-out rows.

    Attributes
    ----------
    metric : Interval or None
        The metric on it; None where it is undefined.
    beyond : float
        By how much more a row loses here than elsewhere: absolute error of numbers, log loss of probabilities.
    is_sure : bool
        Whether chance does not explain that, all searched slices together (Holm, at 5 %).
    is_named : bool
        Whether the project names it in a gate; others were found by search.
    """

    name: str
    rows: int
    metric: Interval | None
    beyond: float
    is_sure: bool
    is_named: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DependencePoint:
    """What is predicted if an input has one value in all rows, the rest as it is.

    Attributes
    ----------
    word : str
        Of a category; empty for numbers.
    mean, low, high : float
        Over the rows: the mean, and what a tenth of them lies below and above.
    """

    value: float
    mean: float
    low: float
    high: float
    word: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dependence:
    """The partial dependence on an input (Friedman, Annals of Statistics 29, 2001)."""

    input: str
    points: tuple[DependencePoint, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOut:
    """An input in the held-out rows, in the bins of its profile in training.

    Attributes
    ----------
    shares : tuple of float
        Of each bin among the values that are present.
    missing : float
        Share of NaN among all rows.
    index : float
        The population stability index of the two distributions; 0 where they are alike.
    """

    shares: tuple[float, ...]
    missing: float
    index: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Details:
    """The rest of a report.

    Attributes
    ----------
    metric : str
        The one that slices and importance are told by: the first that the model declares.
    roc, precision_recall, thresholds : tuple
        Of a binary model, on all held-out rows; curves are thinned to points that lie on them. Empty for numbers.
    slices : tuple of SliceRow
        Those that a gate names, and the worst that were found, the worst first.
    searched : int
        How many slices were looked at.
    importance : mapping of input to Interval
        How much worse the metric gets when the input is shuffled, on at most 2,000 rows.
    dependence : tuple of Dependence
        On the most important inputs, over at most 200 rows.
    holdout : mapping of input to HeldOut
    """

    metric: str = ""
    roc: tuple[RatePoint, ...] = ()
    precision_recall: tuple[PrecisionPoint, ...] = ()
    thresholds: tuple[ThresholdRow, ...] = ()
    slices: tuple[SliceRow, ...] = ()
    searched: int = 0
    importance: Mapping[str, Interval] = field(default_factory=dict)
    dependence: tuple[Dependence, ...] = ()
    holdout: Mapping[str, HeldOut] = field(default_factory=dict)
