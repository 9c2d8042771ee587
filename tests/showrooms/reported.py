"""The details of the showroom's reports, and a version beside the one before."""

from octavo.definitions.models import Task
from octavo.registry.comparisons import AnswersApart, ComparedMetric, ComparedSlice, Comparison
from octavo.training.details import (
    Dependence,
    DependencePoint,
    Details,
    HeldOut,
    PrecisionPoint,
    RatePoint,
    SliceRow,
    ThresholdRow,
)
from octavo.training.reports import Interval, Report


def interval(value: float, width: float = 0.04) -> Interval:
    return Interval(value=value, low=value * (1 - width), high=value * (1 + width))


def details(report: Report, *, metric: str, text: str) -> Details:
    """Something of everything; a category's words are of a person."""
    names = list(report.importance)
    return Details(
        metric=metric,
        **(_decisions() if report.task is Task.BINARY else {}),
        slices=(
            SliceRow(name=f"carrier = {text}", rows=612, metric=interval(21.0), beyond=6.2, is_sure=True),
            SliceRow(name="distance >= 1400", rows=3_244, metric=None, beyond=0.8, is_sure=False),
            SliceRow(name="origin = JFK", rows=812, metric=interval(13.0), beyond=-1.0, is_sure=False, is_named=True),
        ),
        searched=64,
        importance={name: interval(share) for name, share in report.importance.items()},
        dependence=(
            Dependence(
                input=names[0],
                points=tuple(
                    DependencePoint(value=at, mean=at / 2, low=at / 2 - 4, high=at / 2 + 5)
                    for at in (-8.0, 0.0, 12.0, 31.0)
                ),
            ),
            Dependence(
                input=names[1],
                points=tuple(
                    DependencePoint(value=float(place), mean=6.0 + place, low=2.0, high=11.0, word=word)
                    for place, word in enumerate(("AA", text))
                ),
            ),
        ),
        holdout={name: HeldOut(shares=(0.1,) * 10, missing=0.03, index=0.02) for name in names},
    )


def _decisions() -> dict[str, object]:
    def row(threshold: float, why: str = "") -> ThresholdRow:
        return ThresholdRow(
            threshold=threshold,
            true_positives=820,
            false_positives=410,
            false_negatives=300,
            true_negatives=2_600,
            cost=1_910.0,
            why=why,
        )

    return {
        "roc": (
            RatePoint(false_positive_rate=0.0, true_positive_rate=0.0),
            RatePoint(false_positive_rate=0.2, true_positive_rate=0.6, threshold=0.5),
            RatePoint(false_positive_rate=1.0, true_positive_rate=1.0, threshold=0.01),
        ),
        "precision_recall": (
            PrecisionPoint(recall=0.3, precision=0.9, threshold=0.7),
            PrecisionPoint(recall=1.0, precision=0.2, threshold=0.01),
        ),
        "thresholds": (row(0.25), row(0.31, "greatest f1"), row(0.5, "default")),
    }


def comparison(report: Report, *, champion: int, text: str) -> Comparison:
    """With the version before; of the second one with a reason why there is none."""
    if champion == 1:
        return Comparison(champion=1, rows=0, why=f"version 1 takes {text}, which these rows lack")
    compared = [
        ComparedMetric(
            name=name,
            higher_is_better=name == "auc",
            ours=found,
            theirs=interval(found.value * 1.1),
            difference=Interval(value=-1.2, low=-2.0, high=-0.3),
        )
        for name, found in report.metrics.items()
    ]
    return Comparison(
        champion=champion,
        rows=report.holdout.rows,
        learned=31,
        metrics=tuple(compared),
        answers=AnswersApart(mean=1.4, median=0.9, most=8.0, greatest=22.0, correlation=0.97, flipped=0.02),
        slices=(ComparedSlice(name=f"carrier = {text}", rows=612, compared=compared[0]),),
    )
