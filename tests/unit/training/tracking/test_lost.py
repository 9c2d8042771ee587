"""Runs whose process is no longer heard of are lost; those that only log nothing are not."""

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace

import pytest
from tests.workshop import Workshop, in_transaction

from octavo.errors import InvalidRequest
from octavo.training.runs import Run, RunStatus
from octavo.training.tracking import lost, outbox
from octavo.training.tracking.lines import ContextLine, RunThere, TrainingThere, giving_signs
from octavo.training.tracking.lost import SILENT_FOR, LostRuns, record_lost, wall_now
from octavo.training.tracking.operations import (
    CreateRun,
    EndRun,
    LogToRun,
    ShowRun,
    UpdateRun,
    create_run,
    end_run,
    log_to_run,
    show_run,
    update_run,
)
from octavo.training.tracking.outbox import Batch
from octavo.training.tracking.recorder import Recorder

LONG = SILENT_FOR + timedelta(minutes=1)


def begun(workshop: Workshop, *, alive: bool = True) -> str:
    run: Run = in_transaction(workshop, create_run, CreateRun(name="mine", alive=alive))
    return run.id


def shown(workshop: Workshop, run: str) -> Run:
    found: Run = in_transaction(workshop, show_run, ShowRun(run=run))
    return found


def looked(workshop: Workshop, *, later: timedelta = LONG) -> tuple[str, ...]:
    return record_lost(workshop.context, now=wall_now() + later)


def test_a_run_that_falls_silent_is_lost(workshop: Workshop) -> None:
    run = begun(workshop)
    assert looked(workshop, later=SILENT_FOR - timedelta(minutes=1)) == ()
    assert looked(workshop) == (run,)
    assert looked(workshop) == ()
    found = shown(workshop, run)
    assert (found.status, found.status.ended, found.finished_at) == (RunStatus.LOST, True, found.started_at)
    assert found.error.startswith("its process has not been heard of since ")
    with workshop.context.transaction() as tx:
        assert [event.operation for event in tx.audit(limit=1)] == ["runs.lost"]


def test_a_sign_of_life_brings_it_back_and_nothing_else_does(workshop: Workshop) -> None:
    run = begun(workshop)
    looked(workshop)
    in_transaction(workshop, log_to_run, LogToRun(run=run, tags={"looked at": "by me"}))
    assert shown(workshop, run).status is RunStatus.LOST
    in_transaction(workshop, log_to_run, LogToRun(run=run, alive=True))
    found = shown(workshop, run)
    assert (found.status, found.finished_at, found.seconds, found.error) == (RunStatus.RUNNING, None, 0.0, "")


def test_an_end_that_arrives_late_is_the_end(workshop: Workshop) -> None:
    run = begun(workshop)
    looked(workshop)
    in_transaction(workshop, end_run, EndRun(run=run))
    assert looked(workshop) == ()
    assert (shown(workshop, run).status, shown(workshop, run).error) == (RunStatus.SUCCEEDED, "")


def test_a_run_that_gives_no_signs_is_never_taken_for_lost(workshop: Workshop) -> None:
    run = begun(workshop, alive=False)
    in_transaction(workshop, log_to_run, LogToRun(run=run, alive=True))  # whoever may log cannot put it at that risk
    assert looked(workshop) == ()


def test_a_lost_run_that_another_process_goes_on_with_is_not_lost_again(workshop: Workshop) -> None:
    run = begun(workshop)
    looked(workshop)
    in_transaction(workshop, update_run, UpdateRun(run=run, status=RunStatus.RUNNING))
    assert looked(workshop) == ()
    assert shown(workshop, run).status is RunStatus.RUNNING


def test_nobody_says_that_a_run_is_lost(workshop: Workshop) -> None:
    run = begun(workshop)
    for request, operation in ((EndRun, end_run), (UpdateRun, update_run)):
        with pytest.raises(InvalidRequest):
            in_transaction(workshop, operation, request(run=run, status=RunStatus.LOST))


def test_a_run_that_logs_nothing_gives_signs_of_life(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "BEAT_S", 0.01)
    run, line = begun(workshop), ContextLine(workshop.context)
    old = wall_now() - LONG
    with workshop.context.transaction() as tx:
        tx.put(replace(shown_in(tx.get(Run, run)), heard_at=old))
    silent = Recorder(run, RunThere(run, line, keeps_line=True))
    wait_until(lambda: (shown(workshop, run).heard_at or old) > old)
    silent.end()
    assert shown(workshop, run).status is RunStatus.SUCCEEDED


def test_many_files_do_not_crowd_out_signs_of_life(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds, sent = [0.0], []
    monkeypatch.setattr(outbox, "time", SimpleNamespace(monotonic=lambda: seconds[0]))

    class Post:
        def log(self, batch: Batch) -> None:
            sent.append("sign")

        def put(self, name: str, data: bytes) -> None:
            sent.append(name)
            seconds[0] += 20.0

    waiting = outbox.Outbox(Post())
    for name in "abcd":
        waiting.add_artifact(name, b"x")
    assert waiting.close(20) == (Batch(), [])
    assert sent[:5] == ["a", "b", "sign", "c", "d"]


def test_a_training_is_watched_over_by_whoever_trains(workshop: Workshop) -> None:
    calls: list[object] = []

    class Line(ContextLine):
        def call(self, request: object) -> None:
            calls.append(request)

    there = TrainingThere("r", Line(workshop.context), keeps_line=True)
    there.log(Batch())
    there.log(Batch(tags={"a": "b"}))
    assert calls == [LogToRun(run="r", tags={"a": "b"})]


def test_work_of_this_process_gives_signs_until_its_end(workshop: Workshop) -> None:
    run, before = begun(workshop, alive=False), threading.active_count()
    with giving_signs(workshop.context, shown(workshop, run)):
        assert shown(workshop, run).heard_at is not None
        assert threading.active_count() == before + 1
    assert threading.active_count() == before


def test_it_is_looked_for_now_and_then(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    seconds, looks = [0.0], []
    monkeypatch.setattr(lost, "record_lost", looks.append)
    chore = LostRuns(workshop.context, timer=lambda: seconds[0])
    for at in (0.0, 59.0, 60.0, 61.0, 119.0, 121.0):
        seconds[0] = at
        chore.look()
    assert len(looks) == 2


def shown_in(found: Run | None) -> Run:
    assert found is not None
    return found


def wait_until(holds: Callable[[], bool]) -> None:
    until = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.002)
