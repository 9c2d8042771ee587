"""Monitoring: whether each deployment still does well, and what moved."""

from collections.abc import Mapping

from octavo.console.audits import audit_view
from octavo.console.formatting import decimal, listed, number, percent, plural
from octavo.console.looks import (
    KINDS,
    drift_chart,
    input_rows,
    maturity_chart,
    performance_chart,
    respects_of,
)
from octavo.console.pages.incidents import subject_of
from octavo.console.rendering import render
from octavo.console.status import Status, failing, healthy, incident_status, unknown
from octavo.console.traffic import live_markers
from octavo.console.visits import Page, Reply, Visit
from octavo.errors import OctavoError
from octavo.monitoring.findings import Verdict
from octavo.monitoring.looks import Look
from octavo.monitoring.operations import MonitoringDetails
from octavo.registry.operations import VersionDetails
from octavo.release.operations import DeploymentSummary
from octavo.training.reports import Profile

_MOST_LOOKS = 200
_FIRST_INPUTS = 12
_SHOWN_INCIDENTS, _SHOWN_AUDITS = 10, 14


def overview(visit: Visit) -> Reply:
    """All deployments, each in every respect."""
    summaries: tuple[DeploymentSummary, ...] = visit.call_if_allowed("deployments:read", "deployments.list") or ()
    rows = []
    for summary in summaries:
        details: MonitoringDetails = visit.call("monitoring.show", deployment=summary.state.deployment, limit=1)
        look = details.looks[-1] if details.looks else None
        rows.append((details, look, respects_of(look)))
    return render(visit, "monitoring_overview.html", title="Monitoring", kinds=KINDS, rows=rows)


def monitoring(visit: Visit) -> Reply:
    """One deployment."""
    name = visit.parameters["deployment"]
    details: MonitoringDetails = visit.call("monitoring.show", deployment=name, limit=_MOST_LOOKS)
    incidents = visit.call_if_allowed("incidents:read", "incidents.list", deployment=name, limit=_MOST_LOOKS) or ()
    markers = live_markers(visit.call_if_allowed("releases:read", "releases.list", deployment=name) or ())
    audits = visit.call_if_allowed("features:read", "features.audits", deployment=name, limit=_SHOWN_AUDITS) or ()
    look = details.looks[-1] if details.looks else None
    inputs = input_rows(look, _profiles(visit, details)) if look else []
    shows_all = visit.query.get("inputs") == "all"
    return render(
        visit,
        "monitoring.html",
        title=name,
        details=details,
        look=look,
        verdict=verdict(details, look),
        respects=respects_of(look),
        performance=performance_chart(
            details.looks, degradation=details.thresholds.degradation, markers=markers, incidents=incidents
        ),
        drift=drift_chart(details.looks, threshold=details.thresholds.drift, markers=markers, incidents=incidents),
        maturity=maturity_chart(details.looks),
        inputs=inputs if shows_all else inputs[:_FIRST_INPUTS],
        hidden=0 if shows_all else max(len(inputs) - _FIRST_INPUTS, 0),
        incidents=[(incident, incident_status(incident)) for incident in incidents[:_SHOWN_INCIDENTS]],
        audit=audit_view(audits),
        can_look=visit.principal.may("monitoring:write"),
    )


def verdict(details: MonitoringDetails, look: Look | None) -> tuple[Status, str]:
    """How a deployment does, in one sentence."""
    if details.version is None:
        return unknown("nothing live"), f"No version is live in {details.deployment}, so there is nothing to watch."
    if look is None:
        return unknown("no look yet"), "The first look is still to come."
    unhealthy = [finding for finding in look.findings if finding.verdict is Verdict.UNHEALTHY]
    if unhealthy:
        text = " ".join(f"{finding.kind.capitalize()}: {finding.summary}." for finding in unhealthy)
        return failing(plural(len(unhealthy), "problem")), text
    if details.incidents:
        words = listed([f"{one.incident_kind} ({subject_of(one)})" for one in details.incidents])
        return failing(plural(len(details.incidents), "incident")), f"Still open: {words}."
    judged = [finding for finding in look.findings if finding.verdict is Verdict.HEALTHY]
    if not judged:
        return unknown("too little"), "There are too few predictions and outcomes to judge by."
    return healthy("healthy"), _healthy_words(details, look)


def look_now(visit: Visit) -> Reply:
    """A form was sent to look at a deployment at once."""
    name = visit.parameters["deployment"]
    visit.call("monitoring.look", deployment=name)
    return Reply(location=f"/monitoring/{name}")


def _healthy_words(details: MonitoringDetails, look: Look) -> str:
    words = []
    if look.performance is not None:
        found = look.performance
        direction = "above" if found.growth > 0 else "below"
        words.append(
            f"The {found.metric} is {number(found.observed.value)} over {plural(found.rows, 'outcome')}: "
            f"an error {percent(abs(found.growth))} {direction} that on the held-out rows."
        )
    if look.drift is not None:
        words.append(
            f"The inputs drifted by {decimal(look.drift, 2)}, of {number(details.thresholds.drift)} that would count."
        )
    return " ".join(words) or "Nothing is out of bounds."


def _profiles(visit: Visit, details: MonitoringDetails) -> Mapping[str, Profile]:
    if details.version is None:
        return {}
    try:
        found: VersionDetails | None = visit.call_if_allowed(
            "models:read", "models.version", model=details.model, version=details.version
        )
    except OctavoError:
        return {}
    return found.report.profiles if found else {}


PAGES = (
    Page(path="/monitoring", permission="monitoring:read", show=overview),
    Page(path="/monitoring/{deployment}", permission="monitoring:read", show=monitoring),
    Page(path="/monitoring/{deployment}/look", permission="monitoring:write", show=look_now, method="POST"),
)
