"""Looks at deployments, and trainings by the calendar, at their times."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from tests.stages import DEPLOYMENT, HOUR, MODEL, START, Stage, set_stage

import octavo as oc
from octavo.clock import ReplayClock
from octavo.config import AuditSettings
from octavo.definitions.triggers import Trigger, TriggerKind
from octavo.errors import Unavailable
from octavo.loop import watch as watch_module
from octavo.loop.agenda import Agenda
from octavo.loop.watch import Watch
from octavo.training.runs import Run

PATIENCE_S = 30.0
Looks = list[datetime]


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> Looks:
    """The moments at which a deployment was looked at; what a look sees is tested with the monitors."""
    taken: Looks = []
    monkeypatch.setattr(watch_module, "look", lambda context, deployment, *, at: taken.append(at))
    return taken


def replayed(stage: Stage, folder: Path, *, at: datetime) -> tuple[Stage, ReplayClock]:
    """The stage under a replay whose clock stands at a moment."""
    clock = ReplayClock(folder / "clock", start=at)
    return Stage(replace(stage.context, clock=clock), stage.clock), clock


@contextmanager
def watching(stage: Stage, *, requested: Callable[[object], None] = lambda ids: None) -> Iterator[Watch]:
    agenda = Agenda(stage.context.clock)
    watch = Watch(stage.context, agenda, ship=lambda: None, requested=requested)
    with agenda.appointment("beginning"):
        watch.start()
    try:
        yield watch
    finally:
        agenda.stop()
        watch.join(timeout_s=PATIENCE_S)


def until(holds: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline_s, "in vain"
        time.sleep(0.005)


def test_a_deployment_is_looked_at_on_its_grid_however_fast_the_replay(tmp_path: Path, looks: Looks) -> None:
    stage, clock = replayed(set_stage(tmp_path, every="6h"), tmp_path, at=START + 7 * HOUR)
    with watching(stage):
        assert clock.advance(START + 31 * HOUR, timeout_s=PATIENCE_S)
    assert looks == [START + n * HOUR for n in (6, 12, 18, 24, 30)], "the first is the one that was due last"


def test_a_look_that_fails_is_told_and_the_next_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    failures = [Unavailable("the tables are away"), ValueError("a defect")]
    taken: Looks = []

    def look(context: object, deployment: object, *, at: datetime) -> None:
        if failures:
            raise failures.pop(0)
        taken.append(at)

    monkeypatch.setattr(watch_module, "look", look)
    stage, clock = replayed(set_stage(tmp_path, every="6h"), tmp_path, at=START)
    with watching(stage):
        assert clock.advance(START + 13 * HOUR, timeout_s=PATIENCE_S)
    assert taken == [START + 12 * HOUR]
    assert "cannot look at eta: the tables are away" in caplog.text
    assert "a defect" in caplog.text


def test_the_clock_stands_until_a_retraining_has_begun(tmp_path: Path, looks: Looks) -> None:
    stage, clock = replayed(
        set_stage(tmp_path, every="6h", retrain=[oc.cron("0 3 * * *")]), tmp_path, at=START + 2 * HOUR
    )
    begun, told = threading.Event(), []

    def requested(ids: object) -> None:
        if ids:
            told.append(ids)
            begun.wait(PATIENCE_S)

    with watching(stage, requested=requested):
        assert not clock.advance(START + 5 * HOUR, timeout_s=0.3)
        assert clock.now() == START + 3 * HOUR
        begun.set()
        assert clock.advance(START + 5 * HOUR, timeout_s=PATIENCE_S)
    with stage.context.transaction() as tx:
        [run] = tx.find(Run)
    assert (run.model, run.as_of, told) == (MODEL, START + 3 * HOUR, [[run.id]])


def test_features_are_audited_on_their_grid_over_the_time_since(
    tmp_path: Path, looks: Looks, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[tuple[str, datetime, timedelta]] = []
    monkeypatch.setattr(
        watch_module, "audit_by_clock", lambda context, name, *, at, every: made.append((name, at, every))
    )
    stage, clock = replayed(set_stage(tmp_path, every="6h"), tmp_path, at=START + 7 * HOUR)
    with watching(stage):
        assert clock.advance(START + 49 * HOUR, timeout_s=PATIENCE_S)
    assert made == [(DEPLOYMENT, START + n * HOUR, 24 * HOUR) for n in (0, 24, 48)]


def test_no_features_are_audited_where_the_settings_say_never(
    tmp_path: Path, looks: Looks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch_module, "audit_by_clock", lambda *arguments, **more: pytest.fail("audited"))
    stage, clock = replayed(set_stage(tmp_path, every="6h"), tmp_path, at=START)
    config = replace(stage.context.config, audit=AuditSettings(every="never"))
    with watching(Stage(replace(stage.context, config=config), stage.clock)):
        assert clock.advance(START + 25 * HOUR, timeout_s=PATIENCE_S)
    assert looks


def test_a_calendar_that_cannot_be_read_stops_nothing_else(
    tmp_path: Path, looks: Looks, caplog: pytest.LogCaptureFixture
) -> None:
    unread = Trigger(kind=TriggerKind.CRON, cron="now and then")  # as an older release may have let it pass
    stage, clock = replayed(set_stage(tmp_path, every="6h", retrain=[unread]), tmp_path, at=START)
    with watching(stage):
        assert clock.advance(START + 6 * HOUR + timedelta(minutes=1), timeout_s=PATIENCE_S)
    assert looks == [START, START + 6 * HOUR]
    assert f"calendar {MODEL} has ended" in caplog.text
    assert DEPLOYMENT in stage.context.project.deployments


def test_a_source_that_sql_makes_is_refreshed_on_its_grid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    taken: Looks = []
    stage, clock = replayed(set_stage(tmp_path), tmp_path, at=START + HOUR)
    [source] = stage.context.project.sources.values()
    made = oc.SQLSource(
        "made",
        sql="SELECT 1",
        inputs=[source],
        schema={"happened": oc.Timestamp},
        event_time="happened",
        id=["happened"],
        every="6h",
    )
    project = replace(stage.context.project, sources={"made": made}, deployments={}, models={})
    monkeypatch.setattr(watch_module, "refresh_alone", lambda context, source, *, ship: taken.append(clock.now()))
    with watching(Stage(replace(stage.context, project=project), stage.clock)):
        assert clock.advance(START + 13 * HOUR, timeout_s=PATIENCE_S)
    assert taken == [START + n * HOUR for n in (1, 6, 12)]
