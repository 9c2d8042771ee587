"""Metadata in a real PostgreSQL, with other processes, their deaths, and the server's."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from octavo.errors import ConfigurationError, Conflict, InvalidRequest, MissingExtra, Unavailable
from octavo.stores.chain import AuditEvent, check_chain
from octavo.stores.sql import SqlMetadata, schema
from octavo.stores.sql.postgres import PostgresAddress, connection
from octavo.stores.sql.postgres.connection import address_parameters, connect
from tests.integration.stores.processes import python
from tests.integration.stores.test_audit_migrated import NOON
from tests.postgres import PostgresServer, running_postgres
from tests.servers import Relay, free_port


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
from pathlib import Path
from tests.integration.stores.test_postgres import Count
from octavo.stores.sql import SqlMetadata
from octavo.stores.sql.postgres import PostgresAddress, connection
connection.IDLE_IN_TRANSACTION_S = 1.0
metadata = SqlMetadata(PostgresAddress.parse(sys.argv[1], root=Path("/")))
"""
ADD_ONE = (
    PRELUDE
    + """
for _ in range(50):
    with metadata.transaction() as tx:
        tx.put(Count(name="a", value=tx.get(Count, "a").value + 1))
"""
)
STOP_INSIDE = (
    PRELUDE
    + """
with metadata.transaction() as tx:
    tx.put(Count(name="a", value=-1))
    print("inside", flush=True)
    sys.stdin.readline()
"""
)
OPEN = PRELUDE + "print('opened')"


@pytest.fixture
def address(postgres: PostgresServer) -> PostgresAddress:
    return postgres.address()


@pytest.fixture
def metadata(address: PostgresAddress) -> Iterator[SqlMetadata]:
    store = SqlMetadata(address)
    with store.transaction() as tx:
        tx.put(Count(name="a", value=0))
    yield store
    store.close()


def value_of(metadata: SqlMetadata) -> int:
    with metadata.transaction() as tx:
        found = tx.get(Count, "a")
    assert found is not None
    return found.value


def at_once(number: int, work: Callable[[int], None]) -> None:
    together = threading.Barrier(number)

    def run(place: int) -> None:
        together.wait()
        work(place)

    threads = [threading.Thread(target=run, args=(place,)) for place in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_of_fifty_promotions_at_once_one_wins_and_the_others_are_told_of_the_conflict(metadata: SqlMetadata) -> None:
    before, outcomes = Count(name="a", value=0), []

    def promote(place: int) -> None:
        try:
            with metadata.transaction() as tx:
                tx.replace(before, replace(before, value=place + 1))
                tx.append_audit(event(f"promoted {place + 1}"))
        except Conflict:
            outcomes.append("conflict")
        else:
            outcomes.append("won")

    at_once(50, promote)
    with metadata.transaction() as tx:
        [audited] = tx.audit()
    assert sorted(outcomes) == ["conflict"] * 49 + ["won"]
    assert audited.operation == f"promoted {value_of(metadata)}"


def test_the_order_of_the_audit_trail_is_that_of_the_states(metadata: SqlMetadata) -> None:
    def number(place: int) -> None:
        for _ in range(5):
            with metadata.transaction() as tx:
                newest = tx.find(Count, newest_first=True, limit=1)[0].value
                tx.add(Count(name=f"version {newest + 1}", value=newest + 1))
                tx.append_audit(event(str(newest + 1)))

    at_once(10, number)
    with metadata.transaction() as tx:
        entries, made = tx.audit_entries(), tx.find(Count)
    assert [entry.event.operation for entry in entries] == [str(n) for n in range(1, 51)]
    assert [count.value for count in made] == list(range(51)), "no number is given twice, none is left out"
    check_chain(entries)


def test_processes_take_turns_so_that_no_update_is_lost(
    postgres: PostgresServer, address: PostgresAddress, metadata: SqlMetadata
) -> None:
    url = postgres.url(address)
    with python(ADD_ONE, url) as one, python(ADD_ONE, url) as two:
        one.finish()
        two.finish()
    assert value_of(metadata) == 100


def test_processes_may_make_the_store_at_once(postgres: PostgresServer, address: PostgresAddress) -> None:
    url = postgres.url(address)
    with python(OPEN, url) as a, python(OPEN, url) as b, python(OPEN, url) as c:
        assert [child.finish() for child in (a, b, c)] == [["opened"]] * 3


def test_projects_that_share_a_database_do_not_see_each_other(postgres: PostgresServer, metadata: SqlMetadata) -> None:
    other = SqlMetadata(postgres.address())
    with other.transaction() as tx:
        assert tx.find(Count) == []
        assert value_of(metadata) == 0, "nor wait for each other"
    other.close()


def test_a_process_killed_within_its_transaction_leaves_nothing_and_blocks_nobody(
    postgres: PostgresServer, address: PostgresAddress, metadata: SqlMetadata
) -> None:
    with python(STOP_INSIDE, postgres.url(address)) as child:
        assert child.line() == "inside"
        child.kill()
    assert value_of(metadata) == 0


def test_a_process_that_stands_still_within_its_transaction_is_put_out_of_it(
    postgres: PostgresServer, address: PostgresAddress, metadata: SqlMetadata
) -> None:
    with python(STOP_INSIDE, postgres.url(address), stderr=subprocess.PIPE) as child:
        assert child.line() == "inside"
        os.kill(child.pid, signal.SIGSTOP)
        assert value_of(metadata) == 0
        os.kill(child.pid, signal.SIGCONT)
        child.go_on()
        assert "cannot be used now" in child.fail()
    assert value_of(metadata) == 0


def test_a_store_that_stays_locked_is_unavailable(postgres: PostgresServer, metadata: SqlMetadata) -> None:
    address = metadata_address(metadata, timeout_s=0.4)
    waiting = SqlMetadata(address, busy_timeout_s=0.3)
    began_s = time.monotonic()
    with metadata.transaction(), pytest.raises(Unavailable, match="lock timeout"):
        in_a_thread(lambda: value_of(waiting))
    assert 0.2 < time.monotonic() - began_s < 2.0
    assert value_of(waiting) == 0
    waiting.close()


def test_what_cannot_be_kept_is_a_mistake_of_who_sent_it(metadata: SqlMetadata) -> None:
    with pytest.raises(InvalidRequest, match="cannot be kept"), metadata.transaction() as tx:
        tx.put(Count(name="a\x00b", value=1))
    assert value_of(metadata) == 0


def test_a_server_that_is_gone_is_told_at_once_and_one_that_is_back_is_used_again() -> None:
    with running_postgres() as server:
        metadata = SqlMetadata(server.address())
        with metadata.transaction() as tx:
            tx.put(Count(name="a", value=1))
        server.kill()
        began_s = time.monotonic()
        for _ in range(2):
            with pytest.raises(Unavailable, match="refused"):
                value_of(metadata)
        assert time.monotonic() - began_s < 1.0
        server.start()
        assert value_of(metadata) == 1, "the first try succeeds, whatever connections the pool held"
        server.kill()
        server.start()
        assert value_of(metadata) == 1
        metadata.close()


def test_a_server_that_hangs_is_given_up_after_the_timeout_and_used_again_when_it_answers() -> None:
    with running_postgres() as server:
        metadata = SqlMetadata(server.address(timeout_s=0.5))
        with metadata.transaction() as tx:
            tx.put(Count(name="a", value=1))
        with server.paused():
            began_s = time.monotonic()
            with pytest.raises(Unavailable, match=r"has not answered within 1\.5 s|timeout expired"):
                value_of(metadata)
            assert time.monotonic() - began_s < 6.0
        assert value_of(metadata) == 1
        metadata.close()


def test_a_commit_whose_answer_is_lost_is_found_to_have_been_made(postgres: PostgresServer) -> None:
    relay = Relay(postgres.port)
    metadata = SqlMetadata(postgres.address(port=relay.port))
    relay.lose_answer_to(b"COMMIT")
    with metadata.transaction() as tx:
        tx.put(Count(name="a", value=1))
        tx.append_audit(event("put"))
    with metadata.transaction() as tx:
        assert (tx.get(Count, "a"), len(tx.audit())) == (Count(name="a", value=1), 1)
    metadata.close()
    relay.close()


def test_a_commit_that_did_not_arrive_is_found_not_to_have_been_made(metadata: SqlMetadata) -> None:
    with before_commit(metadata, lambda driver: driver.pgconn.finish()), pytest.raises(Unavailable) as told:
        put(metadata, 1)
    assert "nothing was changed; try again" in told.value.message
    assert told.value.facts["changed"] is False
    assert value_of(metadata) == 0


def test_a_commit_that_nobody_can_tell_of_is_said_to_be_unknown() -> None:
    with running_postgres() as server:
        metadata = SqlMetadata(server.address(timeout_s=0.2))
        with before_commit(metadata, lambda _: server.kill()), pytest.raises(Unavailable) as told:
            put(metadata, 1)
        assert "whether it was made cannot be found out" in told.value.message
        assert told.value.facts["changed"] is None
        metadata.close()


def test_the_migrations_lead_to_the_tables_that_the_code_expects(
    address: PostgresAddress, metadata: SqlMetadata
) -> None:
    with engine(address).connect() as connected:
        context = MigrationContext.configure(connected)
        differences = compare_metadata(context, schema.tables)
        assert (context.get_current_revision(), differences) == (schema.NEWEST, [])


def test_metadata_of_a_newer_release_is_refused_and_left_alone(address: PostgresAddress, metadata: SqlMetadata) -> None:
    with engine(address).begin() as connected:
        connected.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(ConfigurationError, match="newer release of Octavo"):
        SqlMetadata(address)
    assert value_of(metadata) == 0


def test_a_user_who_may_not_make_the_schema_is_told_how_it_is_made(postgres: PostgresServer) -> None:
    with postgres.connect() as connected:
        connected.execute("CREATE ROLE lodger LOGIN")
    address = postgres.address(user="lodger")
    with pytest.raises(ConfigurationError, match=f"CREATE SCHEMA {address.schema} AUTHORIZATION lodger"):
        SqlMetadata(address)
    with postgres.connect() as connected:
        connected.execute(f"CREATE SCHEMA {address.schema} AUTHORIZATION lodger".encode())
    SqlMetadata(address).close()


def test_without_its_library_the_extra_is_named(address: PostgresAddress, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    monkeypatch.setattr(connection, "_bounded", None)
    with pytest.raises(MissingExtra, match=r"octavo\[postgres\]"):
        SqlMetadata(address)


def test_a_password_is_read_when_it_is_used_and_told_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DB_PASSWORD", "canary-4711")
    address = PostgresAddress(host="127.0.0.1", port=free_port(), database="x", user="u", password="env:DB_PASSWORD")
    assert address_parameters(address)["password"] == "canary-4711"
    with pytest.raises(Unavailable) as told:
        SqlMetadata(address)
    seen = f"{told.value} {told.value.facts} {told.value.__cause__} {address} {address!r}"
    assert "canary" not in seen


def test_a_server_that_speaks_no_tls_is_refused_where_tls_is_asked_for(postgres: PostgresServer) -> None:
    with pytest.raises(Unavailable, match="server does not support SSL"):
        SqlMetadata(postgres.address(tls=True))


def event(operation: str) -> AuditEvent:
    return AuditEvent(at=NOON, actor="user:ada", operation=operation, target="model=x", outcome="done")


def put(metadata: SqlMetadata, value: int) -> None:
    with metadata.transaction() as tx:
        tx.put(Count(name="a", value=value))


def in_a_thread(work: Callable[[], object]) -> None:
    failed: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if failed:
        raise failed[0]


def engine(address: PostgresAddress) -> sa.Engine:
    return sa.create_engine(
        "postgresql+psycopg://", creator=lambda: connect(address, purpose="test"), poolclass=sa.NullPool
    )


def metadata_address(metadata: SqlMetadata, **changes: Any) -> PostgresAddress:
    database: Any = metadata._database
    found: PostgresAddress = database._address
    return replace(found, **changes)


@contextmanager
def before_commit(metadata: SqlMetadata, happen: Callable[[Any], object]) -> Iterator[None]:
    """Let something happen to the connection just before each commit."""

    def hear(connected: sa.Connection) -> None:
        happen(connected.connection.driver_connection)

    engine_of_store = metadata._database.engine
    sa.event.listen(engine_of_store, "commit", hear)
    try:
        yield
    finally:
        sa.event.remove(engine_of_store, "commit", hear)
