"""The audit trail: who changed what, and how it ended."""

from octavo.console.rendering import render
from octavo.console.status import Status, failing, healthy, watch
from octavo.console.visits import Page, Reply, Visit
from octavo.stores.ports import AuditEvent

_PAGE, _MOST = 100, 1_000


def audit(visit: Visit) -> Reply:
    """The newest events."""
    shows_all = visit.query.get("show") == "all"
    events: tuple[AuditEvent, ...] = visit.call("audit.list", limit=_MOST if shows_all else _PAGE)
    rows = [(event, event_status(event)) for event in events]
    return render(visit, "audit.html", title="Audit", rows=rows, has_more=not shows_all and len(rows) == _PAGE)


def event_status(event: AuditEvent) -> Status:
    """How what was tried ended."""
    if event.outcome == "done":
        return healthy("done")
    return failing("denied") if event.outcome == "denied" else watch(event.outcome.replace("_", " "))


PAGES = (Page(path="/audit", permission="audit:read", show=audit),)
