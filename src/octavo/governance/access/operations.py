"""What can be asked and changed about who may what."""

from dataclasses import replace
from typing import TypeVar

from octavo.access import Token, project_access
from octavo.access.document import Held
from octavo.access.roles import ROLES, SUMMARIES
from octavo.belonging import About
from octavo.clock import to_micros
from octavo.errors import InvalidRequest, NotAllowed
from octavo.governance.access import changes
from octavo.governance.access.accounts import AccessKey, Account, Grant
from octavo.governance.access.explaining import Explanation, explain
from octavo.governance.access.publication import document_of, now_utc, principal_in_records, publish_access
from octavo.governance.access.requests import (
    AccountSummary,
    AddAccount,
    CreateKey,
    DisableAccount,
    EnableAccount,
    ExplainAccess,
    GrantRole,
    KeySummary,
    ListAccounts,
    ListKeys,
    ListRoles,
    MadeKey,
    RevokeKey,
    RevokeRole,
    Role,
    RotateKey,
    WhoAmI,
    Whoami,
)
from octavo.operations import Context, Operations
from octavo.principals import PERSON, SELF, SERVICE

operations = Operations()
A = TypeVar("A")


@operations.operation("access.accounts", request=ListAccounts, permission="access:read")
def list_accounts(request: ListAccounts, context: Context) -> tuple[AccountSummary, ...]:
    """List people and services, with their roles."""
    tx, now = context.transacted, now_utc()
    held = {known.name: known.roles for known in document_of(tx, context, sequence=0).accounts}
    accounts = tx.find(Account)
    disabled = {account.name for account in accounts if account.is_disabled}
    keys = [key for key in tx.find(AccessKey) if key.is_live(now)]
    return tuple(
        AccountSummary(
            account=account,
            roles=_now(held.get(account.name, ()), to_micros(now)),
            keys=sum(key.account == account.name for key in keys),
            owner_is_disabled=account.owner in disabled,
        )
        for account in accounts
    )


@operations.operation("access.add", request=AddAccount, permission="access:write", changes=True)
def add(request: AddAccount, context: Context) -> Account:
    """Add a person or a service."""
    if request.kind not in (PERSON, SERVICE):
        raise InvalidRequest(f"{request.kind!r} is no kind", field="kind", fix=f"send {PERSON} or {SERVICE}")
    return _published(
        context,
        changes.add_account(
            context,
            request.account,
            kind=request.kind,
            owner=request.owner,
            identity=request.identity,
            local_user=request.local_user,
        ),
    )


@operations.operation("access.disable", request=DisableAccount, permission="access:write", changes=True)
def disable(request: DisableAccount, context: Context) -> Account:
    """Take no call of an account any more, and end its sessions."""
    return _published(context, changes.set_disabled(context, request.account, disabled=True))


@operations.operation("access.enable", request=EnableAccount, permission="access:write", changes=True)
def enable(request: EnableAccount, context: Context) -> Account:
    """Take calls of an account again."""
    return _published(context, changes.set_disabled(context, request.account, disabled=False))


@operations.operation("access.grant", request=GrantRole, permission="access:write", changes=True)
def grant(request: GrantRole, context: Context) -> Grant:
    """Give somebody a role."""
    about, thing = _thing(request.model, request.deployment)
    return _published(
        context, changes.grant(context, request.account, request.role, about=about, thing=thing, lasts=request.lasts)
    )


@operations.operation("access.revoke", request=RevokeRole, permission="access:write", changes=True)
def revoke(request: RevokeRole, context: Context) -> Grant:
    """Take a role back."""
    about, thing = _thing(request.model, request.deployment)
    return _published(context, changes.revoke(context, request.account, request.role, about=about, thing=thing))


@operations.operation("access.keys", request=ListKeys, permission="access:read")
def list_keys(request: ListKeys, context: Context) -> tuple[KeySummary, ...]:
    """List keys, the newest first, and tokens of this machine."""
    keys = [_summary(key) for key in context.transacted.find(AccessKey, newest_first=True)]
    tokens = [_summary_of_token(token) for token in project_access(context.config.home).tokens()]
    return tuple(key for key in [*keys, *tokens] if request.account in (None, key.account))


@operations.operation("access.create_key", request=CreateKey, permission="access:write", changes=True)
def create_key(request: CreateKey, context: Context) -> MadeKey:
    """Make a key for an account; it is told this once."""
    changes.find_account(context.transacted, request.account)
    owner = principal_in_records(context, request.account)
    key, made = changes.create_key(context, owner, scopes=request.scopes, lasts=request.lasts, note=request.note)
    return _published(context, MadeKey(text=made.text, key=_summary(key)))


@operations.operation("access.revoke_key", request=RevokeKey, permission="access:write", changes=True)
def revoke_key(request: RevokeKey, context: Context) -> KeySummary:
    """End a key, or a token of this machine, now."""
    tokens = project_access(context.config.home)
    found = next((token for token in tokens.tokens() if token.id == request.key), None)
    if found is not None:
        tokens.revoke(found.id)
        return replace(_summary_of_token(found), live=False)
    return _published(context, _summary(changes.end_key(context, request.key)))


@operations.operation("access.rotate_key", request=RotateKey, permission="access:write", changes=True)
def rotate_key(request: RotateKey, context: Context) -> MadeKey:
    """Make a key in another's place, which ends a while later."""
    old = changes.end_key(context, request.key, after=changes.duration(request.overlap, field="overlap"))
    owner = principal_in_records(context, old.account)
    key, made = changes.create_key(context, owner, scopes=old.scopes, note=old.note)
    return _published(context, MadeKey(text=made.text, key=_summary(key)))


@operations.operation("access.roles", request=ListRoles, permission=SELF)
def list_roles(request: ListRoles, context: Context) -> tuple[Role, ...]:
    """List the roles, and what each may."""
    return tuple(Role(name=n, summary=SUMMARIES[n], permissions=tuple(sorted(held))) for n, held in ROLES.items())


@operations.operation("access.whoami", request=WhoAmI, permission=SELF)
def whoami(request: WhoAmI, context: Context) -> Whoami:
    """Show who one is here, and what one may."""
    me = context.principal
    return Whoami(
        name=me.name,
        subject=me.subject,
        kind=me.kind,
        permissions=tuple(sorted(me.permissions)),
        limited=me.limited,
    )


@operations.operation("access.explain", request=ExplainAccess, permission=SELF)
def explain_access(request: ExplainAccess, context: Context) -> Explanation:
    """Explain why somebody may do something, or not."""
    about, thing = _thing(request.model, request.deployment)
    principal = context.principal
    if request.account is not None and request.account != principal.subject:
        if not principal.may("access:read"):
            raise NotAllowed(
                f"{principal.name} may not ask what others may: it needs the permission 'access:read'",
                permission="access:read",
            )
        principal = principal_in_records(context, request.account)
    permission = _permission_of(request.what, context)
    return explain(principal, permission, _about(about, thing, context), named=f"the {about} {thing}" if about else "")


def _published(context: Context, answer: A) -> A:
    context.afterwards(publish_access)
    return answer


def _thing(model: str | None, deployment: str | None) -> tuple[str, str]:
    if model and deployment:
        raise InvalidRequest("it is about a model or about a deployment", field="deployment", fix="send one of the two")
    return ("model", model) if model else ("deployment", deployment) if deployment else ("", "")


def _about(about: str, thing: str, context: Context) -> About:
    if about == "deployment" and thing in context.project.deployments:
        return {"deployment": thing, "model": context.project.deployments[thing].model.name}
    return {about: thing} if about else {}


def _permission_of(what: str, context: Context) -> str:
    return what if ":" in what else context.operations[what].permission


def _now(roles: tuple[Held, ...], now_us: int) -> tuple[Held, ...]:
    return tuple(held for held in roles if held.until_us is None or held.until_us > now_us)


def _summary_of_token(token: Token) -> KeySummary:
    return KeySummary(
        id=token.id,
        account=token.subject or token.name,
        scopes=token.permissions,
        note=f"token of this machine, {token.name}",
        live=True,
    )


def _summary(key: AccessKey) -> KeySummary:
    return KeySummary(
        id=key.id,
        account=key.account,
        scopes=key.scopes,
        note=key.note,
        made_at=key.made_at,
        made_by=key.made_by,
        expires_at=key.expires_at,
        revoked_at=key.revoked_at,
        used_at=key.used_at,
        live=key.is_live(now_utc()),
    )
