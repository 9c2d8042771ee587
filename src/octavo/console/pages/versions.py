"""A model version with its report: may it go live, on what evidence, and where has it been?"""

from datetime import datetime
from urllib.parse import quote

from octavo.console.formatting import listed, size
from octavo.console.pages.models import Serving, serving_of
from octavo.console.prose import prose
from octavo.console.releases import history_of
from octavo.console.rendering import render
from octavo.console.report_details import compared_views
from octavo.console.reports import report_view
from octavo.console.status import State, Status, healthy, running, unknown
from octavo.console.verdicts import earned_status, gate_status, provenance_rows
from octavo.console.visits import Page, Reply, Visit, is_number
from octavo.errors import NotAllowed, NotFound, OctavoError
from octavo.registry.operations import VersionDetails
from octavo.registry.versions import ModelVersion
from octavo.release.releases import Release

_MOST_RELEASES = 1_000


def version(visit: Visit, *, problem: str = "", status: int = 200) -> Reply:
    """One version."""
    model, number = visit.parameters["model"], visit.parameters["version"]
    if not is_number(number):
        raise NotFound("version", number)
    details: VersionDetails = visit.call("models.version", model=model, version=int(number))
    serving = [place for place in serving_of(visit, model) if place.version == details.version.version]
    return render(
        visit,
        "version.html",
        title=f"{model} {number}",
        status=status,
        problem=problem,
        details=details,
        version=details.version,
        verdict=_verdict(details.version, serving, visit.now),
        gates=[(gate, gate_status(gate, visit.now)) for gate in details.version.gates],
        holding=[gate.gate for gate in details.version.held_by(visit.now)],
        waived=[gate.gate for gate in details.version.gates if gate.waived(visit.now)],
        can_waive=visit.principal.may("models:approve", about={"model": model}),
        serving=serving,
        view=report_view(details.report),
        compared=compared_views(details.comparison) if details.comparison else [],
        size=size(details.size_bytes),
        provenance=provenance_rows(details.provenance),
        card=prose(details.card),
        environment=details.environment,
        releases=history_of(_releases(visit, details.version)),
    )


def waive(visit: Visit) -> Reply:
    """A form was sent to let a version through a gate for a while, or to do so no longer."""
    model, number, gate = visit.parameters["model"], visit.parameters["version"], visit.form.get("gate", "")
    if not is_number(number):
        raise NotFound("version", number)
    try:
        if "withdraw" in visit.form:
            visit.call("models.unwaive", model=model, version=int(number), gate=gate)
        else:
            reason, length = visit.form.get("reason", ""), visit.form.get("length", "7d")
            visit.call("models.waive", model=model, version=int(number), gate=gate, reason=reason, length=length)
    except NotAllowed:
        raise
    except OctavoError as error:
        return version(visit, problem=error.message, status=409)
    return Reply(location=f"/models/{quote(model)}/{number}")


def _releases(visit: Visit, version: ModelVersion) -> list[Release]:
    found: tuple[Release, ...] = visit.call_if_allowed("releases:read", "releases.list", limit=_MOST_RELEASES) or ()
    return [r for r in found if (r.model, r.version) == (version.model, version.version)]


def _verdict(version: ModelVersion, serving: list[Serving], now: datetime) -> tuple[Status, str]:
    status, earned = earned_status(version, now)
    if status.state is State.FAILING:
        return status, f"{earned}."
    live = [place for place in serving if place.role == "live"]
    if live:
        return healthy("live"), f"{earned} and is live in {listed([place.deployment for place in live])}."
    beside = [f"{place.role} in {place.deployment}" for place in serving]
    if beside:
        return running("on its way"), f"{earned} and is {listed(beside)}."
    return unknown("not serving"), f"{earned} and serves nowhere now."


PAGES = (
    Page(path="/models/{model}/{version}", permission="models:read", show=version),
    Page(path="/models/{model}/{version}/waive", permission="models:approve", show=waive, method="POST"),
)
