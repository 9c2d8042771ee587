"""Who may what: people and services with their roles, their keys, and forms to change it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from octavo.access.document import Held
from octavo.console.formatting import plural
from octavo.console.rendering import render
from octavo.console.status import Status, healthy, unknown, watch
from octavo.console.visits import Page, Reply, Visit
from octavo.errors import OctavoError
from octavo.governance.access.requests import AccountSummary, KeySummary, MadeKey, Role
from octavo.principals import SERVICE

_HERE = "/access"


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountRow:
    """An account as the page shows it."""

    summary: AccountSummary
    status: Status
    note: str
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRow:
    """A key as the page shows it."""

    key: KeySummary
    status: Status


def access(visit: Visit, *, problem: str = "", status: int = 200, made: MadeKey | None = None) -> Reply:
    """Everybody, all keys, and what each role may."""
    accounts: tuple[AccountSummary, ...] = visit.call("access.accounts")
    keys: tuple[KeySummary, ...] = visit.call("access.keys")
    roles: tuple[Role, ...] = visit.call("access.roles")
    return render(
        visit,
        "access.html",
        status=status,
        title="Access",
        problem=problem,
        made=made,
        verdict=_verdict(accounts, keys),
        accounts=[_account(one) for one in accounts],
        keys=[KeyRow(key=key, status=_status_of(key)) for key in keys],
        roles=roles,
        held=_held,
        can_change=visit.principal.may("access:write"),
    )


def _form(name: str, *fields: str) -> Callable[[Visit], Reply]:
    """What answers a form: an operation is called with its fields, those of them that are filled in."""

    def answer(visit: Visit) -> Reply:
        given = {**visit.form, **visit.parameters}
        asked: dict[str, Any] = {field: given[field].strip() for field in fields if given.get(field, "").strip()}
        if "scopes" in asked:
            asked["scopes"] = asked["scopes"].split()
        try:
            found = visit.call(name, **asked)
        except OctavoError as error:
            return access(visit, problem=error.message, status=409)
        return access(visit, made=found) if isinstance(found, MadeKey) else Reply(location=_HERE)

    return answer


def _account(one: AccountSummary) -> AccountRow:
    if one.account.is_disabled:
        status = unknown("disabled")
    elif one.owner_is_disabled:
        status = watch("owner disabled")
    else:
        status = healthy("may call") if one.roles else unknown("no role")
    note = f"service of {one.account.owner}" if one.account.account_kind == SERVICE else "person"
    return AccountRow(summary=one, status=status, note=note, path=quote(one.account.name, safe=""))


def _status_of(key: KeySummary) -> Status:
    if key.revoked_at is not None:
        return unknown("revoked")
    return healthy("live") if key.live else unknown("expired")


def _held(held: Held) -> str:
    return held.role if not held.about else f"{held.role} of the {held.about} {held.name}"


def _verdict(accounts: tuple[AccountSummary, ...], keys: tuple[KeySummary, ...]) -> tuple[Status, str]:
    live = sum(key.live for key in keys)
    if not accounts:
        return unknown("nobody yet"), "Only tokens of this machine are let in."
    left = [one.account.name for one in accounts if one.owner_is_disabled and not one.account.is_disabled]
    if left:
        return watch("to be looked at"), f"The owner of {', '.join(left)} is disabled, and it may call still."
    return healthy("in order"), f"{plural(len(accounts), 'account')}, {plural(live, 'live key')}."


PAGES = (
    Page(path=_HERE, permission="access:read", show=access),
    *(
        Page(path=f"{_HERE}/{path}", permission="access:write", show=_form(name, *fields), method="POST")
        for path, name, fields in (
            ("add", "access.add", ("account", "kind", "owner", "identity")),
            ("grant", "access.grant", ("account", "role", "model", "deployment", "lasts")),
            ("revoke", "access.revoke", ("account", "role", "model", "deployment")),
            ("accounts/{account}/disable", "access.disable", ("account",)),
            ("accounts/{account}/enable", "access.enable", ("account",)),
            ("keys/create", "access.create_key", ("account", "scopes", "lasts", "note")),
            ("keys/{key}/revoke", "access.revoke_key", ("key",)),
        )
    ),
)
