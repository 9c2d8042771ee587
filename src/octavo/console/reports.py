"""A report as a page shows it: metrics beside the baselines, importance, calibration, the profile of every input."""

from collections.abc import Mapping
from dataclasses import dataclass

from markupsafe import Markup

from octavo.console.charts.bars import share_bar
from octavo.console.charts.histograms import distribution
from octavo.console.charts.intervals import calibration_chart, interval_chart
from octavo.console.formatting import number, whole
from octavo.console.report_details import DetailsView, InputDetail, details_view, input_detail
from octavo.console.status import Status, healthy, unknown
from octavo.console.traffic import Drawing
from octavo.training.metrics import METRICS
from octavo.training.reports import Interval, Profile, Report, TriedPart


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricView:
    """A metric on the held-out rows, beside the baselines on the same rows."""

    name: str
    higher_is_better: bool
    interval: Interval
    drawing: Drawing


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileRow:
    """An input of the training rows."""

    name: str
    importance: float
    bar: Markup
    profile: Profile
    spread: Markup
    detail: InputDetail


@dataclass(frozen=True, slots=True, kw_only=True)
class PartView:
    """A part of a partitioned model, and whether it answers its word."""

    part: TriedPart
    status: Status


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportView:
    """All of a report that pages and files show.

    Attributes
    ----------
    predicted, label, errors : Markup
        How these spread; no errors of a binary model.
    """

    report: Report
    metrics: list[MetricView]
    calibration: Drawing
    profiles: list[ProfileRow]
    predicted: Markup
    label: Markup
    errors: Markup | None
    details: DetailsView | None
    parts: list[PartView]


def report_view(report: Report) -> ReportView:
    """A report, drawn."""
    return ReportView(
        report=report,
        metrics=metric_views(report),
        calibration=calibration(report),
        profiles=profile_rows(report),
        predicted=spread("Predictions for the held-out rows", report.prediction, width=260, height=64),
        label=spread("Labels of the training rows", report.label, width=260, height=64),
        errors=None
        if report.errors is None
        else spread("Errors on the held-out rows", report.errors, width=260, height=64),
        details=details_view(report),
        parts=part_views(report),
    )


def part_views(report: Report) -> list[PartView]:
    """The parts that were tried, the one with most rows first."""
    tried = () if report.partition is None else report.partition.parts
    return [
        PartView(part=part, status=healthy("the part answers") if part.kept else unknown("the model for all answers"))
        for part in tried
    ]


def metric_views(report: Report) -> list[MetricView]:
    """Each metric of a report."""
    return [
        MetricView(
            name=name,
            higher_is_better=name in METRICS and METRICS[name].higher_is_better,
            interval=interval,
            drawing=_beside_baselines(name, interval, report.baselines),
        )
        for name, interval in report.metrics.items()
    ]


def calibration(report: Report) -> Drawing:
    """Predicted against observed."""
    rows = tuple(
        (
            number(point.predicted),
            number(point.observed.value),
            f"{number(point.observed.low)} to {number(point.observed.high)}",
            whole(point.rows),
        )
        for point in report.curve
    )
    svg = calibration_chart("Predicted against observed on the held-out rows", report.curve)
    return Drawing(svg=svg, columns=("Predicted", "Observed", "95 % interval", "Rows"), rows=rows)


def profile_rows(report: Report) -> list[ProfileRow]:
    """The inputs, the most important first."""
    greatest = max(report.importance.values(), default=0.0) or 1.0
    rows = [
        ProfileRow(
            name=name,
            importance=report.importance.get(name, 0.0),
            bar=share_bar(report.importance.get(name, 0.0) / greatest, name=f"Importance of {name}", width=64),
            profile=profile,
            spread=spread(f"{name} in training", profile, width=84),
            detail=input_detail(report, name, profile),
        )
        for name, profile in report.profiles.items()
    ]
    return sorted(rows, key=lambda row: row.importance, reverse=True)


def spread(name: str, profile: Profile, *, width: int = 132, height: int = 30) -> Markup:
    """A distribution, drawn."""
    return distribution(name, profile.shares, edges=profile.edges, width=width, height=height)


def _beside_baselines(name: str, interval: Interval, baselines: Mapping[str, Mapping[str, Interval]]) -> Drawing:
    rows = [("this version", interval, "one")]
    rows += [(label, found[name], "reference") for label, found in baselines.items() if name in found]
    svg = interval_chart(f"{name} on the held-out rows, with 95 % intervals", rows)
    table = tuple((label, number(i.value), number(i.low), number(i.high)) for label, i, _ in rows)
    return Drawing(svg=svg, columns=("Guess", name, "Low", "High"), rows=table)
