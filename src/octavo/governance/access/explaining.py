"""Why somebody may do something, or not, and what would have to change."""

from collections.abc import Mapping
from dataclasses import dataclass

from octavo.access.roles import ONLY_ADMIN, permissions_of, roles_with
from octavo.principals import SELF, SERVICE, Principal, is_for_people


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Whether somebody may, and why.

    Attributes
    ----------
    permission : str
        What it takes.
    because : str
        In a sentence.
    roles : tuple of str
        Those by which they would.
    fix : str
        What to do for it; empty if they may.
    """

    account: str
    permission: str
    about: str
    allowed: bool
    because: str
    roles: tuple[str, ...]
    fix: str = ""


def explain(principal: Principal, permission: str, about: Mapping[str, str], *, named: str) -> Explanation:
    """Explain what a principal may.

    Parameters
    ----------
    about : mapping of "model" and "deployment" to names
        The thing and what it belongs to; empty for the whole project.
    named : str
        The thing in words; empty for the whole project.
    """
    allowed = principal.may(permission, about=about or None)
    roles = roles_with(permission)
    who, where = principal.subject, named or "the whole project"
    return Explanation(
        account=who,
        permission=permission,
        about=named,
        allowed=allowed,
        because=_why(principal, permission, about, where) if allowed else _why_not(principal, permission, about, where),
        roles=roles,
        fix="" if allowed else _fix(principal, permission, about, roles),
    )


def _why(principal: Principal, permission: str, about: Mapping[str, str], where: str) -> str:
    who = principal.subject
    if permission == SELF:
        return "everybody who is known may ask about themselves"
    if principal.may(permission):
        return f"{who} holds {permission} for the whole project"
    found = next(
        limited
        for limited in principal.limited
        if about.get(limited.about) == limited.name
        and (permission in limited.permissions or "*" in limited.permissions)
    )
    return f"{who} holds {permission} about the {found.about} {found.name}, and so about {where}"


def _why_not(principal: Principal, permission: str, about: Mapping[str, str], where: str) -> str:
    who = principal.subject
    if principal.kind == SERVICE and is_for_people(permission):
        return f"{who} is a service, and only people approve"
    elsewhere = [
        f"the {limited.about} {limited.name}"
        for limited in principal.limited
        if permission in limited.permissions or "*" in limited.permissions
    ]
    if elsewhere:
        return f"{who} holds {permission} about {', '.join(elsewhere)}, but not about {where}"
    if not principal.permissions and not principal.limited:
        return f"{who} holds no role, or is not known or disabled"
    return f"no role of {who} holds {permission} about {where}"


def _fix(principal: Principal, permission: str, about: Mapping[str, str], roles: tuple[str, ...]) -> str:
    if principal.kind == SERVICE and is_for_people(permission):
        return "ask a person who holds the role approver"
    smallest = min(roles, key=lambda role: len(permissions_of(role)) if role != "admin" else 1_000, default="admin")
    if permission in ONLY_ADMIN:
        return "ask an administrator to do it"
    thing = next((f" --{kind} {name}" for kind, name in about.items()), "")
    return f"ask an administrator for: octavo access grant {principal.subject} {smallest}{thing}"
