"""Incidents: what went wrong, since when, by how much, why, and how it ended."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import quote

from octavo.console.formatting import duration, plural
from octavo.console.looks import amount, drift_chart, performance_chart
from octavo.console.rendering import render
from octavo.console.status import Status, failing, healthy, incident_status
from octavo.console.traffic import Drawing, live_markers
from octavo.console.visits import Page, Reply, Visit
from octavo.errors import OctavoError
from octavo.monitoring.incidents import Incident, IncidentKind
from octavo.monitoring.operations import MonitoringDetails

_MOST = 200
_MOST_LOOKS = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentRow:
    """An incident in a list."""

    incident: Incident
    subject: str
    status: Status
    value: str
    bound: str


def incidents(visit: Visit) -> Reply:
    """All incidents, the open ones first."""
    found: tuple[Incident, ...] = visit.call("incidents.list", limit=_MOST)
    is_open = [incident for incident in found if incident.is_open]
    ended = [incident for incident in found if not incident.is_open]
    rows = [_row(incident) for incident in (*is_open, *ended)]
    return render(visit, "incidents.html", title="Incidents", verdict=_verdict_of_all(found, visit), rows=rows)


def incident(visit: Visit, *, problem: str = "", status: int = 200) -> Reply:
    """One incident."""
    found: Incident = visit.call("incidents.show", incident=visit.parameters["incident"])
    title = f"{found.incident_kind.capitalize()} of {found.deployment}"
    return render(
        visit,
        "incident.html",
        title=title,
        status=status,
        problem=problem,
        incident=found,
        row=_row(found),
        verdict=(incident_status(found), _verdict(found, visit)),
        lasted=((found.resolved_at or visit.now) - found.opened_at).total_seconds(),
        course=_course(found, visit),
        can_resolve=found.is_open and visit.principal.may("incidents:write"),
    )


def resolve(visit: Visit) -> Reply:
    """A form was sent to end an incident by hand."""
    name = visit.parameters["incident"]
    try:
        visit.call("incidents.resolve", incident=name, cause=visit.form.get("cause", "").strip())
    except OctavoError as error:
        return incident(visit, problem=error.message, status=409)
    return Reply(location=f"/incidents/{quote(name)}")


def subject_of(found: Incident) -> str:
    """What an incident is about."""
    match found.incident_kind:
        case IncidentKind.PERFORMANCE:
            return f"{found.subject} is worse than on the held-out rows"
        case IncidentKind.DRIFT:
            return "the inputs have moved" if found.subject == "inputs" else f"drift of {found.subject}"
        case IncidentKind.QUALITY:
            return f"values of {found.subject} are absent"
        case IncidentKind.STALENESS:
            return f"{found.subject} are out of date"
        case IncidentKind.SKEW:
            return f"{found.subject} was served wrongly"
        case IncidentKind.RETRAINING:
            return f"{found.subject} starts no more trainings"
        case IncidentKind.REFUSAL:
            return "what was published is not taken up by a predictor"


def _row(found: Incident) -> IncidentRow:
    return IncidentRow(
        incident=found,
        subject=subject_of(found),
        status=incident_status(found),
        value=amount(found.incident_kind, found.value),
        bound=amount(found.incident_kind, found.threshold),
    )


def _verdict_of_all(found: Sequence[Incident], visit: Visit) -> tuple[Status, str]:
    is_open = [incident for incident in found if incident.is_open]
    if not is_open:
        return healthy(
            "none open"
        ), f"{plural(len(found), 'incident')} so far." if found else "There has been none yet."
    oldest = is_open[-1]
    lasted = duration((visit.now - oldest.opened_at).total_seconds())
    text = f"The oldest is the {oldest.incident_kind} of {oldest.deployment}, open for {lasted}."
    return failing(plural(len(is_open), "open incident")), text


def _verdict(found: Incident, visit: Visit) -> str:
    text = f"{_measured(found)}, as last measured; the bound is {amount(found.incident_kind, found.threshold)}."
    if found.resolved_at is None:
        return f"{text} Open for {duration((visit.now - found.opened_at).total_seconds())}."
    return f"{text} It was over after {duration((found.resolved_at - found.opened_at).total_seconds())}."


def _measured(found: Incident) -> str:
    value = amount(found.incident_kind, found.value)
    match found.incident_kind:
        case IncidentKind.PERFORMANCE:
            return f"The error grew by {value} against the held-out rows"
        case IncidentKind.DRIFT:
            return f"The inputs moved by {value} from those of training"
        case IncidentKind.QUALITY:
            return f"{found.subject} is absent in {value} more of the rows than in training"
        case IncidentKind.STALENESS:
            return f"The newest of the {found.subject} is {value} old"
        case IncidentKind.SKEW:
            return f"{value} of the values that were served are not what the events say"
        case IncidentKind.RETRAINING:
            return f"{value} trainings in a row have failed"
        case IncidentKind.REFUSAL:
            return f"{value} predictor or more refuses what was published"


def _course(found: Incident, visit: Visit) -> Drawing | None:
    """The measure that opened the incident, from somewhat before it to somewhat after."""
    details: MonitoringDetails | None = visit.call_if_allowed(
        "monitoring:read", "monitoring.show", deployment=found.deployment, limit=_MOST_LOOKS
    )
    if details is None or found.incident_kind not in (IncidentKind.PERFORMANCE, IncidentKind.DRIFT):
        return None
    margin = timedelta(seconds=2 * details.window_s)
    start, end = found.opened_at - margin, (found.resolved_at or visit.now) + margin
    looks = [look for look in details.looks if start <= look.at <= end]
    markers = live_markers(visit.call_if_allowed("releases:read", "releases.list", deployment=found.deployment) or ())
    if found.incident_kind is IncidentKind.DRIFT:
        return drift_chart(looks, threshold=found.threshold, markers=markers, incidents=[found])
    return performance_chart(looks, degradation=details.thresholds.degradation, markers=markers, incidents=[found])


PAGES = (
    Page(path="/incidents", permission="incidents:read", show=incidents),
    Page(path="/incidents/{incident}", permission="incidents:read", show=incident),
    Page(path="/incidents/{incident}/resolve", permission="incidents:write", show=resolve, method="POST"),
)
