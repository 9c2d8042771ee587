"""The parts of a report that are looked at: curves, thresholds, slices, dependence, and both versions side by side."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from octavo.console.charts.curves import Curve, Mark, rate_chart, response_chart
from octavo.console.charts.histograms import histogram
from octavo.console.charts.intervals import interval_chart
from octavo.console.formatting import interval, number, percent, signed, whole
from octavo.console.status import Status, failing, healthy, unknown, watch
from octavo.console.traffic import Drawing
from octavo.registry.comparisons import ComparedMetric, Comparison
from octavo.training.curves import DEFAULT
from octavo.training.details import Dependence, Details, SliceRow, ThresholdRow
from octavo.training.reports import Interval, Profile, Report

_MOST_INTERVALS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceView:
    """A part of the held-out rows, and what is to be thought of it."""

    row: SliceRow
    status: Status


@dataclass(frozen=True, slots=True, kw_only=True)
class InputDetail:
    """An input in the held-out rows beside training, and what shuffling it costs."""

    loss: str
    held_out: Markup
    index: float | None
    missing: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedView:
    """A metric of the version and of the champion."""

    compared: ComparedMetric
    status: Status
    drawing: Drawing


@dataclass(frozen=True, slots=True, kw_only=True)
class DetailsView:
    """What a page shows of details; empty parts are left out."""

    roc: Drawing | None
    precision_recall: Drawing | None
    rates: Drawing | None
    confusion: ThresholdRow | None
    thresholds: Sequence[ThresholdRow]
    has_costs: bool
    importance: Drawing | None
    dependence: Sequence[tuple[str, Drawing]]
    metric: str
    slices: Sequence[SliceView]
    searched: int


def details_view(report: Report) -> DetailsView | None:
    """The details of a report; None for one that has none."""
    details = report.details
    if details is None:
        return None
    return DetailsView(
        roc=_roc(report, details),
        precision_recall=_precision_recall(report, details),
        rates=_rates(details),
        confusion=next((row for row in details.thresholds if row.why == DEFAULT), None),
        thresholds=details.thresholds,
        has_costs=any(row.cost is not None for row in details.thresholds),
        importance=_importance(report, details),
        dependence=[(each.input, _dependence(each)) for each in details.dependence],
        slices=[SliceView(row=row, status=_slice_status(row)) for row in details.slices],
        metric=details.metric,
        searched=details.searched,
    )


def input_detail(report: Report, name: str, profile: Profile) -> InputDetail:
    """What is known of an input beyond its profile in training."""
    details = report.details
    held_out = details.holdout.get(name) if details else None
    loss = details.importance.get(name) if details else None
    drawn = histogram(
        f"{name}, held out over training",
        profile.shares,
        edges=profile.edges,
        over=held_out.shares if held_out else None,
        width=84,
    )
    return InputDetail(
        loss=interval(loss),
        held_out=drawn,
        index=held_out.index if held_out else None,
        missing=held_out.missing if held_out else None,
    )


def compared_views(comparison: Comparison) -> list[ComparedView]:
    """Each metric of both versions."""
    return [
        ComparedView(
            compared=one,
            status=difference_status(one),
            drawing=_beside(one, champion=comparison.champion),
        )
        for one in comparison.metrics
    ]


def difference_status(compared: ComparedMetric) -> Status:
    """Whether the version is better, or chance may explain it."""
    match compared.is_better:
        case None:
            return unknown("may be chance")
        case True:
            return healthy("better")
        case False:
            return failing("worse")


def _roc(report: Report, details: Details) -> Drawing | None:
    if not details.roc:
        return None
    points = [(p.false_positive_rate, p.true_positive_rate) for p in details.roc]
    marks = [
        Mark(x=row.false_positive_rate, y=row.recall, label=f"from {number(row.threshold)} on ({row.why})")
        for row in details.thresholds
        if row.why
    ]
    area = report.metrics.get("auc")
    name = f"ROC curve{f', area {interval(area)}' if area else ''}"
    svg = rate_chart(
        name,
        [Curve(name="ROC", points=points)],
        x="share of negatives chosen",
        y="share of positives chosen",
        diagonal=True,
        marks=marks,
    )
    rows = tuple(
        (
            "–" if p.threshold is None else number(p.threshold),
            percent(p.false_positive_rate),
            percent(p.true_positive_rate),
        )
        for p in details.roc
    )
    return Drawing(svg=svg, columns=("From", "Of negatives", "Of positives"), rows=rows)


def _precision_recall(report: Report, details: Details) -> Drawing | None:
    if not details.precision_recall:
        return None
    area = report.metrics.get("average_precision")
    name = f"Precision and recall{f', average precision {interval(area)}' if area else ''}"
    points = [(p.recall, p.precision) for p in details.precision_recall]
    svg = rate_chart(name, [Curve(name="precision", points=points)], x="recall", y="precision")
    rows = tuple((number(p.threshold), percent(p.recall), percent(p.precision)) for p in details.precision_recall)
    return Drawing(svg=svg, columns=("From", "Recall", "Precision"), rows=rows)


def _rates(details: Details) -> Drawing | None:
    """Precision, recall and the share that is chosen, by threshold."""
    if not details.thresholds:
        return None
    rows = details.thresholds
    curves = [
        Curve(name="precision", points=[(row.threshold, row.precision) for row in rows if row.chosen], style="one"),
        Curve(name="recall", points=[(row.threshold, row.recall) for row in rows], style="two"),
        Curve(name="chosen", points=[(row.threshold, row.chosen / max(row.rows, 1)) for row in rows], style="three"),
    ]
    svg = rate_chart("Precision, recall and share chosen by threshold", curves, x="threshold", y="share")
    table = tuple(
        (number(row.threshold), percent(row.precision), percent(row.recall), percent(row.chosen / max(row.rows, 1)))
        for row in rows
    )
    return Drawing(svg=svg, columns=("Threshold", "Precision", "Recall", "Chosen"), rows=table)


def _importance(report: Report, details: Details) -> Drawing | None:
    ranked = sorted(details.importance, key=lambda name: -report.importance.get(name, 0.0))[:_MOST_INTERVALS]
    if not ranked:
        return None
    metric = details.metric
    rows: list[tuple[str, Interval, str]] = [(name, details.importance[name], "one") for name in ranked]
    svg = interval_chart(f"How much worse {metric} gets when an input is shuffled", rows)
    table = tuple((name, number(i.value), number(i.low), number(i.high)) for name, i, _ in rows)
    return Drawing(svg=svg, columns=("Input", f"Loss of {metric}", "Low", "High"), rows=table)


def _dependence(each: Dependence) -> Drawing:
    is_category = any(point.word for point in each.points)
    curve = Curve(
        name=each.input,
        points=[(point.value, point.mean) for point in each.points],
        band=[(point.value, point.low, point.high) for point in each.points],
    )
    words = [point.word for point in each.points] if is_category else []
    svg = response_chart(f"Prediction by {each.input}", curve, x="", y="prediction", words=words)
    rows = tuple(
        (point.word or number(point.value), number(point.mean), number(point.low), number(point.high))
        for point in each.points
    )
    return Drawing(svg=svg, columns=(each.input, "Mean", "A tenth below", "A tenth above"), rows=rows)


def _slice_status(row: SliceRow) -> Status:
    if row.is_sure:
        return watch("worse")
    return unknown("may be chance") if row.beyond > 0 else healthy("no worse")


def _beside(one: ComparedMetric, *, champion: int) -> Drawing:
    rows = [("this version", one.ours, "one"), (f"version {champion}", one.theirs, "two")]
    svg = interval_chart(f"{one.name} of both on the same rows, with 95 % intervals", rows)
    table = tuple((label, number(i.value), number(i.low), number(i.high)) for label, i, _ in rows)
    apart = one.difference
    table = (*table, ("difference", signed(apart.value), signed(apart.low), signed(apart.high)))
    return Drawing(svg=svg, columns=("Version", one.name, "Low", "High"), rows=table)


def counted(row: ThresholdRow) -> tuple[tuple[str, str, str], ...]:
    """The confusion matrix as rows: what was, how many were chosen, how many were not."""
    return (
        ("positive", whole(row.true_positives), whole(row.false_negatives)),
        ("negative", whole(row.false_positives), whole(row.true_negatives)),
    )
