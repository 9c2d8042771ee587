"""The pages: each calls operations, makes of their answers what its template shows, and renders that."""

from octavo.console.pages import (
    audit,
    deployments,
    features,
    home,
    incidents,
    models,
    monitoring,
    predictions,
    runs,
    system,
    versions,
)
from octavo.console.visits import Page

_ROOMS = (home, incidents, features, runs, models, versions, deployments, monitoring, predictions, audit, system)


def all_pages() -> tuple[Page, ...]:
    """Every page of the console and every form that is sent from one."""
    return tuple(page for room in _ROOMS for page in room.PAGES)
