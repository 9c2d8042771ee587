"""People whom a provider vouches for: who they are here, from their first login on."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from octavo.access_settings import OidcSettings
from octavo.errors import Conflict, NotAllowed
from octavo.governance.access.accounts import Account
from octavo.governance.access.groups import read_mapping
from octavo.governance.access.publication import count_change, now_utc, publish_access
from octavo.operations import Context
from octavo.principals import PERSON
from octavo.stores.ports import Transaction

_NAME = re.compile(r"[a-z0-9][a-z0-9._@-]{0,62}\Z")


def log_in(context: Context, claims: Mapping[str, Any], *, trace: str = "") -> Account:
    """The account of somebody who has logged in; made at the first time. Their groups are those of now.

    Parameters
    ----------
    claims : mapping
        Of a token that was verified.

    Raises
    ------
    NotAllowed
        If the account is disabled.
    Conflict
        If the name is that of another account: no name that a provider tells takes over what was given to somebody.
    """
    settings = context.config.oidc
    identity = f"{claims['iss']} {claims['sub']}"
    groups = _groups(claims.get(settings.groups_claim), settings)
    with context.stores.metadata.transaction() as tx:
        known = next(iter(tx.find(Account, identity=identity)), None)
        if known is None:
            account = _new(tx, identity, name=claims.get(settings.name_claim), groups=groups)
            count_change(tx)
        else:
            account = _again(tx, known, groups)
        replace(context, trace=trace).audit(tx, "access.login", target=f"account={account.name}")
    publish_access(context)
    return account


def _new(tx: Transaction, identity: str, *, name: object, groups: tuple[str, ...]) -> Account:
    called = name.lower() if isinstance(name, str) else ""
    if not _NAME.match(called):
        called = f"oidc-{hashlib.sha256(identity.encode()).hexdigest()[:12]}"
    if tx.get(Account, called) is not None:
        raise Conflict(
            f"there is an account {called} already, and it is not yours; an administrator can add you under another "
            f"name: octavo access add NAME --identity ...",
            account=called,
        )
    now = now_utc()
    account = Account(
        name=called,
        account_kind=PERSON,
        identity=identity,
        groups=groups,
        made_at=now,
        made_by="oidc",
        logged_in_at=now,
    )
    tx.add(account)
    return account


def _again(tx: Transaction, known: Account, groups: tuple[str, ...]) -> Account:
    if known.is_disabled:
        raise NotAllowed(f"{known.name} is disabled here; ask an administrator", permission="")
    account = replace(known, groups=groups, logged_in_at=now_utc())
    tx.replace(known, account)
    if account.groups != known.groups:
        count_change(tx)
    return account


def _groups(told: object, settings: OidcSettings) -> tuple[str, ...]:
    """Those of somebody's groups that mean anything here; of the others nothing is kept."""
    meaningful = {read_mapping(line)[0] for line in settings.roles}
    return (
        tuple(sorted(meaningful & {group for group in told if isinstance(group, str)}))
        if isinstance(told, list)
        else ()
    )
