"""What a project requires of a version: the constructors of gates."""

from collections.abc import Mapping, Sequence

from octavo.definitions.conditions import parse_condition
from octavo.definitions.gates import (
    AtLeast,
    AtMost,
    BetterOnLog,
    BetterThanBaseline,
    BetterThanChampion,
    DataChecks,
    Fair,
    Fairness,
    Fast,
    Gate,
    NoSkew,
    NoWorseOn,
    Replays,
    Slice,
    Small,
    Where,
)
from octavo.errors import InvalidDefinition


def where(condition: str) -> Where:
    """The rows for which a condition holds, such as ``"carrier == 'AA' and distance > 1000"``.

    Raises
    ------
    InvalidDefinition
        If it is no condition.
    """
    return Where(str(parse_condition(condition)))


def at_most(metric: str, bound: float) -> Gate:
    """The metric on held-out rows is at most `bound`."""
    return AtMost(metric=metric, bound=bound)


def at_least(metric: str, bound: float) -> Gate:
    """The metric on held-out rows is at least `bound`."""
    return AtLeast(metric=metric, bound=bound)


def better_than_baseline(metric: str) -> Gate:
    """Better on held-out rows than every baseline: the constant, and the model's declared ones."""
    return BetterThanBaseline(metric=metric)


def better_than_champion(
    metric: str, *, confidence: float | None = None, margin: float = 0.0, needed: bool = True
) -> Gate:
    """Better than the live version on the same held-out rows; passes when there is no live version.

    Parameters
    ----------
    confidence : float or None
        With it the worse end of the interval of the difference must be better: not by chance. Without it the
        difference itself must be.
    margin : float
        By how much the version may be worse, in the metric's unit; with a confidence a test of not being inferior.
    needed : bool
        Whether a version is held back if the live one cannot answer the rows, so that there is no interval.
    """
    _check_confidence(confidence)
    _check(margin >= 0, f"margin={margin:g} is below 0")
    return BetterThanChampion(metric=metric, confidence=confidence, margin=margin, needed=needed)


def no_worse_on(
    slices: Sequence[Slice],
    *,
    metric: str,
    by: float = 0.0,
    confidence: float = 0.95,
    min_rows: int = 200,
    needed: bool = True,
) -> Gate:
    """On no slice of the held-out rows surely worse than the live version; passes when there is no live version.

    Parameters
    ----------
    slices : sequence of str or Where
        Columns of the label's source or inputs, and conditions on them: ``["origin", oc.where("distance > 1000")]``.
    by : float
        By how much it may be worse, in the metric's unit.
    confidence : float
        That no slice is found worse by chance alone, over all slices together.
    min_rows : int
        Slices with fewer rows are not judged.
    needed : bool
        Whether a version is held back if no slice can be judged.
    """
    _check_confidence(confidence)
    _check(bool(slices), "no slice is named")
    _check(by >= 0, f"by={by:g} is below 0")
    return NoWorseOn(of=tuple(slices), metric=metric, by=by, confidence=confidence, min_rows=min_rows, needed=needed)


def fair(
    attribute: str,
    *,
    metric: str = "selection_rate",
    within: float,
    threshold: float = 0.5,
    confidence: float | None = 0.95,
    min_rows: int = 50,
    needed: bool = True,
) -> Gate:
    """Groups of held-out rows are treated alike: the largest difference between two of them is within a bound.

    Parameters
    ----------
    attribute : str
        A column of the label's source or an input; each value is a group, of numbers each quarter. It need not be an
        input.
    metric : str
        Of a binary model ``selection_rate``, ``tpr``, ``fpr``, ``precision`` or ``accuracy``; of numbers ``error`` or
        ``bias``.
    threshold : float
        The probability from which on a prediction counts as positive.
    confidence : float or None
        Of the interval, the far end of which must lie within the bound; None if the value itself must.
    min_rows : int
        Groups with fewer rows that count for the metric are not judged.
    """
    if metric not in set(Fairness):
        raise InvalidDefinition(f"fair: {metric!r} is no fairness metric; there are: {', '.join(Fairness)}")
    _check_confidence(confidence)
    _check(within >= 0, f"within={within:g} is below 0")
    return Fair(
        attribute=attribute,
        of=Fairness(metric),
        within=within,
        threshold=threshold,
        confidence=confidence,
        min_rows=min_rows,
        needed=needed,
    )


def fast(*, p99_us: float, rows: int = 1) -> Gate:
    """The packed model answers requests of so many rows within so many microseconds, but for one in a hundred."""
    _check(p99_us > 0 and rows >= 1, "a time and a number of rows above 0 are needed")
    return Fast(p99_us=p99_us, rows=rows)


def small(*, bytes: int) -> Gate:
    """The packed bundle has at most so many bytes."""
    _check(bytes > 0, "a number of bytes above 0 is needed")
    return Small(size_bytes=bytes)


def no_skew(*, last: int = 1_000, needed: bool = True) -> Gate:
    """The features of the newest predictions are what the events say; passes when there is no live version."""
    _check(1 <= last <= 100_000, f"last={last} is out of range: from 1 to 100,000")
    return NoSkew(last=last, needed=needed)


def replays(*, last: int = 1_000, within: float | None = None, differing: float = 0.0, needed: bool = True) -> Gate:
    """The version answers the newest requests that were recorded, all of them; passes when there is no live version.

    Parameters
    ----------
    within : float or None
        With it no more than the share `differing` of the answers differ by more than this from those that were given.
    """
    _check(1 <= last <= 100_000, f"last={last} is out of range: from 1 to 100,000")
    _check(0 <= differing <= 1, f"differing={differing:g} is no share")
    return Replays(last=last, within=within, differing=differing, needed=needed)


def better_on_log(
    metric: str,
    *,
    confidence: float | None = None,
    margin: float = 0.0,
    last: int = 20_000,
    min_rows: int = 200,
    needed: bool = True,
) -> Gate:
    """Better than what was answered, on recorded requests whose outcome is known and was not learned from.

    A backtest before any shadow: the version answers what was asked since the moment until which it learned, and both
    answers are held against the outcomes. Passes when there is no live version.

    Parameters
    ----------
    confidence, margin
        As of `better_than_champion`.
    last : int
        The newest requests that are replayed, at most 100,000.
    min_rows : int
        With fewer outcomes it cannot be judged.
    """
    _check_confidence(confidence)
    _check(margin >= 0, f"margin={margin:g} is below 0")
    _check(1 <= last <= 100_000, f"last={last} is out of range: from 1 to 100,000")
    return BetterOnLog(metric=metric, confidence=confidence, margin=margin, last=last, min_rows=min_rows, needed=needed)


def data_checks(
    *,
    rows: int | None = None,
    nulls: float | Mapping[str, float] | None = None,
    label: tuple[float, float] | None = None,
    leak: float | None = 0.99,
    expectations: bool = True,
) -> Gate:
    """The training rows are what they should be.

    Parameters
    ----------
    rows : int or None
        How many there are at least.
    nulls : float or mapping of input to float, or None
        The largest share without a value of its own, of every input or by input.
    label : pair of float or None
        Between which the mean label lies; of a binary one the share of positives.
    leak : float or None
        If one input alone sorts the labels this well or better (the area under the ROC curve, of numbers the rank
        correlation, in either direction), it hardly was known at the decision.
    expectations : bool
        Whether what `expect` says of the inputs must be met.
    """
    _check(leak is None or 0.5 < leak <= 1, f"leak={leak} is out of range: above 0.5, at most 1")
    _check(label is None or label[0] <= label[1], f"label={label}: the lower bound comes first")
    shares = nulls.values() if isinstance(nulls, Mapping) else () if nulls is None else (nulls,)
    _check(all(0 <= share <= 1 for share in shares), f"nulls={nulls!r} is no share: write 0.05 for at most 5 %")
    return DataChecks(rows=rows, nulls=nulls, label=label, leak=leak, expectations=expectations)


def _check_confidence(confidence: float | None) -> None:
    _check(confidence is None or 0 < confidence < 1, f"confidence={confidence} is not between 0 and 1")


def _check(holds: bool, what: str) -> None:
    if not holds:
        raise InvalidDefinition(f"a gate cannot be so: {what}")
