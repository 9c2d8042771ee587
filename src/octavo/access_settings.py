"""The settings of who may call: [access] and [oidc]."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class AccessSettings:
    """[access]: who commands act for, how long sessions of the console last, and how long keys do.

    Attributes
    ----------
    local : {"admin", "granted"}
        Whether commands may do everything that the project's files allow, or only what was granted to ``user:NAME``.
    session_idle, session_lasts : str
        After how long without a visit a session of the console ends, and after how long at the latest.
    keys_last : str
        How long a key lasts for which nothing else is said.
    """

    local: Literal["admin", "granted"] = "admin"
    session_idle: str = "12h"
    session_lasts: str = "7d"
    keys_last: str = "90d"


@dataclass(frozen=True, kw_only=True)
class OidcSettings:
    """[oidc]: the provider that people log in by; none while `issuer` is empty.

    Attributes
    ----------
    issuer : str
        Its address, as it stands in its tokens.
    client_id : str
    client_secret : str
        Where the secret is, ``env:NAME`` or ``file:PATH``; empty for a public client.
    url : str
        Where browsers find the console, such as ``https://octavo.example.org``; the provider sends them back there.
    scopes : tuple of str
    name_claim : str
        What people are called by.
    groups_claim : str
        Where their groups stand.
    roles : tuple of str
        The roles of groups: ``group=role``, ``group=role@model:NAME`` or ``group=role@deployment:NAME``.
    algorithms : tuple of str
        With which its tokens may be signed.
    """

    issuer: str = ""
    client_id: str = ""
    client_secret: str = ""
    url: str = ""
    scopes: tuple[str, ...] = ("openid", "profile", "email")
    name_claim: str = "preferred_username"
    groups_claim: str = "groups"
    roles: tuple[str, ...] = ()
    algorithms: tuple[str, ...] = ("RS256", "ES256")
