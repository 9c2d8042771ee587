"""The audit chain under several processes, one of which is killed."""

from pathlib import Path

import pytest

from octavo.stores.chain import check_chain
from octavo.stores.sql import SqlMetadata
from octavo.stores.sql.postgres import PostgresAddress
from tests.integration.stores.processes import python

APPEND = """
import sys
from datetime import UTC, datetime
from octavo.stores.ports import AuditEvent
from tests.integration.stores.test_audit_processes import opened
url, name, times = sys.argv[1], sys.argv[2], int(sys.argv[3])
metadata = opened(url)
for number in range(times):
    with metadata.transaction() as tx:
        for half in "ab":
            at = datetime(2013, 1, 1, tzinfo=UTC)
            tx.append_audit(AuditEvent(at=at, actor=name, operation=f"{number}{half}", target="", outcome="done"))
    print(number, flush=True)
"""
TIMES, MANY = 10, 1_000_000


def opened(url: str) -> SqlMetadata:
    """The metadata at a place, as both the test and its processes open them."""
    return SqlMetadata(url if url.startswith("sqlite") else PostgresAddress.parse(url, root=Path("/")))


def _postgres(request: pytest.FixtureRequest) -> str:
    server = request.getfixturevalue("postgres")
    url: str = server.url(server.address())
    return url


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_processes_that_append_at_once_make_one_chain_though_one_is_killed(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path}/m.db" if kind == "sqlite" else _postgres(request)
    opened(url).close()
    with python(APPEND, url, "one", TIMES) as one, python(APPEND, url, "two", TIMES) as two:
        with python(APPEND, url, "killed", MANY) as killed:
            acknowledged = [killed.line() for _ in range(5)] + killed.kill()
        one.finish()
        two.finish()
    metadata = opened(url)
    with metadata.transaction() as tx:
        entries = tx.audit_entries(limit=10 * MANY)
        assert check_chain(entries) == tx.audit_head()
    metadata.close()
    by = {name: [e.event.operation for e in entries if e.event.actor == name] for name in ("one", "two", "killed")}
    assert by["one"] == by["two"] == [f"{number}{half}" for number in range(TIMES) for half in "ab"]
    assert len(by["killed"]) in (2 * len(acknowledged), 2 * len(acknowledged) + 2)
