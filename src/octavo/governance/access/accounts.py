"""What the records say of those who may call."""

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from octavo.principals import PERSON


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A person or a service.

    Attributes
    ----------
    name : str
        Such as ``ada``, ``ada@example.org`` or, for a user of this machine, ``user:ada``.
    owner : str
        The person who answers for a service; empty for a person.
    identity : str
        Of a person who logs in by OpenID Connect: the issuer, a space, and the subject there; empty for others.
    local_user : str
        Who the person is on this machine, ``user:NAME``: what is done there is theirs. Empty if not known.
    groups : tuple of str
        Of the person at the last login, as the provider told them.
    """

    kind: ClassVar[str] = "account"

    name: str
    account_kind: str = PERSON
    owner: str = ""
    identity: str = ""
    local_user: str = ""
    groups: tuple[str, ...] = ()
    made_at: datetime
    made_by: str
    disabled_at: datetime | None = None
    logged_in_at: datetime | None = None

    @property
    def key(self) -> str:
        return self.name

    @property
    def is_disabled(self) -> bool:
        """Whether no call of it is taken now."""
        return self.disabled_at is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """A role that an account was given, for the whole project or for one thing.

    Attributes
    ----------
    about : {"", "model", "deployment"}
    thing : str
        The name of the model or deployment.
    until : datetime or None
        When it ends by itself.
    revoked_at : datetime or None
        None while it holds.
    """

    kind: ClassVar[str] = "grant"

    account: str
    role: str
    about: str = ""
    thing: str = ""
    granted_at: datetime
    granted_by: str
    until: datetime | None = None
    revoked_at: datetime | None = None

    @property
    def key(self) -> str:
        return f"{self.account} {self.role} {self.about}:{self.thing}"

    @property
    def is_revoked(self) -> bool:
        """Whether it was taken back."""
        return self.revoked_at is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessKey:
    """A key of an account, without its secret.

    Attributes
    ----------
    scopes : tuple of str
        The permissions that it carries among those of its account; all if empty.
    used_at : datetime or None
        Its last use, to within an hour or two; None if it was never seen.
    """

    kind: ClassVar[str] = "access_key"

    id: str
    account: str
    secret_sha256: str
    note: str = ""
    scopes: tuple[str, ...] = ()
    made_at: datetime
    made_by: str
    expires_at: datetime
    revoked_at: datetime | None = None
    used_at: datetime | None = None

    @property
    def key(self) -> str:
        return self.id

    def is_live(self, now: datetime) -> bool:
        """Whether calls by it are taken."""
        return self.revoked_at is None and self.expires_at > now


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessState:
    """How often anything of this was changed; each change is a new access document."""

    kind: ClassVar[str] = "access_state"

    sequence: int = 0

    @property
    def key(self) -> str:
        return "access"
