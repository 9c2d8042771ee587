"""Metadata in SQLite, with other processes and their deaths."""

import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from octavo.errors import ConfigurationError, Unavailable
from octavo.stores.sql import SqlMetadata, schema
from tests.integration.stores.processes import python


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    kind: ClassVar[str] = "count"

    name: str
    value: int

    @property
    def key(self) -> str:
        return self.name


PRELUDE = """
import sys
from tests.integration.stores.test_sqlite import Count
from octavo.stores.sql import SqlMetadata
metadata = SqlMetadata("sqlite:///" + sys.argv[1])
"""
COUNT_TWO_TOGETHER = (
    PRELUDE
    + """
for value in range(10**9):
    with metadata.transaction() as tx:
        tx.put(Count(name="a", value=value))
        tx.put(Count(name="b", value=value))
    print(value, flush=True)
"""
)
STOP_INSIDE = (
    PRELUDE
    + """
with metadata.transaction() as tx:
    tx.put(Count(name="a", value=1))
    print("inside", flush=True)
    sys.stdin.readline()
"""
)
ADD_ONE = (
    PRELUDE
    + """
for _ in range(50):
    with metadata.transaction() as tx:
        tx.put(Count(name="a", value=tx.get(Count, "a").value + 1))
"""
)
OPEN = (
    PRELUDE
    + """
print("opened")
"""
)


def counts(path: Path) -> dict[str, int]:
    metadata = SqlMetadata(f"sqlite:///{path}")
    with metadata.transaction() as tx:
        found = {count.name: count.value for count in tx.find(Count)}
    metadata.close()
    return found


@pytest.mark.parametrize("after", [1, 30, 200])
def test_transactions_are_whole_after_kill_9(tmp_path: Path, after: int) -> None:
    with python(COUNT_TWO_TOGETHER, tmp_path / "m.db") as child:
        acknowledged = [child.line() for _ in range(after)] + child.kill()
    found = counts(tmp_path / "m.db")
    assert found["a"] == found["b"] >= int(acknowledged[-1])


def test_a_process_killed_within_its_transaction_leaves_nothing_and_blocks_nobody(tmp_path: Path) -> None:
    with python(STOP_INSIDE, tmp_path / "m.db") as child:
        assert child.line() == "inside"
        child.kill()
    assert counts(tmp_path / "m.db") == {}


def test_a_store_that_stays_locked_is_unavailable(tmp_path: Path) -> None:
    metadata = SqlMetadata(f"sqlite:///{tmp_path}/m.db", busy_timeout_s=0.05)
    with python(STOP_INSIDE, tmp_path / "m.db") as child:
        assert child.line() == "inside"
        with pytest.raises(Unavailable, match="database is locked"), metadata.transaction():
            pass
        child.go_on()
        child.finish()
    assert counts(tmp_path / "m.db") == {"a": 1}


def test_processes_take_turns_so_that_no_update_is_lost(tmp_path: Path) -> None:
    with SqlMetadata(f"sqlite:///{tmp_path}/m.db").transaction() as tx:
        tx.put(Count(name="a", value=0))
    with python(ADD_ONE, tmp_path / "m.db") as one, python(ADD_ONE, tmp_path / "m.db") as two:
        one.finish()
        two.finish()
    assert counts(tmp_path / "m.db") == {"a": 100}


def test_processes_may_make_the_store_at_once(tmp_path: Path) -> None:
    path = tmp_path / "new" / "m.db"
    with python(OPEN, path) as a, python(OPEN, path) as b, python(OPEN, path) as c:
        assert [child.finish() for child in (a, b, c)] == [["opened"]] * 3


def test_the_migrations_lead_to_the_tables_that_the_code_expects(tmp_path: Path) -> None:
    SqlMetadata(f"sqlite:///{tmp_path}/m.db").close()
    engine = sa.create_engine(f"sqlite:///{tmp_path}/m.db")
    with engine.connect() as connection:
        context = MigrationContext.configure(connection)
        differences = compare_metadata(context, schema.tables)
        assert (context.get_current_revision(), differences) == (schema.NEWEST, [])
    engine.dispose()


def test_metadata_of_a_newer_release_is_refused_and_left_alone(tmp_path: Path) -> None:
    SqlMetadata(f"sqlite:///{tmp_path}/m.db").close()
    with sqlite3.connect(tmp_path / "m.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    with pytest.raises(ConfigurationError, match="newer release of Octavo"):
        SqlMetadata(f"sqlite:///{tmp_path}/m.db")


def test_a_file_that_is_no_database_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "m.db").write_bytes(b"not a database at all, but long enough to be looked at " * 100)
    with pytest.raises(Unavailable, match="not a database"):
        SqlMetadata(f"sqlite:///{tmp_path}/m.db")
