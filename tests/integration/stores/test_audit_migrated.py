"""Audit trails of before there was a chain, migrated; and SQL's own ways to lose entries."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from octavo.errors import IntegrityError
from octavo.stores import sql
from octavo.stores.chain import AuditEvent, check_chain
from octavo.stores.sql import SqlMetadata

NOON = datetime(2013, 1, 1, 12, 0, tzinfo=UTC)


def old_database(url: str, rows: list[dict[str, object]]) -> None:
    """A database as the first release left it."""
    config = Config()
    config.set_main_option("script_location", str(Path(sql.__file__).parent / "migrations"))
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        for row in rows:
            names = ", ".join(row)
            connection.execute(sa.text(f"INSERT INTO audit ({names}) VALUES ({', '.join(f':{n}' for n in row)})"), row)
    engine.dispose()


def old_row(seq: int, at: str, **fields: str) -> dict[str, object]:
    row = {"actor": "user:ada", "operation": f"op.{seq}", "target": "", "outcome": "done", "detail": ""}
    return {"seq": seq, "at": at, **row, **fields}


def test_events_of_before_are_chained_as_they_stand(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/m.db"
    gaps = [
        old_row(1, "2013-01-01T12:00:00Z", detail="Ä"),
        old_row(4, "2013-01-01T12:00:00.5Z"),
        old_row(9, "2013-01-02T00:00:00+02:00", target="model=x"),
    ]
    old_database(url, gaps)
    metadata = SqlMetadata(url)
    with metadata.transaction() as tx:
        tx.append_audit(AuditEvent(at=NOON, actor="a", operation="op.new", target="", outcome="done"))
        entries, head = tx.audit_entries(), tx.audit_head()
    assert [(e.sequence, e.event.operation) for e in entries] == [(1, "op.1"), (2, "op.4"), (3, "op.9"), (4, "op.new")]
    assert entries[1].event.at == datetime(2013, 1, 1, 12, 0, 0, 500_000, tzinfo=UTC)
    assert check_chain(entries) == head
    metadata.close()


def test_an_empty_trail_of_before_begins_its_chain_with_the_next_event(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/m.db"
    old_database(url, [])
    metadata = SqlMetadata(url)
    with metadata.transaction() as tx:
        tx.append_audit(AuditEvent(at=NOON, actor="a", operation="b", target="", outcome="done"))
        assert check_chain(tx.audit_entries()) == tx.audit_head()
    metadata.close()


@pytest.mark.parametrize(
    ("damage", "finds"),
    [
        ("UPDATE audit SET actor = 'eve' WHERE seq = 2", "entry 2 is not what was written"),
        ("UPDATE audit SET at = 'once upon a time' WHERE seq = 2", "entry 2 is not what was written"),
        ("DELETE FROM audit WHERE seq = 2", "entry 2 is missing"),
        ("UPDATE audit SET seq = 7 WHERE seq = 3", "entries 3 to 6 are missing"),
    ],
)
def test_what_is_changed_in_the_database_is_found(tmp_path: Path, damage: str, finds: str) -> None:
    metadata = SqlMetadata(f"sqlite:///{tmp_path}/m.db")
    with metadata.transaction() as tx:
        for name in "abc":
            tx.append_audit(AuditEvent(at=NOON, actor="ada", operation=name, target="", outcome="done"))
    engine = sa.create_engine(f"sqlite:///{tmp_path}/m.db")
    with engine.begin() as connection:
        connection.execute(sa.text(damage))
    engine.dispose()
    with metadata.transaction() as tx, pytest.raises(IntegrityError, match=finds):
        check_chain(tx.audit_entries())
    metadata.close()
