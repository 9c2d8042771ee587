"""The worker's chores for the record: done again and again, each for itself."""

import logging
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from tests.showrooms import full_showroom

from octavo.errors import ConfigurationError, Unavailable
from octavo.governance.checkpoints import AuditCheckpoint
from octavo.loop.agenda import Stopping
from octavo.loop.bookkeeping import Bookkeeping, chores_of
from octavo.record_settings import LineageSettings


def test_a_chore_that_fails_holds_up_no_other_and_is_told_of_once(caplog: pytest.LogCaptureFixture) -> None:
    rounds = threading.Semaphore(0)

    def fail() -> None:
        raise Unavailable("the bucket is away")

    def burst() -> None:
        raise RuntimeError("nobody foresaw this")

    chores = Bookkeeping([fail, burst, rounds.release], every_s=0.001)
    with caplog.at_level(logging.ERROR):
        chores.start()
        for _ in range(3):
            assert rounds.acquire(timeout=10)
        chores.stop(timeout_s=10)
    assert [record.getMessage() for record in caplog.records] == [
        "bookkeeping is behind: the bucket is away",
        "bookkeeping is behind: RuntimeError: nobody foresaw this",
    ]


def test_a_worker_that_stops_or_was_taken_for_dead_does_no_chore_any_more() -> None:
    done = threading.Event()

    def stop() -> None:
        done.set()
        raise Stopping

    chores = Bookkeeping([stop], every_s=0.001)
    chores.start()
    assert done.wait(10)
    chores.stop(timeout_s=10)
    assert not chores._thread.is_alive()


def test_chores_that_never_began_end_at_once() -> None:
    Bookkeeping([]).stop(timeout_s=0)


def test_a_project_has_checkpoints_and_tells_of_its_lineage_where_it_is_to(tmp_path: Path) -> None:
    context = full_showroom(tmp_path).context
    few = len(chores_of(context))
    told = replace(context.config, lineage=LineageSettings(openlineage="file:lineage.jsonl"))
    context = replace(context, config=told)
    assert len(chores_of(context)) == few + 2
    for chore in chores_of(context):
        chore()
    with context.transaction() as tx:
        assert [one.sequence for one in tx.find(AuditCheckpoint)] == [len(tx.audit())]
    assert len((tmp_path / "lineage.jsonl").read_text().splitlines()) > 20


def test_a_receiver_that_there_is_no_adapter_for_is_told_at_the_start(tmp_path: Path) -> None:
    context = full_showroom(tmp_path).context
    told = replace(context.config, lineage=LineageSettings(openlineage="ftp://somewhere"))
    with pytest.raises(ConfigurationError, match="no adapter"):
        chores_of(replace(context, config=told))
