"""The platform itself: its processes, its clock, and where each thing is kept."""

from octavo.clock import from_micros
from octavo.console.formatting import listed
from octavo.console.rendering import render
from octavo.console.status import Status, failing, healthy
from octavo.console.visits import Page, Reply, Visit
from octavo.governance.system import ProcessState, SystemDetails

_KEPT = {
    "metadata": "Definitions, runs, versions, releases, incidents, audit",
    "tables": "Events, training sets, predictions, outcomes",
    "online": "Feature values for the next request",
    "stream": "Events and outcomes as they arrive",
    "artifacts": "Model bundles and reports, by the digest of their content",
    "workflows": "What the worker has begun and not yet ended",
}


def system(visit: Visit) -> Reply:
    """Everything that runs and where everything is kept."""
    found: SystemDetails = visit.call("system.show")
    down = [process.name for process in found.processes if not process.is_running]
    return render(
        visit,
        "system.html",
        title="System",
        system=found,
        verdict=_verdict(down),
        processes=[
            (process, healthy("running") if process.is_running else failing("not running"))
            for process in found.processes
        ],
        models=[(model, None if model.deployments else from_micros(model.used_at_us)) for model in found.models],
        stores=[(_KEPT.get(name, name), name, url) for name, url in found.stores.items()],
    )


def _status(process: ProcessState) -> Status:
    return healthy("running") if process.is_running else failing("not running")


def _verdict(down: list[str]) -> tuple[Status, str]:
    if not down:
        return healthy("running"), "Control, worker and predictor run on this machine."
    verb = "does" if len(down) == 1 else "do"
    return failing("not running"), f"The {listed(down)} {verb} not run on this machine; octavo up starts all three."


PAGES = (Page(path="/system", permission="system:read", show=system),)
