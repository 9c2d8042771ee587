"""People and services who may call the showroom's project."""

from datetime import UTC, datetime, timedelta

from octavo.governance.access.accounts import AccessKey, Account, Grant
from octavo.principals import SERVICE

_AT = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)


def admitted(text: str) -> list[Account | Grant | AccessKey]:
    """A person with two roles, one who has left, their service, and its keys."""
    return [
        Account(name="ada", made_at=_AT, made_by=text, logged_in_at=_AT),
        Account(name="bob", made_at=_AT, made_by="ada", disabled_at=_AT),
        Account(name="ci", account_kind=SERVICE, owner="bob", made_at=_AT, made_by="ada"),
        Grant(account="ada", role="viewer", granted_at=_AT, granted_by="ada"),
        Grant(
            account="ada",
            role="approver",
            about="model",
            thing="arrival_delay",
            granted_at=_AT,
            granted_by="ada",
            until=_AT + timedelta(days=100_000),
        ),
        Grant(account="ci", role="caller", granted_at=_AT, granted_by="ada"),
        *(
            AccessKey(
                id=id_,
                account="ci",
                secret_sha256="0" * 64,
                note=text,
                scopes=("events:write",),
                made_at=_AT,
                made_by=text,
                expires_at=_AT + lasts,
                revoked_at=revoked_at,
            )
            for id_, lasts, revoked_at in (
                ("liveliveli", timedelta(days=100_000), None),
                ("expiredexp", timedelta(seconds=1), None),
                ("revokedrev", timedelta(days=100_000), _AT),
            )
        ),
    ]
