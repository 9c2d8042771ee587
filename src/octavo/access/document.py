"""Who may what, as one document: what every process of a project knows of people, services and their keys.

It holds no secret: of keys the SHA-256 of theirs, which are random and long.
"""

import hashlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass

import msgspec

from octavo.access.roles import permissions_of
from octavo.principals import Limited, Principal

FOLDER = "access/"
NAME = "project"
DOCUMENT = f"{FOLDER}{NAME}.json"
"""The name under which it is published among the artifacts."""
PURPOSE = "octavo/access/v1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A role that somebody holds.

    Attributes
    ----------
    about : {"", "model", "deployment"}
        Empty for the whole project.
    name : str
        Of the model or deployment; empty for the whole project.
    until_us : int or None
        When it ends; None for never.
    """

    role: str
    about: str = ""
    name: str = ""
    until_us: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownAccount:
    """A person or a service who may call; one that is disabled is not here.

    Attributes
    ----------
    local_user : str
        Who the person is on the machine, ``user:NAME``; empty if that is not known.
    """

    name: str
    kind: str
    roles: tuple[Held, ...] = ()
    local_user: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownKey:
    """A key that is not revoked.

    Attributes
    ----------
    scopes : tuple of str
        The permissions among its account's that it carries; all of them if empty.
    """

    id: str
    account: str
    secret_sha256: str
    scopes: tuple[str, ...]
    expires_at_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessDocument:
    """Everybody who may call a project.

    Attributes
    ----------
    sequence : int
        Rises with every change; no process goes back to a lower one.
    """

    project: str
    sequence: int
    accounts: tuple[KnownAccount, ...] = ()
    keys: tuple[KnownKey, ...] = ()


def principal_of(
    account: KnownAccount, *, now_us: int, key: KnownKey | None = None, permissions: Collection[str] = ()
) -> Principal:
    """Who calls for an account, by what it holds now.

    Parameters
    ----------
    key : KnownKey or None
        By which the call comes; one with scopes carries no more than these.
    permissions : collection of str
        What is held besides.
    """
    scopes = frozenset(key.scopes) if key is not None else frozenset()
    everywhere = frozenset(permissions)
    limited = []
    for held in _valid(account, now_us):
        found = _within(permissions_of(held.role), scopes)
        if not held.about:
            everywhere |= found
        elif found:
            limited.append(Limited(about=held.about, name=held.name, permissions=found))
    return Principal(
        name=account.name if key is None else f"{account.name}/{key.id}",
        permissions=everywhere,
        kind=account.kind,
        subject=account.name,
        limited=tuple(limited),
    )


def good_until_us(account: KnownAccount, key: KnownKey | None, *, now_us: int) -> int | None:
    """When what is known of an account ends by itself: a role or the key does; None for never."""
    ends = [held.until_us for held in _valid(account, now_us) if held.until_us is not None]
    return min([*ends, *([] if key is None else [key.expires_at_us])], default=None)


def rights_of(principal: Principal) -> str:
    """A digest of all that somebody may: another one if anything is added or taken away."""
    told = (
        principal.kind,
        sorted(principal.permissions),
        sorted((limited.about, limited.name, sorted(limited.permissions)) for limited in principal.limited),
    )
    return hashlib.sha256(msgspec.json.encode(told)).hexdigest()


def _valid(account: KnownAccount, now_us: int) -> Iterator[Held]:
    return (held for held in account.roles if held.until_us is None or held.until_us > now_us)


def _within(permissions: frozenset[str], scopes: frozenset[str]) -> frozenset[str]:
    if not scopes:
        return permissions
    return scopes if "*" in permissions else permissions & scopes
