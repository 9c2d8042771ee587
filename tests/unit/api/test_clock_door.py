"""Moving a replay's clock: not past what is due, not past events that are not applied, never back."""

import threading
import time
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from tests.stages import START, Stage, landings, set_stage

from octavo.api import clock_door
from octavo.api.clock_door import ClockDriver
from octavo.clock import FAR_FUTURE_US, ReplayClock, to_micros
from octavo.errors import InvalidRequest, Unavailable
from octavo.features.events.ingest import ingest_rows
from octavo.features.online.pump import Pump
from octavo.processes import WORKER, announce

MINUTE = timedelta(minutes=1)


@pytest.fixture
def clock(tmp_path: Path) -> ReplayClock:
    made = ReplayClock(tmp_path / "clock", start=START)
    made.set_horizon_us(FAR_FUTURE_US)
    return made


@pytest.fixture
def stage(tmp_path: Path, clock: ReplayClock) -> Stage:
    made = set_stage(tmp_path)
    return Stage(replace(made.context, clock=clock), made.clock)


def land(stage: Stage, flight: str) -> None:
    at = stage.context.clock.now()
    row = {"flight": flight, "origin": "JFK", "distance": 1.0, "decided_at": at, "landed_at": at, "arr_delay": 1.0}
    ingest_rows([row], landings, stream=stage.context.stores.stream, clock=stage.context.clock)


def apply(stage: Stage) -> None:
    Pump(stage.context.stores, stage.context.project, stage.context.clock).apply("landings")


def test_the_clock_moves_to_where_it_is_told(stage: Stage, clock: ReplayClock) -> None:
    ClockDriver(clock, stage.context).advance(START + MINUTE)
    assert clock.now() == START + MINUTE


def test_the_clock_waits_for_the_events_that_were_sent_before(stage: Stage, clock: ReplayClock) -> None:
    driver = ClockDriver(clock, stage.context)
    land(stage, "a")
    thread = threading.Thread(target=driver.advance, args=(START + MINUTE,))
    thread.start()
    time.sleep(0.05)
    assert clock.now() == START
    apply(stage)
    thread.join()
    assert clock.now() == START + MINUTE


def test_events_that_nobody_applies_are_named(stage: Stage, clock: ReplayClock) -> None:
    driver = ClockDriver(clock, stage.context)
    land(stage, "a")
    with pytest.raises(Unavailable, match=r"all events of 'landings' within 0.05 s.*worker\.log"):
        driver.wait_for_events(timeout_s=0.05)


def test_what_is_known_to_be_applied_costs_no_further_look(
    stage: Stage, clock: ReplayClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = ClockDriver(clock, stage.context)
    land(stage, "a")
    apply(stage)
    driver.wait_for_events()
    monkeypatch.setattr(stage.context.stores.online, "mark", lambda name: pytest.fail("the store was asked"))
    monkeypatch.setattr(stage.context.stores.tables, "written", lambda *_: pytest.fail("a table was asked"))
    driver.wait_for_events()


@pytest.mark.parametrize(
    ("to", "wrong"),
    [(START - MINUTE, "never goes back"), (datetime(2013, 8, 1), "without an offset")],
)
def test_a_moment_that_cannot_come_is_refused(stage: Stage, clock: ReplayClock, to: datetime, wrong: str) -> None:
    with pytest.raises(InvalidRequest, match=wrong) as refused:
        ClockDriver(clock, stage.context).advance(to)
    assert refused.value.field == "to"


@pytest.mark.parametrize("works", [True, False])
def test_the_clock_waits_for_a_worker_that_works_and_not_for_ever_for_one_that_does_not_run(
    stage: Stage, clock: ReplayClock, monkeypatch: pytest.MonkeyPatch, works: bool
) -> None:
    monkeypatch.setattr(clock_door, "_BACKLOG_TIMEOUT_S", 0.05)
    clock.set_horizon_us(to_micros(START))
    if works:
        announce(stage.context.config.home, WORKER)
        threading.Timer(0.2, clock.set_horizon_us, (FAR_FUTURE_US,)).start()
        ClockDriver(clock, stage.context).advance(START + MINUTE)
        assert clock.now() == START + MINUTE
        return
    with pytest.raises(Unavailable, match="does not let the clock pass 2013-07-01T00:00:00"):
        ClockDriver(clock, stage.context).advance(START + MINUTE)
