"""Metadata of every schema that was ever released, with data in them, brought up to date; what was before is kept."""

import sqlite3
import stat
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory

from octavo.errors import ConfigurationError
from octavo.stores import sql
from octavo.stores.chain import check_chain
from octavo.stores.sql import SqlMetadata, schema
from octavo.stores.sql.postgres import PostgresAddress
from octavo.stores.sql.postgres.connection import connect
from tests.integration.stores.test_postgres import Count
from tests.postgres import PostgresServer

_EVENTS = 3


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(sql.__file__).parent / "migrations"))
    return config


RELEASED = sorted(script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions())


@dataclass(frozen=True)
class Place:
    """Where metadata are, as the store and as SQL see them."""

    place: str | PostgresAddress
    engine: sa.Engine


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path}/m.db"
        found = Place(url, sa.create_engine(url))
    else:
        server: PostgresServer = request.getfixturevalue("postgres")
        address = server.address()
        make: Callable[[], Any] = lambda: connect(address, purpose="test")  # noqa: E731  passed on as a value
        found = Place(address, sa.create_engine("postgresql+psycopg://", creator=make, poolclass=sa.NullPool))
        with server.connect() as connection:
            connection.execute(f"CREATE SCHEMA {address.schema}".encode())
    yield found
    found.engine.dispose()


def leave(place: Place, version: str) -> None:
    """Leave metadata as a release of that schema did: two records, and some events."""
    config = _config()
    with place.engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, version)
        for name, value in (("a", 1), ("b", 2)):
            body = f'{{"name": "{name}", "value": {value}}}'
            connection.execute(
                sa.text(
                    "INSERT INTO records (kind, key, body, updated_at) VALUES ('count', :key, :body, CURRENT_TIMESTAMP)"
                ),
                {"key": name, "body": body},
            )
        if version < "0003":  # a trail without a chain
            for number in range(_EVENTS):
                connection.execute(
                    sa.text(
                        "INSERT INTO audit (at, actor, operation, target, outcome, detail) "
                        "VALUES ('2013-01-01T12:00:00Z', 'user:ada', :operation, '', 'done', '')"
                    ),
                    {"operation": f"op.{number}"},
                )


@pytest.mark.parametrize("version", RELEASED)
def test_what_each_release_left_is_brought_up_to_date_with_all_that_was_in_it(place: Place, version: str) -> None:
    leave(place, version)
    metadata = SqlMetadata(place.place)
    with metadata.transaction() as tx:
        assert tx.find(Count) == [Count(name="a", value=1), Count(name="b", value=2)]
        tx.add(Count(name="c", value=3))
        assert [count.name for count in tx.find(Count)] == ["a", "b", "c"], "what is added comes after what was"
        entries = tx.audit_entries()
    assert len(entries) == (_EVENTS if version < "0003" else 0)
    check_chain(entries)
    metadata.close()
    with place.engine.connect() as connection:
        assert connection.scalar(sa.text("SELECT version_num FROM alembic_version")) == schema.NEWEST


def test_before_a_migration_sqlite_is_copied_beside_itself(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "m.db"
    engine = sa.create_engine(f"sqlite:///{path}")
    leave(Place("", engine), "0001")
    engine.dispose()
    SqlMetadata(f"sqlite:///{path}").close()
    copy = tmp_path / "m.db.schema-0001"
    assert str(copy) in caplog.text
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    with closing(sqlite3.connect(copy)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert connection.execute("SELECT version_num FROM alembic_version").fetchone() == ("0001",)
        assert connection.execute("SELECT count(*) FROM records").fetchone() == (2,)
    SqlMetadata(f"sqlite:///{path}").close()
    assert sorted(found.name for found in tmp_path.iterdir() if "schema" in found.name) == ["m.db.schema-0001"]


def test_before_a_migration_the_postgres_schema_is_copied_and_an_older_release_can_be_pointed_at_it(
    postgres: PostgresServer,
) -> None:
    address = postgres.address()
    make: Callable[[], Any] = lambda: connect(address, purpose="test")  # noqa: E731  passed on as a value
    engine = sa.create_engine("postgresql+psycopg://", creator=make, poolclass=sa.NullPool)
    with postgres.connect() as connection:
        connection.execute(f"CREATE SCHEMA {address.schema}".encode())
        connection.execute(f"CREATE SCHEMA {address.schema}_schema_0001".encode())
    leave(Place(address, engine), "0001")
    SqlMetadata(address).close()
    copy = f"{address.schema}_schema_0001_2"
    with postgres.connect() as connection:
        connection.execute(f"SET search_path TO {copy}".encode())
        assert connection.execute("SELECT version_num FROM alembic_version").fetchone() == ("0001",)
        connection.execute("INSERT INTO records (kind, key, body, updated_at) VALUES ('count', 'c', '{}', now())")
        kept = connection.execute("SELECT key FROM records ORDER BY seq").fetchall()
    assert kept == [("a",), ("b",), ("c",)]


def test_a_migration_that_fails_leaves_what_was_and_says_where_its_copy_is(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave(place, "0001")

    def fail(config: Config, to: str) -> None:
        command_upgrade(config, "0002")
        raise OSError("the disk is full")

    command_upgrade = command.upgrade
    monkeypatch.setattr(command, "upgrade", fail)
    with pytest.raises(OSError, match="the disk is full"):
        SqlMetadata(place.place)
    monkeypatch.undo()
    with place.engine.connect() as connection:
        assert connection.scalar(sa.text("SELECT version_num FROM alembic_version")) == "0001"
    metadata = SqlMetadata(place.place)
    with metadata.transaction() as tx:
        assert len(tx.find(Count)) == 2
    metadata.close()


def test_a_newer_schema_is_refused_and_left_alone(place: Place) -> None:
    SqlMetadata(place.place).close()
    with place.engine.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(ConfigurationError, match="newer release of Octavo") as refused:
        SqlMetadata(place.place)
    assert refused.value.facts["schema"] == "9999"
    with place.engine.connect() as connection:
        assert connection.scalar(sa.text("SELECT version_num FROM alembic_version")) == "9999"
