"""What is asked about who may what, and what is answered."""

from dataclasses import dataclass
from datetime import datetime

from octavo.access.document import Held
from octavo.governance.access.accounts import Account
from octavo.principals import PERSON, Limited


@dataclass(frozen=True, slots=True, kw_only=True)
class ListAccounts:
    """Ask who may call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AddAccount:
    """Add a person or, with an owner, a service.

    Attributes
    ----------
    kind : {"person", "service"}
    owner : str
        The person who answers for a service.
    identity : str
        Of a person who logs in by OpenID Connect under this name: the issuer, a space and the subject there.
    local_user : str
        Who a person is on this machine, ``user:NAME``.
    """

    account: str
    kind: str = PERSON
    owner: str = ""
    identity: str = ""
    local_user: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DisableAccount:
    """Take no call of an account any more."""

    account: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EnableAccount:
    """Take calls of an account again."""

    account: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantRole:
    """Give a role: for the whole project, or for a model with its deployments, or for a deployment.

    Attributes
    ----------
    lasts : str or None
        Such as ``7d``; for good unless given.
    """

    account: str
    role: str
    model: str | None = None
    deployment: str | None = None
    lasts: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RevokeRole:
    """Take back a role as it was given."""

    account: str
    role: str
    model: str | None = None
    deployment: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ListKeys:
    """Ask for keys, those that ended too."""

    account: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateKey:
    """Make a key for an account.

    Attributes
    ----------
    scopes : tuple of str
        The permissions among its account's that it carries; all of them if empty.
    lasts : str
        Such as ``30d``; as the settings say unless given.
    """

    account: str
    scopes: tuple[str, ...] = ()
    lasts: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RevokeKey:
    """End a key now."""

    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RotateKey:
    """Make a key in another's place, which ends a while later.

    Attributes
    ----------
    overlap : str
        How long both are good.
    """

    key: str
    overlap: str = "24h"


@dataclass(frozen=True, slots=True, kw_only=True)
class ListRoles:
    """Ask what each role may."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WhoAmI:
    """Ask who one is here, and what one may."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainAccess:
    """Ask why somebody may do something, or not.

    Attributes
    ----------
    what : str
        An operation, such as ``releases.start``, or a permission, such as ``releases:write``.
    account : str or None
        Oneself unless given.
    """

    what: str
    account: str | None = None
    model: str | None = None
    deployment: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountSummary:
    """An account, and the roles that it holds now."""

    account: Account
    roles: tuple[Held, ...]
    keys: int
    owner_is_disabled: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class KeySummary:
    """A key, without anything of its secret; or a token of this machine, which has no end.

    Attributes
    ----------
    scopes : tuple of str
        What it carries: of a key all that its account may if empty, of a token of this machine just these.
    """

    id: str
    account: str
    scopes: tuple[str, ...]
    note: str
    made_at: datetime | None = None
    made_by: str = ""
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    used_at: datetime | None = None
    live: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeKey:
    """A key that was made now; `text` is told this once."""

    text: str
    key: KeySummary


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """A role and what it may."""

    name: str
    summary: str
    permissions: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Whoami:
    """Who somebody is here."""

    name: str
    subject: str
    kind: str
    permissions: tuple[str, ...]
    limited: tuple[Limited, ...]
