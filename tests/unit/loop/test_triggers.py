"""When a model is retrained: once for each incident, and again only when that did not help."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.stages import DEPLOYMENT, HOUR, MODEL, START, Stage, landings, set_stage

import octavo as oc
from octavo.errors import Conflict
from octavo.features.events.ingest import ingest_rows
from octavo.loop.carrier import bring_events_into_tables
from octavo.loop.retrainings import Retraining, started, tell
from octavo.loop.trainings import request_training
from octavo.loop.triggers import after_look, by_calendar
from octavo.loop.watch import next_time, on_grid
from octavo.monitoring.incidents import Incident, IncidentKind
from octavo.release import lifecycle
from octavo.release.releases import DeploymentState, Release, ReleaseState
from octavo.training.runs import Run, RunStatus

BOTH = (oc.on_drift(give_up_after=9), oc.on_performance())
EVERY = 6 * HOUR


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    """Version 1 is live, and has been for a week."""
    made = set_stage(tmp_path, retrain=BOTH)
    go_live(made, 1)
    made.wait(7 * 24 * HOUR)
    return made


def go_live(stage: Stage, version: int, *, run: str = "") -> None:
    stage.add_version(version, run=run)
    release = lifecycle.request(stage.context, DEPLOYMENT, version=version, cause="user")
    with stage.context.transaction() as tx:
        state = tx.get(DeploymentState, DEPLOYMENT)
        assert state is not None
        tx.replace(state, replace(state, live=version, release=None, sequence=state.sequence + 1))
        for live in tx.find(Release, state=ReleaseState.LIVE):
            tx.replace(live, replace(live, state=ReleaseState.RETIRED))
        tx.replace(release, replace(release, state=ReleaseState.LIVE, requested_at=stage.clock.now()))


def open_incident(stage: Stage, kind: IncidentKind = IncidentKind.DRIFT, *, version: int = 1) -> str:
    incident = Incident(
        id=f"{kind}-{version}", deployment=DEPLOYMENT, model=MODEL, version=version, incident_kind=kind,
        subject="inputs", value=1.0, threshold=0.2, opened_at=stage.clock.now(),
    )  # fmt: skip
    with stage.context.transaction() as tx:
        tx.add(incident)
    return incident.id


def look(stage: Stage) -> list[Run]:
    return after_look(stage.context, stage.context.project.deployment(DEPLOYMENT), at=stage.clock.now())


def end(stage: Stage, run: Run, *, version: int | None = None, error: str = "") -> None:
    status = RunStatus.SUCCEEDED if version else RunStatus.FAILED
    with stage.context.transaction() as tx:
        tx.put(replace(run, status=status, version=version, error=error, finished_at=stage.clock.now()))


def timeline(stage: Stage, incident: str) -> list[str]:
    with stage.context.transaction() as tx:
        found = tx.get(Incident, incident)
    assert found is not None
    return [entry.text for entry in found.timeline]


def test_an_incident_starts_one_retraining_and_says_so(stage: Stage) -> None:
    incident = open_incident(stage)
    [run] = look(stage)
    assert (run.status, run.model, run.as_of) == (RunStatus.REQUESTED, MODEL, stage.clock.now())
    assert run.trigger == f"drift incident {incident}"
    assert timeline(stage, incident) == ["retraining on what was known at 2013-07-08 00:00"]
    stage.wait(EVERY)
    assert look(stage) == []


def test_without_an_incident_nothing_is_retrained(stage: Stage) -> None:
    assert look(stage) == []


def test_an_incident_of_a_kind_that_the_model_does_not_name_starts_nothing(stage: Stage) -> None:
    open_incident(stage, IncidentKind.QUALITY)
    open_incident(stage, IncidentKind.STALENESS)
    assert look(stage) == []


def test_two_incidents_at_once_share_one_retraining(stage: Stage) -> None:
    first, second = open_incident(stage), open_incident(stage, IncidentKind.PERFORMANCE)
    assert len(look(stage)) == 1
    assert "under way already" in timeline(stage, second)[0]
    stage.wait(EVERY)
    assert look(stage) == []
    with stage.context.transaction() as tx:
        runs = [tx.get(Retraining, incident) for incident in (first, second)]
    assert len({r.runs for r in runs if r}) == 1


def test_while_the_model_is_being_trained_on_older_data_an_incident_waits(stage: Stage) -> None:
    before = request_training(stage.context, MODEL, trigger="user")
    stage.wait(HOUR)
    open_incident(stage)
    assert look(stage) == []
    end(stage, before, error="no rows")
    assert len(look(stage)) == 1


def test_while_a_release_is_in_progress_nothing_is_retrained(stage: Stage) -> None:
    stage.add_version(2)
    release = lifecycle.request(stage.context, DEPLOYMENT, version=2, cause="user")
    open_incident(stage)
    assert look(stage) == []
    lifecycle.refuse(stage.context, release.id, reason="not wanted")
    assert len(look(stage)) == 1


def test_a_failed_retraining_is_tried_again_after_ever_longer_pauses(stage: Stage) -> None:
    incident = open_incident(stage)
    tried: list[timedelta] = []
    for _ in range(180):
        for run in look(stage):
            tried.append(stage.clock.now() - START)
            end(stage, run, error="no rows\nand more")
        stage.wait(HOUR)
    hours = [(span - tried[0]) / HOUR for span in tried]
    assert hours == [0, 25, 74, 171], "the pauses of one, two and four windows begin at the look after the failure"
    assert timeline(stage, incident)[1] == (
        "retraining 1 did not help: it failed (no rows); the next follows after 2013-07-09 01:00"
    )


def test_a_version_that_fails_its_gates_is_no_help(stage: Stage) -> None:
    incident = open_incident(stage)
    [run] = look(stage)
    stage.add_version(2, passed=False, run=run.id)
    end(stage, run, version=2)
    stage.wait(EVERY)
    assert look(stage) == []
    assert "version 2 did not pass at_most(mae, 20)" in timeline(stage, incident)[-1]
    stage.wait(timedelta(hours=24))
    assert len(look(stage)) == 1


def test_a_release_that_was_rolled_back_is_no_help(stage: Stage) -> None:
    incident = open_incident(stage)
    [run] = look(stage)
    stage.add_version(2, run=run.id)
    end(stage, run, version=2)
    release = lifecycle.request(stage.context, DEPLOYMENT, version=2, cause="drift")
    assert look(stage) == [], "it is on its way"
    lifecycle.refuse(stage.context, release.id, reason="too slow")
    look(stage)
    assert "version 2 was rejected (too slow)" in timeline(stage, incident)[-1]


def test_a_new_live_version_has_a_window_to_show_itself(stage: Stage) -> None:
    incident = open_incident(stage)
    [run] = look(stage)
    end(stage, run, version=2)
    go_live(stage, 2, run=run.id)
    stage.wait(timedelta(hours=23))
    assert (look(stage), len(timeline(stage, incident))) == ([], 1)
    stage.wait(HOUR)
    look(stage)
    assert "version 2 is live, and no better" in timeline(stage, incident)[-1]


def test_an_incident_of_a_version_that_was_just_replaced_waits_too(stage: Stage) -> None:
    open_incident(stage, version=1)
    go_live(stage, 2)
    assert look(stage) == []
    stage.wait(24 * HOUR)
    assert len(look(stage)) == 1


def test_a_training_is_not_requested_twice(stage: Stage) -> None:
    request_training(stage.context, MODEL, trigger="user")
    with pytest.raises(Conflict, match="is requested already"):
        request_training(stage.context, MODEL, trigger="user")


def test_what_stands_in_a_timeline_is_not_told_again(stage: Stage) -> None:
    incident = open_incident(stage)
    with stage.context.transaction() as tx:
        started(tx, incident, model=MODEL, run="r1")
        started(tx, incident, model=MODEL, run="r1")
    for _ in range(2):
        tell(stage.context, model=MODEL, run="r1", text="version 2 trained")
        tell(stage.context, model=MODEL, run="another", text="version 3 trained")
    assert timeline(stage, incident) == ["version 2 trained"]


def test_enough_new_rows_start_a_retraining(tmp_path: Path) -> None:
    stage = set_stage(tmp_path, retrain=[oc.on_new_rows(3)])
    land(stage, 9)
    stage.wait(HOUR)
    assert look(stage) == [], "the first training is a person's"
    end(stage, request_training(stage.context, MODEL, trigger="user"), version=1)
    stage.wait(HOUR)
    land(stage, 2)
    stage.wait(HOUR)
    assert look(stage) == []
    land(stage, 1)
    stage.wait(HOUR)
    [run] = look(stage)
    assert run.trigger == "new_rows(3): 3 since 2013-07-01 01:00"
    assert look(stage) == []


def land(stage: Stage, flights: int) -> None:
    at = stage.clock.now()
    rows = [
        {"flight": f"{at} {n}", "origin": "JFK", "distance": 1.0, "decided_at": at, "landed_at": at, "arr_delay": 1.0}
        for n in range(flights)
    ]
    ingest_rows(rows, landings, stream=stage.context.stores.stream, clock=stage.clock)
    bring_events_into_tables(stage.context)


def test_the_calendar_starts_a_retraining_unless_one_is_under_way(stage: Stage) -> None:
    model, trigger = stage.context.project.model(MODEL), oc.cron("0 3 * * *")
    run = by_calendar(stage.context, model, trigger)
    assert run is not None
    assert run.trigger == "cron(0 3 * * * UTC)"
    assert by_calendar(stage.context, model, trigger) is None


def test_the_calendar_goes_by_its_zone_through_daylight_saving() -> None:
    trigger = oc.cron("0 3 * * *", zone="America/New_York")
    winter = START.replace(month=3, day=9)
    assert next_time(trigger, after=winter).isoformat() == "2013-03-09T08:00:00+00:00"
    assert next_time(trigger, after=winter + timedelta(days=1)).isoformat() == "2013-03-10T07:00:00+00:00"
    due = START + timedelta(hours=7)
    assert next_time(trigger, after=due - timedelta(microseconds=1)) == due
    assert next_time(trigger, after=due) == due + timedelta(days=1)


def test_a_time_that_there_is_twice_counts_once_unless_it_is_of_every_hour() -> None:
    midnight = START.replace(year=2026, month=10, day=24)
    nightly, hourly = (oc.cron(text, zone="Europe/London") for text in ("30 1 * * *", "30 * * * *"))
    first = next_time(nightly, after=midnight + timedelta(days=1) - timedelta(hours=1))
    assert first.isoformat() == "2026-10-25T00:30:00+00:00"
    assert next_time(nightly, after=first).isoformat() == "2026-10-26T01:30:00+00:00"
    assert next_time(hourly, after=first) == first + HOUR


def test_a_time_that_there_is_not_comes_right_after_the_gap() -> None:
    trigger = oc.cron("30 1 * * *", zone="Europe/London")
    gap = next_time(trigger, after=START.replace(year=2026, month=3, day=28, hour=12))
    assert gap.isoformat() == "2026-03-29T01:00:00+00:00"
    assert next_time(trigger, after=gap).isoformat() == "2026-03-30T00:30:00+00:00"


def test_looks_are_taken_on_the_grid_of_their_interval() -> None:
    moment = START + timedelta(hours=7, minutes=20)
    assert on_grid(moment, timedelta(hours=6)) == START + timedelta(hours=6)
    assert on_grid(START, timedelta(hours=6)) == START


def test_a_training_that_has_grown_old_starts_another_whatever_came_of_it(tmp_path: Path) -> None:
    stage = set_stage(tmp_path, retrain=[oc.on_staleness("7d")])
    stage.wait(30 * 24 * HOUR)
    assert look(stage) == [], "the first training is a person's"
    end(stage, request_training(stage.context, MODEL, trigger="user"), error="no rows")
    stage.wait(7 * 24 * HOUR - HOUR)
    assert look(stage) == []
    stage.wait(HOUR)
    [run] = look(stage)
    assert run.trigger == "staleness(7d): the newest training is of 2013-07-31 00:00"
    assert look(stage) == [], "it is under way"


def swept(stage: Stage, *, value: dict[str, float], version_by: str = "") -> Run:
    """A sweep that has ended, with a trial for each value of a parameter."""
    now, context = stage.clock.now(), stage.context
    sweep = Run(
        id=f"sweep-{now}", model="", experiment=MODEL, status=RunStatus.SUCCEEDED, trigger="sweep", as_of=now,
        started_at=now, finished_at=now, params={"metric": "mae"}, tags={"octavo.sweep": MODEL},
    )  # fmt: skip
    trials = [
        Run(
            id=f"{sweep.id}-{depth}",
            model="",
            experiment=MODEL,
            status=RunStatus.SUCCEEDED,
            trigger="sweep",
            as_of=now,
            started_at=now,
            parent=sweep.id,
            params={"depth": depth},
            metrics={"mae": mae},
            tags={"octavo.trial": depth},
        )
        for depth, mae in value.items()
    ]
    with context.transaction() as tx:
        for run in (sweep, *trials):
            tx.add(run)
        if version_by:
            tx.put(replace(request_training_record(tx, version_by), parent=sweep.id))
    return sweep


def request_training_record(tx: Any, run: str) -> Run:
    found = tx.get(Run, run)
    assert found is not None
    return found


def test_what_a_sweep_has_found_is_trained_once_and_kept(tmp_path: Path) -> None:
    stage = set_stage(tmp_path, retrain=[oc.on_better_found(), oc.cron("0 3 * * *")])
    first = request_training(stage.context, MODEL, trigger="user")
    end(stage, first, version=1)
    go_live(stage, 1, run=first.id)
    assert look(stage) == []
    stage.wait(HOUR)
    sweep = swept(stage, value={"4": 9.0, "6": 7.0, "8": 8.0})
    stage.wait(HOUR)
    [run] = look(stage)
    assert (run.trigger, run.params) == (f"better_found by sweep {sweep.id}", {"depth": "6"})
    end(stage, run, version=2)
    assert look(stage) == [], "once"
    go_live(stage, 2, run=run.id)
    later = by_calendar(stage.context, stage.context.project.model(MODEL), oc.cron("0 3 * * *"))
    assert later is not None
    assert later.params == {"depth": "6"}, "and it is kept"


def test_a_sweep_whose_best_was_trained_already_or_is_what_is_live_starts_nothing(tmp_path: Path) -> None:
    stage = set_stage(tmp_path, retrain=[oc.on_better_found()])
    first = request_training(stage.context, MODEL, trigger="user")
    with stage.context.transaction() as tx:
        tx.put(replace(first, params={"depth": "6"}))
    end(stage, replace(first, params={"depth": "6"}), version=1)
    go_live(stage, 1, run=first.id)
    stage.wait(HOUR)
    swept(stage, value={"6": 7.0, "8": 8.0})
    stage.wait(HOUR)
    assert look(stage) == [], "it is what is live"
    second = request_training(stage.context, MODEL, trigger="sweep")
    end(stage, second, version=2)
    swept(stage, value={"9": 1.0}, version_by=second.id)
    stage.wait(HOUR)
    assert look(stage) == [], "the sweep has trained its best itself"
