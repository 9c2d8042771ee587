"""What every metadata store promises of the audit trail."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from octavo.errors import Conflict
from octavo.stores.chain import AuditEvent, AuditFilter, AuditHead, check_chain, head_at
from octavo.stores.ports import Metadata
from tests.contract.metadata_stores import KINDS, new_metadata

NOON = datetime(2013, 1, 1, 12, 0, tzinfo=UTC)


@pytest.fixture(params=KINDS)
def metadata(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Metadata]:
    store = new_metadata(request, tmp_path)
    yield store
    store.close()


def event(operation: str, **fields: object) -> AuditEvent:
    plain = AuditEvent(at=NOON, actor="ada/1", operation=operation, target="model=x", outcome="done")
    return replace(plain, **fields)  # type: ignore[arg-type]


def append(metadata: Metadata, *events: AuditEvent) -> None:
    with metadata.transaction() as tx:
        for one in events:
            tx.append_audit(one)


def test_a_trail_without_events_has_no_end(metadata: Metadata) -> None:
    with metadata.transaction() as tx:
        assert (tx.audit_head(), tx.audit_entries()) == (AuditHead(), [])


def test_events_of_one_transaction_and_of_several_make_one_chain(metadata: Metadata) -> None:
    append(metadata, event("a"), event("b", detail="why", subject="ada", request="r", trace="t"))
    append(metadata, event("c"))
    with metadata.transaction() as tx:
        entries, head = tx.audit_entries(), tx.audit_head()
    assert [entry.sequence for entry in entries] == [1, 2, 3]
    assert check_chain(entries) == head == head_at(entries[-1])


def test_a_transaction_sees_the_entries_that_it_appended(metadata: Metadata) -> None:
    with metadata.transaction() as tx:
        tx.append_audit(event("a"))
        assert tx.audit_head().sequence == len(tx.audit_entries()) == len(tx.audit()) == 1
        tx.append_audit(event("b"))
        assert tx.audit_head().sequence == 2


def test_a_transaction_that_is_undone_leaves_no_gap(metadata: Metadata) -> None:
    append(metadata, event("a"))
    with pytest.raises(Conflict), metadata.transaction() as tx:  # noqa: PT012  it is the transaction that is undone
        tx.append_audit(event("undone"))
        assert tx.audit_head().sequence == 2
        raise Conflict("no")
    append(metadata, event("b"))
    with metadata.transaction() as tx:
        assert [e.operation for e in tx.audit(newest_first=False)] == ["a", "b"]
        assert check_chain(tx.audit_entries()).sequence == 2


def test_threads_that_append_at_once_make_one_chain(metadata: Metadata) -> None:
    def some(name: str) -> None:
        for _ in range(10):
            append(metadata, event(name), event(name))

    threads = [threading.Thread(target=some, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with metadata.transaction() as tx:
        assert check_chain(tx.audit_entries()) == tx.audit_head()
        assert tx.audit_head().sequence == 80


def test_entries_are_read_some_at_a_time(metadata: Metadata) -> None:
    append(metadata, *(event(name) for name in "abcde"))
    with metadata.transaction() as tx:
        assert [entry.event.operation for entry in tx.audit_entries(after=1, limit=3)] == ["b", "c", "d"]
        assert tx.audit_entries(after=5) == []


def test_texts_that_a_database_finds_hard_are_kept_and_chained(metadata: Metadata) -> None:
    hard = event("a", target="nul \x00 \ud800 'quoted\" % _ \n 🎨", detail="x" * 20_000)
    append(metadata, hard)
    with metadata.transaction() as tx:
        [entry] = tx.audit_entries()
        assert check_chain([entry]) == tx.audit_head()
    assert entry.event.target == "nul \ufffd ? 'quoted\" % _ \n 🎨"
    assert (len(entry.event.detail), entry.event.detail[-1]) == (10_000, "…")


def test_a_moment_is_kept_to_the_microsecond_in_utc(metadata: Metadata) -> None:
    append(metadata, event("a", at=NOON + timedelta(microseconds=1)), event("b"))
    with metadata.transaction() as tx:
        assert [e.at for e in tx.audit(newest_first=False)] == [NOON + timedelta(microseconds=1), NOON]


@pytest.mark.parametrize(
    ("only", "expected"),
    [
        (AuditFilter(actor="ada/1"), "a"),
        (AuditFilter(actor="bob"), "b"),
        (AuditFilter(operation="releases.start"), "b"),
        (AuditFilter(operation="releases."), "bc"),
        (AuditFilter(operation="releases"), ""),
        (AuditFilter(operation="Releases."), ""),
        (AuditFilter(target="deployment=eta"), "b"),
        (AuditFilter(target="DEPLOYMENT=eta"), ""),
        (AuditFilter(target="%"), "c"),
        (AuditFilter(outcome="denied"), "c"),
        (AuditFilter(since=NOON), "bc"),
        (AuditFilter(until=NOON), "a"),
        (AuditFilter(since=NOON, until=NOON + timedelta(microseconds=1)), "b"),
        (AuditFilter(operation="releases.", outcome="denied"), "c"),
    ],
)
def test_events_are_found_by_what_they_say(metadata: Metadata, only: AuditFilter, expected: str) -> None:
    second = timedelta(seconds=1)
    append(
        metadata,
        event("models.train", at=NOON - second, detail="a"),
        event("releases.start", actor="bob/2", subject="bob", target="deployment=eta", detail="b"),
        event("releases.approve", actor="eve", target="100%", outcome="denied", at=NOON + second, detail="c"),
    )
    with metadata.transaction() as tx:
        assert "".join(e.detail for e in tx.audit(newest_first=False, only=only)) == expected
