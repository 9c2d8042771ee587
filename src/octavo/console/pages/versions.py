"""A model version with its report: may it go live, on what evidence, and where has it been?"""

from octavo.console.formatting import listed, percent, size
from octavo.console.pages.models import Serving, serving_of
from octavo.console.prose import prose
from octavo.console.releases import history_of
from octavo.console.rendering import render
from octavo.console.reports import calibration, metric_views, profile_rows, spread
from octavo.console.status import Status, failing, healthy, running, unknown
from octavo.console.visits import Page, Reply, Visit
from octavo.errors import NotFound
from octavo.registry.operations import VersionDetails
from octavo.registry.provenance import Provenance
from octavo.registry.versions import ModelVersion
from octavo.release.releases import Release

_MOST_RELEASES = 1_000


def version(visit: Visit) -> Reply:
    """One version."""
    model, number = visit.parameters["model"], visit.parameters["version"]
    if not number.isdecimal():
        raise NotFound("version", number)
    details: VersionDetails = visit.call("models.version", model=model, version=int(number))
    serving = [place for place in serving_of(visit, model) if place.version == details.version.version]
    report = details.report
    return render(
        visit,
        "version.html",
        title=f"{model} {number}",
        details=details,
        version=details.version,
        report=report,
        verdict=_verdict(details.version, serving),
        gates=[(gate, healthy("passed") if gate.passed else failing("failed")) for gate in details.version.gates],
        serving=serving,
        metrics=metric_views(report),
        calibration=calibration(report),
        profiles=profile_rows(report),
        predicted=spread("Predictions for the held-out rows", report.prediction, width=260, height=64),
        label=spread("Labels of the training rows", report.label, width=260, height=64),
        size=size(details.size_bytes),
        provenance=_provenance(details.provenance),
        card=prose(details.card),
        environment=details.environment,
        releases=history_of(_releases(visit, details.version)),
    )


def _provenance(found: Provenance) -> list[tuple[str, str, bool]]:
    """What made the version: name, value, and whether that is an identifier."""
    tables = ", ".join(f"{table} {version}" for table, version in found.tables.items())
    commit = f"{found.commit}{' with uncommitted changes' if found.uncommitted else ''}" if found.commit else ""
    made = {
        "Fitted by": found.origin.made_by if found.origin else "",
        "Files": found.origin.digest if found.origin else "",
        "May have seen": f"{found.seen:,} of the held-out rows, which are older than the model" if found.origin else "",
        "Training set": found.dataset,
        "Tables read": tables,
        "Code": found.code,
        "Commit": commit,
        "On": f"Octavo {found.octavo}, Python {found.python}, {found.machine}",
        "Parity": f"{percent(found.parity)} of what the compiled model may differ from the native one",
    }
    return [(name, value, value.startswith("sha256:")) for name, value in made.items() if value]


def _releases(visit: Visit, version: ModelVersion) -> list[Release]:
    found: tuple[Release, ...] = visit.call_if_allowed("releases:read", "releases.list", limit=_MOST_RELEASES) or ()
    return [r for r in found if (r.model, r.version) == (version.model, version.version)]


def _verdict(version: ModelVersion, serving: list[Serving]) -> tuple[Status, str]:
    failed = [gate for gate in version.gates if not gate.passed]
    if failed:
        return failing("failed"), f"It may never be released: {failed[0].gate} failed, because {failed[0].evidence}."
    earned = "It passed its gates" if version.gates else "It has no gates to pass"
    live = [place for place in serving if place.role == "live"]
    if live:
        return healthy("live"), f"{earned} and is live in {listed([place.deployment for place in live])}."
    beside = [f"{place.role} in {place.deployment}" for place in serving]
    if beside:
        return running("on its way"), f"{earned} and is {listed(beside)}."
    return unknown("not serving"), f"{earned} and serves nowhere now."


PAGES = (Page(path="/models/{model}/{version}", permission="models:read", show=version),)
