"""History: who served what, and when."""

from datetime import UTC, datetime

from octavo.console.rendering import render
from octavo.console.status import Status, failing, healthy, running, unknown
from octavo.console.visits import Page, Reply, Visit
from octavo.errors import OctavoError
from octavo.release.history import Service
from octavo.release.history_operations import History
from octavo.release.shares import SHADOW


def history(visit: Visit) -> Reply:
    """Which version served which share of which deployment, and what aliases named."""
    asked = {name: visit.query.get(name, "").strip() for name in ("model", "deployment", "at")}
    found, problem = History(services=(), namings=()), ""
    try:
        moment = _moment(asked["at"])
        about = {name: asked[name] or None for name in ("model", "deployment")}
        found = visit.call("models.history", **about, at=moment)
    except (OctavoError, ValueError) as error:
        problem = getattr(error, "message", "that is no time; write it like 2013-12-01 00:00")
    rows = [(service, _status(service), _share(service)) for service in reversed(found.services)]
    return render(
        visit,
        "history.html",
        title="History",
        asked=asked,
        problem=problem,
        rows=rows,
        namings=tuple(reversed(found.namings)),
    )


def _moment(text: str) -> datetime | None:
    """A time as people write it; in UTC unless it says otherwise."""
    if not text:
        return None
    moment = datetime.fromisoformat(text)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


def _status(service: Service) -> Status:
    if service.stopped:
        return failing("stopped")
    if service.until is not None:
        return unknown("ended")
    return healthy(service.role) if service.role == "live" else running(service.role)


def _share(service: Service) -> str:
    return f"sees {service.sample:g} %" if service.role == SHADOW else f"{service.share * 100:.4g} %"


PAGES = (Page(path="/history", permission="models:read", show=history),)
