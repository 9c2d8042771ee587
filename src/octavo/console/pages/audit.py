"""The audit trail: who changed what, how it ended, and how far it is proven."""

from octavo.console.rendering import render
from octavo.console.status import Status, failing, healthy, watch
from octavo.console.visits import Page, Reply, Visit
from octavo.governance.operations import AuditStatus
from octavo.stores.chain import AuditEvent

_PAGE, _MOST = 100, 1_000
_ASKED = ("actor", "operation", "target", "outcome")


def audit(visit: Visit) -> Reply:
    """The newest events, or those that are about something."""
    shows_all = visit.query.get("show") == "all"
    asked = {name: visit.query.get(name, "").strip() for name in _ASKED}
    events: tuple[AuditEvent, ...] = visit.call("audit.list", limit=_MOST if shows_all else _PAGE, **asked)
    trail: AuditStatus = visit.call("audit.status")
    rows = [(event, event_status(event)) for event in events]
    return render(
        visit,
        "audit.html",
        title="Audit",
        rows=rows,
        asked=asked,
        is_filtered=any(asked.values()),
        trail=trail,
        has_more=not shows_all and len(rows) == _PAGE,
    )


def event_status(event: AuditEvent) -> Status:
    """How what was tried ended."""
    if event.outcome == "done":
        return healthy("done")
    if event.outcome in ("denied", "failed"):
        return failing(event.outcome)
    return watch(event.outcome.replace("_", " "))


PAGES = (Page(path="/audit", permission="audit:read", show=audit),)
