"""Who calls, and what they may do: about the whole project, or about some models and deployments only."""

from collections.abc import Mapping
from dataclasses import dataclass

PERSON, SERVICE, SYSTEM_KIND = "person", "service", "system"

SELF = "self:read"
"""The permission to ask about oneself, which everybody has who is known."""

APPROVE = "approve"
"""How the verb begins of permissions that only people can use: ``releases:approve``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limited:
    """Rights that hold for one thing only.

    Attributes
    ----------
    about : {"model", "deployment"}
    name : str
        Of the thing.
    """

    about: str
    name: str
    permissions: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Who is calling.

    Attributes
    ----------
    name : str
        As it stands in the audit trail: ``user:ada``, ``ada/1f3a09c2``, ``worker``.
    permissions : frozenset of str
        What holds for the whole project, such as ``models:read``; ``*`` is all.
    kind : {"person", "service", "system"}
        A service approves nothing, whatever it holds.
    subject : str
        Who that is, whichever token or session the call came by: two calls by one person have the same. The name
        unless given.
    limited : tuple of Limited
        What holds for some models and deployments only.
    """

    name: str
    permissions: frozenset[str]
    kind: str = PERSON
    subject: str = ""
    limited: tuple[Limited, ...] = ()

    def __post_init__(self) -> None:
        if not self.subject:
            object.__setattr__(self, "subject", self.name)

    def may(self, permission: str, *, about: Mapping[str, str] | None = None) -> bool:
        """Whether the caller has a permission.

        Parameters
        ----------
        about : mapping of "model" and "deployment" to names
            One thing, with what it belongs to: a right that is limited to any of these suffices. Without it only rights
            to the whole project do.
        """
        if self.kind == SERVICE and is_for_people(permission):
            return False
        if permission in self.permissions or "*" in self.permissions or permission == SELF:
            return True
        return about is not None and any(
            about.get(limited.about) == limited.name and _holds(limited.permissions, permission)
            for limited in self.limited
        )

    def may_somewhere(self, permission: str) -> bool:
        """Whether there is anything, or could be, about which the caller has a permission."""
        return self.may(permission) or any(
            self.may(permission, about={limited.about: limited.name}) for limited in self.limited
        )


def is_for_people(permission: str) -> bool:
    """Whether no service can use a permission."""
    return permission.partition(":")[2].startswith(APPROVE)


SYSTEM = Principal(name="system", permissions=frozenset({"*"}), kind=SYSTEM_KIND)


def _holds(permissions: frozenset[str], permission: str) -> bool:
    return "*" in permissions or permission in permissions
