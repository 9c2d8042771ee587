"""How accounts, roles and keys come to be and end. Nothing is deleted: what ended says when."""

import re
from dataclasses import replace
from datetime import timedelta

from octavo.access.keys import NewKey, make_key
from octavo.access.roles import ROLES
from octavo.definitions.types import seconds
from octavo.errors import Conflict, InvalidDefinition, InvalidRequest, NotFound
from octavo.governance.access.accounts import AccessKey, Account, Grant
from octavo.governance.access.publication import count_change, now_utc
from octavo.operations import Context
from octavo.principals import PERSON, SERVICE, Principal, is_for_people
from octavo.stores.ports import Transaction

MOST_KEYS = 2
"""Live keys of one account: the one in use, and the one that takes its place."""

_LONGEST_S = 10 * 365 * 86_400
_NAME = re.compile(r"(user:)?[a-z0-9][a-z0-9._@-]{0,62}\Z")
_SCOPE = re.compile(r"[a-z_-]{1,40}:[a-z_-]{1,40}\Z")


def add_account(
    context: Context, name: str, *, kind: str = PERSON, owner: str = "", identity: str = "", local_user: str = ""
) -> Account:
    """Add a person or a service.

    Raises
    ------
    InvalidRequest
        If the name is none, or a service has no owner.
    NotFound
        If the owner is not known.
    Conflict
        If there is an account of that name.
    """
    if not _NAME.match(name):
        raise InvalidRequest(
            f"{name!r} cannot name an account", field="account", fix="use lower-case letters, digits and . _ @ -"
        )
    tx = context.transacted
    if kind == SERVICE:
        if not owner:
            raise InvalidRequest("a service needs an owner", field="owner", fix="name the person who answers for it")
        if find_account(tx, owner).account_kind != PERSON:
            raise InvalidRequest(f"{owner} is a service itself", field="owner", fix="name a person")
        if identity or local_user:
            raise InvalidRequest("a service does not log in", field="identity", fix="leave it out")
    elif owner:
        raise InvalidRequest("a person has no owner", field="owner", fix="leave it out")
    for other in tx.find(Account):
        if (identity and other.identity == identity) or (local_user and other.local_user == local_user):
            raise Conflict(f"{identity or local_user!r} is {other.name} already", account=other.name)
    if local_user and not local_user.startswith("user:"):
        raise InvalidRequest(f"{local_user!r} is no user of this machine", field="local_user", fix="send user:NAME")
    account = Account(
        name=name,
        account_kind=kind,
        owner=owner,
        identity=identity,
        local_user=local_user,
        made_at=now_utc(),
        made_by=context.principal.name,
    )
    tx.add(account)
    count_change(tx)
    return account


def set_disabled(context: Context, name: str, *, disabled: bool) -> Account:
    """Take no call of an account any more, or take them again; its sessions end, its keys are worthless meanwhile."""
    tx = context.transacted
    account = find_account(tx, name)
    if account.is_disabled == disabled:
        return account
    changed = replace(account, disabled_at=now_utc() if disabled else None)
    tx.replace(account, changed)
    count_change(tx)
    return changed


def grant(
    context: Context, account: str, role: str, *, about: str = "", thing: str = "", lasts: str | None = None
) -> Grant:
    """Give a role to an account, or give it anew with another end.

    Raises
    ------
    InvalidRequest
        If there is no such role, it is for people only and the account is none, or the thing is not declared.
    """
    if role not in ROLES:
        raise InvalidRequest(f"there is no role {role!r}", field="role", fix=f"send one of {', '.join(ROLES)}")
    tx = context.transacted
    holder, now = find_account(tx, account), now_utc()
    _check_thing(context, about, thing)
    if holder.account_kind == SERVICE and any(map(is_for_people, ROLES[role])):
        raise InvalidRequest(
            f"{holder.name} is a service, and services approve nothing", field="role", fix="grant it to a person"
        )
    given = Grant(
        account=holder.name,
        role=role,
        about=about,
        thing=thing,
        granted_at=now,
        granted_by=context.principal.name,
        until=None if lasts is None else now + duration(lasts, field="lasts"),
    )
    tx.put(given)
    count_change(tx)
    return given


def revoke(context: Context, account: str, role: str, *, about: str = "", thing: str = "") -> Grant:
    """Take a role back.

    Raises
    ------
    NotFound
        If it is not held.
    """
    tx = context.transacted
    wanted = f"{account} {role} {about}:{thing}"
    held = tx.get(Grant, wanted)
    if held is None or held.is_revoked:
        theirs = [
            f"{g.role} {g.about}:{g.thing}".rstrip(" :") for g in tx.find(Grant, account=account) if not g.is_revoked
        ]
        raise NotFound("role of that account", f"{role} {about}:{thing}".rstrip(" :"), theirs)
    ended = replace(held, revoked_at=now_utc())
    tx.replace(held, ended)
    count_change(tx)
    return ended


def create_key(
    context: Context, owner: Principal, *, scopes: tuple[str, ...] = (), lasts: str = "", note: str = ""
) -> tuple[AccessKey, NewKey]:
    """Make a key for an account.

    Parameters
    ----------
    owner : Principal
        What the account may.

    Raises
    ------
    InvalidRequest
        If a scope is none, or nothing that the account may.
    Conflict
        If the account has two live keys already.
    """
    tx, now = context.transacted, now_utc()
    account = find_account(tx, owner.subject)
    if account.is_disabled:
        raise Conflict(f"{account.name} is disabled; enable it first", account=account.name)
    for scope in scopes:
        _check_scope(scope, owner)
    live = [key for key in tx.find(AccessKey, account=account.name) if key.is_live(now)]
    if len(live) >= MOST_KEYS:
        raise Conflict(
            f"{account.name} has {len(live)} live keys already, {' and '.join(key.id for key in live)}; revoke one "
            "first: octavo access keys revoke ID",
            account=account.name,
        )
    made = make_key()
    key = AccessKey(
        id=made.id,
        account=account.name,
        secret_sha256=made.secret_sha256,
        note=note[:200],
        scopes=tuple(sorted(set(scopes))),
        made_at=now,
        made_by=context.principal.name,
        expires_at=now + duration(lasts or context.config.access.keys_last, field="lasts"),
    )
    tx.add(key)
    count_change(tx)
    return key, made


def end_key(context: Context, id_: str, *, after: timedelta | None = None) -> AccessKey:
    """Revoke a key now, or have it end a while from now, if it does not before."""
    tx, now = context.transacted, now_utc()
    key = find_key(tx, id_)
    if not key.is_live(now):
        raise Conflict(f"the key {id_} has ended already", key=id_)
    ended = replace(key, revoked_at=now) if after is None else replace(key, expires_at=min(key.expires_at, now + after))
    tx.replace(key, ended)
    count_change(tx)
    return ended


def find_account(tx: Transaction, name: str) -> Account:
    """The account; raises `NotFound`."""
    account = tx.get(Account, name)
    if account is None:
        raise NotFound("account", name, [known.name for known in tx.find(Account)])
    return account


def find_key(tx: Transaction, id_: str) -> AccessKey:
    """The key; raises `NotFound`."""
    key = tx.get(AccessKey, id_)
    if key is None:
        raise NotFound("key", id_, [known.id for known in tx.find(AccessKey)])
    return key


def duration(text: str, *, field: str) -> timedelta:
    """A while, such as ``90d``, of ten years at most; raises `InvalidRequest`."""
    try:
        return timedelta(seconds=min(seconds(text, what=field), _LONGEST_S))
    except InvalidDefinition as error:
        raise InvalidRequest(f"{text!r} is no while", field=field, fix="send such as 12h or 90d") from error


def _check_thing(context: Context, about: str, thing: str) -> None:
    project = context.project
    declared = {"": (), "model": tuple(project.models), "deployment": (*project.deployments, *project.composites)}
    if about and thing not in declared[about]:
        raise NotFound(about, thing, declared[about])


def _check_scope(scope: str, owner: Principal) -> None:
    if not _SCOPE.match(scope):
        raise InvalidRequest(
            f"{scope!r} is no permission",
            field="scopes",
            fix="send such as predictions:write; see: octavo access roles",
        )
    if owner.kind == SERVICE and is_for_people(scope):
        raise InvalidRequest(
            f"{owner.subject} is a service, and services approve nothing", field="scopes", fix="leave it out"
        )
    if not owner.may_somewhere(scope):
        raise InvalidRequest(
            f"{owner.subject} may not {scope} itself", field="scopes", fix="grant it a role with that permission first"
        )
