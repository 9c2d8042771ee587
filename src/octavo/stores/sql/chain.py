"""The audit chain in a SQL database.

Where it ends stands in a row of its own. Whoever appends locks that row until the end of the transaction, so that no
two take the same place; that entries were cut off at the end shows by it, too.
"""

from collections.abc import Sequence

import sqlalchemy as sa

from octavo.errors import IntegrityError
from octavo.stores.chain import (
    TEXTS,
    AuditEntry,
    AuditEvent,
    AuditFilter,
    AuditHead,
    entry_of,
    head_at,
    link,
    moment_text,
    row_of,
)
from octavo.stores.sql.schema import audit, audit_head

_COLUMNS = [audit.c[name] for name in ("seq", "at", *TEXTS, "previous", "digest")]
_HEAD = sa.select(audit_head.c.sequence, audit_head.c.digest)
_LOCKED_HEAD = _HEAD.with_for_update()
_ADD, _MOVE = sa.insert(audit), sa.update(audit_head)


def append(connection: sa.Connection, events: Sequence[AuditEvent]) -> None:
    """Append events, in their order, in the connection's transaction."""
    head = read_head(connection, for_update=True)
    entries = []
    for event in events:
        entries.append(link(event, head))
        head = head_at(entries[-1])
    connection.execute(_ADD, [row_of(entry) for entry in entries])
    connection.execute(_MOVE, {"sequence": head.sequence, "digest": head.digest})


def read_head(connection: sa.Connection, *, for_update: bool = False) -> AuditHead:
    """How far the chain goes.

    Raises
    ------
    IntegrityError
        If that was removed.
    """
    row = connection.execute(_LOCKED_HEAD if for_update else _HEAD).one_or_none()
    if row is None:
        raise IntegrityError("audit chain: where it ends was removed from the metadata; restore them from a backup")
    return AuditHead(sequence=row.sequence, digest=row.digest)


def read_entries(connection: sa.Connection, *, after: int, limit: int) -> list[AuditEntry]:
    """See `AuditTrail.audit_entries`."""
    query = sa.select(*_COLUMNS).where(audit.c.seq > after).order_by(audit.c.seq).limit(limit)
    return [entry_of(row._asdict()) for row in connection.execute(query)]


def read_events(connection: sa.Connection, *, newest_first: bool, limit: int, only: AuditFilter) -> list[AuditEvent]:
    """See `AuditTrail.audit`."""
    order = audit.c.seq.desc() if newest_first else audit.c.seq
    query = sa.select(*_COLUMNS).where(*_conditions(only)).order_by(order).limit(limit)
    return [entry_of(row._asdict()).event for row in connection.execute(query)]


def _conditions(only: AuditFilter) -> list[sa.ColumnElement[bool]]:
    """What `AuditFilter.takes` says; without LIKE, for which capital letters are not the same everywhere."""
    wanted: list[sa.ColumnElement[bool]] = []
    if only.actor:
        wanted.append(sa.or_(audit.c.actor == only.actor, audit.c.subject == only.actor))
    if only.is_prefix:
        wanted.append(sa.func.substr(audit.c.operation, 1, len(only.operation)) == only.operation)
    elif only.operation:
        wanted.append(audit.c.operation == only.operation)
    if only.target:
        wanted.append(sa.func.replace(audit.c.target, only.target, "") != audit.c.target)
    if only.outcome:
        wanted.append(audit.c.outcome == only.outcome)
    if only.since is not None:
        wanted.append(audit.c.at >= moment_text(only.since))
    if only.until is not None:
        wanted.append(audit.c.at < moment_text(only.until))
    return wanted
