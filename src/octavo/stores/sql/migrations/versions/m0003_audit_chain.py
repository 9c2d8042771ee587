"""The audit trail becomes a chain; what was in it before is chained as it stands."""

import hashlib
from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_ADDED = ("subject", "request", "trace", "previous", "digest")
_TEXTS = ("actor", "detail", "operation", "outcome", "target")
_PAGE = 10_000


def upgrade() -> None:
    with op.batch_alter_table("audit") as batch:
        for name in _ADDED:
            batch.add_column(sa.Column(name, sa.Text, nullable=False, server_default=""))
    head = op.create_table(
        "audit_head",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("sequence", sa.BigInteger, nullable=False),
        sa.Column("digest", sa.Text, nullable=False),
    )
    sequence, digest = _chain(op.get_bind())
    op.bulk_insert(head, [{"id": 1, "sequence": sequence, "digest": digest}])


def _chain(connection: sa.Connection) -> tuple[int, str]:
    """Give each event its place and its digest, which closes the gaps that withdrawn transactions may have left."""
    audit = sa.table("audit", sa.column("seq"), sa.column("at"), *map(sa.column, (*_TEXTS, "previous", "digest")))
    read, sequence, digest = 0, 0, "0" * 64
    change = sa.update(audit).where(audit.c.seq == sa.bindparam("old"))
    page = sa.select(audit).order_by(audit.c.seq).limit(_PAGE)
    while rows := connection.execute(page.where(audit.c.seq > read)).all():
        changes = []
        for row in rows:
            sequence, previous = sequence + 1, digest
            at = datetime.fromisoformat(row.at).astimezone(UTC).isoformat(timespec="microseconds")
            digest = _digest(row._asdict(), at=at, sequence=sequence, previous=previous)
            changes.append({"old": row.seq, "to": sequence, "when": at, "before": previous, "own": digest})
        values = {"seq": "to", "at": "when", "previous": "before", "digest": "own"}
        connection.execute(change.values({name: sa.bindparam(given) for name, given in values.items()}), changes)
        read = rows[-1].seq
    return sequence, digest


def _digest(row: dict[str, str], *, at: str, sequence: int, previous: str) -> str:
    parts = ["octavo/audit-event/v1", str(sequence), previous, "at", at]
    for name in _TEXTS:
        if row[name]:
            parts += [name, row[name]]
    encoded = [part.encode("utf-8", "replace") for part in parts]
    return hashlib.sha256(b"".join(b"%d:%s," % (len(data), data) for data in encoded)).hexdigest()
