"""Looks at a deployment as pages show them: a state for each kind of incident, and the course of error and drift."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from octavo.console.charts.histograms import histogram
from octavo.console.charts.lines import Marker, Point, Series, Span, Threshold, line_chart
from octavo.console.formatting import decimal, duration, moment, number, percent, signed, whole
from octavo.console.status import Status, failing, healthy, unknown
from octavo.console.traffic import Drawing
from octavo.monitoring.findings import Finding, Verdict
from octavo.monitoring.incidents import Incident, IncidentKind
from octavo.monitoring.inputs import InputLook
from octavo.monitoring.looks import Look
from octavo.training.metrics import METRICS
from octavo.training.reports import Profile

KINDS = (IncidentKind.PERFORMANCE, IncidentKind.DRIFT, IncidentKind.QUALITY, IncidentKind.STALENESS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Respect:
    """How a deployment does in one respect, in words.

    Attributes
    ----------
    measure : str
        Value and bound; empty if nothing could be measured.
    """

    kind: IncidentKind
    status: Status
    subject: str
    value: str
    bound: str
    measure: str
    summary: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InputRow:
    """An input beside what it was in training.

    Attributes
    ----------
    spread : Markup
        Both distributions, drawn; empty where one is not known.
    """

    input: InputLook
    spread: Markup


def amount(kind: IncidentKind, value: float | None) -> str:
    """What was measured for a kind of incident, in its unit."""
    match kind:
        case IncidentKind.PERFORMANCE | IncidentKind.QUALITY:
            return percent(value)
        case IncidentKind.STALENESS:
            return duration(value)
        case IncidentKind.DRIFT:
            return decimal(value)
        case IncidentKind.SKEW | IncidentKind.RETRAINING | IncidentKind.REFUSAL:
            return whole(None if value is None else int(value))


def finding_status(finding: Finding | None) -> Status:
    """How a deployment does in one respect."""
    if finding is None:
        return unknown("no look")
    match finding.verdict:
        case Verdict.HEALTHY:
            return healthy("healthy")
        case Verdict.UNHEALTHY:
            return failing("unhealthy")
        case Verdict.UNKNOWN:
            return unknown("too little")


def respects_of(look: Look | None) -> list[Respect]:
    """How a deployment does in each respect."""
    by_kind: Mapping[IncidentKind, Finding] = {f.kind: f for f in look.findings} if look else {}
    return [_respect(kind, by_kind.get(kind)) for kind in KINDS]


def _respect(kind: IncidentKind, finding: Finding | None) -> Respect:
    value = amount(kind, finding.value if finding else None)
    bound = amount(kind, finding.threshold if finding else None)
    return Respect(
        kind=kind,
        status=finding_status(finding),
        subject=finding.subject if finding else "",
        value=value,
        bound=bound,
        measure=f"{value} of {bound}" if finding and finding.value is not None else "",
        summary=finding.summary if finding else "",
    )


def bound_of(held_out: float, *, metric: str, degradation: float) -> float:
    """The value of a metric from which on performance is an incident."""
    if metric in METRICS and METRICS[metric].higher_is_better:
        return 1 - (1 - held_out) * (1 + degradation)
    return held_out * (1 + degradation)


def performance_chart(
    looks: Sequence[Look], *, degradation: float, markers: Sequence[Marker], incidents: Iterable[Incident]
) -> Drawing:
    """The metric over matured outcomes, beside what it was on the held-out rows."""
    judged = [(look.at, look.performance) for look in looks if look.performance is not None]
    if not judged:
        return Drawing(svg=Markup(""), columns=(), rows=())
    newest = judged[-1][1]
    held_out = [Point(at=at, value=found.held_out.value) for at, found in judged]
    observed = [
        Point(at=at, value=found.observed.value, low=found.observed.low, high=found.observed.high)
        for at, found in judged
    ]
    bounds = [
        Point(at=at, value=bound_of(found.held_out.value, metric=found.metric, degradation=degradation))
        for at, found in judged
    ]
    svg = line_chart(
        f"{newest.metric} over matured outcomes",
        [
            Series(name="held-out", points=held_out, style="reference"),
            Series(name=newest.metric, points=observed, style="one"),
        ],
        threshold=Threshold(label="an incident from here on", points=bounds),
        markers=markers,
        spans=spans_of(incidents, IncidentKind.PERFORMANCE),
    )
    rows = tuple(
        (
            moment(at),
            number(found.observed.value),
            f"{number(found.observed.low)} to {number(found.observed.high)}",
            number(found.held_out.value),
            signed(found.growth * 100, unit="%"),
            whole(found.rows),
        )
        for at, found in reversed(judged)
    )
    columns = ("Look", newest.metric, "95 % interval", "Held-out", "Growth of the error", "Outcomes")
    return Drawing(svg=svg, columns=columns, rows=rows)


def drift_chart(
    looks: Sequence[Look], *, threshold: float, markers: Sequence[Marker], incidents: Iterable[Incident]
) -> Drawing:
    """The drift of the inputs, weighted by importance; that of the predictions stands in the table beside it."""
    judged = [look for look in looks if look.drift is not None]
    if not judged:
        return Drawing(svg=Markup(""), columns=(), rows=())
    svg = line_chart(
        "Drift of the inputs, weighted by importance",
        [
            Series(name="inputs", points=[Point(at=look.at, value=look.drift) for look in judged]),
        ],
        threshold=Threshold(
            label=f"an incident from {number(threshold)} on", points=[Point(at=judged[0].at, value=threshold)]
        ),
        markers=markers,
        spans=spans_of(incidents, IncidentKind.DRIFT),
    )
    rows = tuple(
        (moment(look.at), decimal(look.drift), decimal(look.prediction_drift), whole(look.predictions))
        for look in reversed(judged)
    )
    return Drawing(svg=svg, columns=("Look", "Inputs", "Predictions", "Rows"), rows=rows)


def maturity_chart(looks: Sequence[Look]) -> Drawing:
    """Predictions in each look's window, and outcomes that became known in it."""
    if not any(look.predictions for look in looks):
        return Drawing(svg=Markup(""), columns=(), rows=())
    svg = line_chart(
        "Predictions and outcomes in the window of each look",
        [
            Series(name="predictions", points=[Point(at=look.at, value=look.predictions) for look in looks]),
            Series(name="outcomes", points=[Point(at=look.at, value=look.outcomes) for look in looks], style="two"),
        ],
    )
    rows = tuple((moment(look.at), whole(look.predictions), whole(look.outcomes)) for look in reversed(looks))
    return Drawing(svg=svg, columns=("Look", "Predictions", "Outcomes"), rows=rows)


def spans_of(incidents: Iterable[Incident], kind: IncidentKind) -> list[Span]:
    """When incidents of a kind were open."""
    return [
        Span(start=i.opened_at, end=i.resolved_at, label=f"{i.incident_kind} incident")
        for i in incidents
        if i.incident_kind is kind
    ]


def input_rows(look: Look, profiles: Mapping[str, Profile]) -> list[InputRow]:
    """The look's inputs, those that add most to the drift first."""
    rows = [InputRow(input=seen, spread=_spread(seen, profiles.get(seen.name))) for seen in look.inputs]
    return sorted(rows, key=lambda row: row.input.contribution, reverse=True)


def _spread(seen: InputLook, profile: Profile | None) -> Markup:
    if profile is None or len(seen.shares) != len(profile.shares):
        return Markup("")
    return histogram(
        f"{seen.name}: training in grey, now outlined", profile.shares, edges=profile.edges, over=seen.shares
    )
