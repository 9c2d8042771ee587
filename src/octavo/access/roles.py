"""The roles, as data: each is a set of permissions. What no role holds, only an administrator may.

A role is held for the whole project, or for one model (and the deployments of it), or for one deployment.
"""

from collections.abc import Mapping

from octavo.principals import PERSON, Limited, Principal

ADMIN = "admin"

_SEES = frozenset(
    {
        "api:read",
        "clock:read",
        "definitions:read",
        "deployments:read",
        "features:read",
        "incidents:read",
        "metrics:read",
        "models:read",
        "monitoring:read",
        "releases:read",
        "system:read",
    }
)

ROLES: Mapping[str, frozenset[str]] = {
    "viewer": _SEES,
    "author": _SEES
    | {
        "datasets:read",
        "datasets:write",
        "definitions:write",
        "events:read",
        "events:write",
        "features:write",
        "models:write",
        "monitoring:write",
        "outcomes:write",
        "predictions:read",
        "predictions:write",
        "runs:write",
    },
    "approver": _SEES | {"models:approve", "predictions:read", "releases:approve"},
    "deployer": _SEES | {"incidents:write", "monitoring:write", "predictions:write", "releases:write"},
    "reviewer": _SEES | {"incidents:write", "outcomes:write", "predictions:read"},
    "auditor": _SEES | {"access:read", "audit:read", "audit:write", "predictions:read"},
    "caller": frozenset({"events:write", "outcomes:write", "predictions:write"}),
    ADMIN: frozenset({"*"}),
}
"""By name, from the one that sees most of it to the one that may everything; ``caller`` is for programs."""

SUMMARIES: Mapping[str, str] = {
    "viewer": "sees what is declared, trained, released and watched; no single prediction",
    "author": "declares, sends events, trains, logs runs",
    "approver": "approves releases, waives gates; people only",
    "deployer": "releases, holds, stops and rolls back",
    "reviewer": "sees predictions, tells outcomes, ends incidents",
    "auditor": "sees predictions, who changed what, and who may what; makes checkpoints",
    "caller": "asks for predictions, sends events and outcomes",
    ADMIN: "may everything",
}

ONLY_ADMIN = frozenset({"access:write", "clock:write", "models:approve-unsafe"})
"""Permissions that are left to administrators on purpose."""


def permissions_of(role: str) -> frozenset[str]:
    """What a role holds; nothing if there is none of that name (any more)."""
    return ROLES.get(role, frozenset())


def roles_with(permission: str) -> tuple[str, ...]:
    """The roles that hold a permission."""
    return tuple(name for name, held in ROLES.items() if "*" in held or permission in held)


def principal_in_role(role: str, *, kind: str = PERSON, about: tuple[str, str] | None = None) -> Principal:
    """Somebody who holds one role, for the whole project or about one thing only."""
    held = permissions_of(role)
    if about is None:
        return Principal(name=role, permissions=held, kind=kind)
    limited = (Limited(about=about[0], name=about[1], permissions=held),)
    return Principal(name=role, permissions=frozenset(), kind=kind, limited=limited)
