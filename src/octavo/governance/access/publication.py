"""From what the records say of access to what processes apply: the signed access document.

As with other documents the records are the truth: a change counts in its transaction, and whoever finds the document
behind publishes the current one.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime

import msgspec

from octavo.access.document import DOCUMENT, PURPOSE, AccessDocument, Held, KnownAccount, KnownKey, principal_of
from octavo.access.users import local_user
from octavo.clock import to_micros
from octavo.errors import OctavoError
from octavo.governance.access.accounts import AccessKey, AccessState, Account, Grant
from octavo.governance.access.groups import roles_of_groups
from octavo.operations import Context
from octavo.principals import PERSON, Principal
from octavo.release.documents import publish, published_number
from octavo.release.manifests import SignedManifest
from octavo.stores.ports import Artifacts, Transaction


def now_utc() -> datetime:
    """The time by which keys and roles begin and end: the system's, also while a replay's clock stands elsewhere."""
    return datetime.now(UTC)


def count_change(tx: Transaction) -> None:
    """Have a change of this transaction published.

    Raises
    ------
    Conflict
        If another process changes something at the same time; repeat it.
    """
    state = _state(tx)
    tx.replace(state, AccessState(sequence=state.sequence + 1))


def publish_access(context: Context) -> None:
    """Publish what the records say, unless it is published already."""
    artifacts = context.stores.artifacts
    with context.transaction() as tx:
        # Inside the transaction, so that of two processes that publish the later state wins.
        state = _state(tx)
        published = _published(artifacts)
        document = document_of(tx, context, sequence=state.sequence)
        if (published is None and not document.accounts) or (published is not None and _same(published, document)):
            return
        before = published_number(artifacts, DOCUMENT)
        if state.sequence <= before:  # records that were restored from a backup, or other roles of groups
            now = AccessState(sequence=before + 1)
            tx.replace(state, now)
            document = document_of(tx, context, sequence=now.sequence)
        publish(context, document, name=DOCUMENT, purpose=PURPOSE)


def document_of(tx: Transaction, context: Context, *, sequence: int) -> AccessDocument:
    """What the records say now."""
    now = now_utc()
    grants = [grant for grant in tx.find(Grant) if not grant.is_revoked]
    accounts = [account for account in tx.find(Account) if not account.is_disabled]
    return AccessDocument(
        project=context.project.name,
        sequence=sequence,
        accounts=tuple(
            KnownAccount(
                name=account.name,
                kind=account.account_kind,
                local_user=account.local_user,
                roles=tuple(_roles(account, grants, mapped=context.config.oidc.roles)),
            )
            for account in accounts
        ),
        keys=tuple(
            KnownKey(
                id=key.id,
                account=key.account,
                secret_sha256=key.secret_sha256,
                scopes=key.scopes,
                expires_at_us=to_micros(key.expires_at),
            )
            for key in tx.find(AccessKey)
            if key.is_live(now)
        ),
    )


def local_principal(context: Context) -> Principal:
    """As whom commands and programs on this machine act that open the project's files themselves."""
    name = local_user()
    with context.transaction() as tx:
        account = next(iter(tx.find(Account, local_user=name)), None)
    subject = name if account is None else account.name
    if context.config.access.local == "granted":
        return replace(principal_in_records(context, subject), name=name)
    return Principal(name=name, permissions=frozenset({"*"}), subject=subject)


def principal_in_records(context: Context, name: str) -> Principal:
    """What an account may now, by the records; nothing if there is none of that name, or it is disabled."""
    now_us = to_micros(now_utc())
    with context.transaction() as tx:
        known = {account.name: account for account in document_of(tx, context, sequence=0).accounts}
        made = tx.get(Account, name)
    if name in known:
        return principal_of(known[name], now_us=now_us)
    return Principal(name=name, permissions=frozenset(), kind=PERSON if made is None else made.account_kind)


def _roles(account: Account, grants: Sequence[Grant], *, mapped: Sequence[str]) -> Iterator[Held]:
    for grant in grants:
        if grant.account == account.name:
            until_us = None if grant.until is None else to_micros(grant.until)
            yield Held(role=grant.role, about=grant.about, name=grant.thing, until_us=until_us)
    yield from roles_of_groups(account.groups, mapped)


def _state(tx: Transaction) -> AccessState:
    state = tx.get(AccessState, AccessState().key)
    if state is None:
        state = AccessState()
        tx.add(state)
    return state


def _published(artifacts: Artifacts) -> AccessDocument | None:
    document = artifacts.published(DOCUMENT)
    if document is None:
        return None
    try:
        return msgspec.json.decode(msgspec.json.decode(document, type=SignedManifest).payload, type=AccessDocument)
    except (msgspec.DecodeError, OctavoError):
        return None


def _same(published: AccessDocument, document: AccessDocument) -> bool:
    """Whether a published document says what the records say, and under their number or a later one."""
    said = (published.project, published.accounts, published.keys)
    return said == (document.project, document.accounts, document.keys) and published.sequence >= document.sequence
