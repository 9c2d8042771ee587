"""The ways through the console: groups of pages, of which a visitor sees those that are open to them."""

from dataclasses import dataclass

from octavo.console.visits import VISIT, Visit

MOST_COUNTED = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A way to a page.

    Attributes
    ----------
    permission : str
        What the page asks for.
    count : int
        How many things there need someone.
    """

    label: str
    path: str
    permission: str
    count: int = 0
    is_current: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Pages that belong together."""

    label: str
    links: tuple[Link, ...]


_GROUPS = (
    ("Now", (("Home", "/", VISIT), ("Incidents", "/incidents", "incidents:read"))),
    (
        "Build",
        (
            ("Sources", "/sources", "features:read"),
            ("Features", "/features", "features:read"),
            ("Runs", "/runs", "models:read"),
        ),
    ),
    (
        "Ship",
        (
            ("Models", "/models", "models:read"),
            ("Deployments", "/deployments", "deployments:read"),
            ("Composites", "/composites", "deployments:read"),
            ("Approvals", "/approvals", "releases:read"),
            ("History", "/history", "models:read"),
        ),
    ),
    (
        "Watch",
        (
            ("Monitoring", "/monitoring", "monitoring:read"),
            ("Predictions", "/predictions", "predictions:read"),
            ("Lineage", "/lineage", "models:read"),
        ),
    ),
    (
        "Govern",
        (("Audit", "/audit", "audit:read"), ("Access", "/access", "access:read"), ("System", "/system", "system:read")),
    ),
)


def navigation(visit: Visit) -> tuple[Group, ...]:
    """The groups of links for a visitor, the one to this page marked."""
    groups = []
    for label, links in _GROUPS:
        shown = tuple(
            Link(
                label=name,
                path=path,
                permission=permission,
                count=_count(visit, path),
                is_current=visit.path == path or (path != "/" and visit.path.startswith(f"{path}/")),
            )
            for name, path, permission in links
            if visit.principal.may_somewhere(permission)
        )
        if shown:
            groups.append(Group(label=label, links=shown))
    return tuple(groups)


def _count(visit: Visit, path: str) -> int:
    if path == "/incidents":
        return len(visit.call_if_allowed("incidents:read", "incidents.list", open=True, limit=MOST_COUNTED) or ())
    return len(visit.call_if_allowed("releases:read", "releases.approvals") or ()) if path == "/approvals" else 0
