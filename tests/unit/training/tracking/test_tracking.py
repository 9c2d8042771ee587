"""Runs as they are logged: begun, told more, ended, found, put away; and what is refused."""

import math
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from tests.workshop import Workshop, in_transaction

from octavo.clock import ManualClock
from octavo.errors import Conflict, InvalidRequest, LimitExceeded, NotFound
from octavo.training.runs import GitState, Run, RunStatus
from octavo.training.tracking import names
from octavo.training.tracking.experiment_operations import (
    CreateExperiment,
    DeleteExperiment,
    ListExperiments,
    RestoreExperiment,
    ShowExperiment,
    UpdateExperiment,
    create_experiment,
    delete_experiment,
    list_experiments,
    restore_experiment,
    show_experiment,
    update_experiment,
)
from octavo.training.tracking.operations import (
    CreateRun,
    DeleteRun,
    EndRun,
    ListRuns,
    LoggedPoint,
    LogToRun,
    RestoreRun,
    RunsIn,
    SearchRuns,
    ShowHistory,
    ShowRun,
    UntagRun,
    UpdateRun,
    create_run,
    delete_run,
    end_run,
    list_runs,
    log_to_run,
    restore_run,
    search_runs,
    show_history,
    show_run,
    untag_run,
    update_run,
)

ID = "0198a3f2-7c11-7d3a-9c55-1f0e2b7a6d40"


def begin(workshop: Workshop, **fields: Any) -> Run:
    run: Run = in_transaction(workshop, create_run, CreateRun(**fields))
    return run


def log(workshop: Workshop, run: str, **fields: Any) -> Run:
    in_transaction(workshop, log_to_run, LogToRun(run=run, **fields))
    found: Run = in_transaction(workshop, show_run, ShowRun(run=run))
    return found


def pass_time(workshop: Workshop, seconds: int) -> None:
    clock = workshop.context.clock
    assert isinstance(clock, ManualClock)
    clock.advance(clock.now() + timedelta(seconds=seconds))


def point(value: float | str, *, step: int = 0, name: str = "loss", at: datetime | None = None) -> LoggedPoint:
    return LoggedPoint(name=name, value=value, step=step, at=at)


def names_of(workshop: Workshop, **fields: Any) -> list[str]:
    return [run.name for run in in_transaction(workshop, list_runs, ListRuns(**fields))]


def training(workshop: Workshop, **fields: Any) -> Run:
    run = Run(
        id=ID, model="boosted", status=RunStatus.RUNNING, trigger="user", as_of=workshop.now, started_at=workshop.now
    )
    run = replace(run, **fields)
    with workshop.context.stores.metadata.transaction() as tx:
        tx.add(run)
    return run


def test_a_run_is_begun_told_more_and_ended(workshop: Workshop) -> None:
    run = begin(workshop, name="first", params={"depth": "6"}, tags={"team": "risk"}, source="train.py")
    assert (run.status, run.experiment, run.model, run.by) == (RunStatus.RUNNING, "Default", "", "system")
    log(workshop, run.id, params={"rate": "0.1"}, tags={"team": "fraud"}, points=(point(2.0), point(1.0, step=1)))
    pass_time(workshop, 90)
    done = in_transaction(workshop, end_run, EndRun(run=run.id))
    assert (done.status, done.seconds) == (RunStatus.SUCCEEDED, 90)
    assert (done.params, done.tags) == ({"depth": "6", "rate": "0.1"}, {"team": "fraud"})
    assert done.metrics == {"loss": 1.0}


def test_a_batch_that_is_sent_again_changes_nothing(workshop: Workshop) -> None:
    run = begin(workshop, id=ID, name="x")
    batch = {"params": {"depth": "6"}, "tags": {"a": "b"}, "points": (point(2.0, at=workshop.now),)}
    once = log(workshop, run.id, **batch)
    assert log(workshop, run.id, **batch) == once
    assert begin(workshop, id=ID, name="x") == once
    assert len(in_transaction(workshop, show_history, ShowHistory(run=ID))) == 1


def test_an_id_belongs_to_one_run(workshop: Workshop) -> None:
    begin(workshop, id=ID, name="x")
    with pytest.raises(Conflict, match="another run"):
        begin(workshop, id=ID, name="y")
    with pytest.raises(InvalidRequest, match="no id of a run"):
        begin(workshop, id="../../etc/passwd")


def test_a_parameter_does_not_change(workshop: Workshop) -> None:
    run = begin(workshop, params={"depth": "6"})
    with pytest.raises(Conflict, match="'depth' = '6' already, and a parameter does not change; '7' was not logged"):
        log(workshop, run.id, params={"depth": "7", "rate": "0.1"})
    assert log(workshop, run.id).params == {"depth": "6"}


def test_numbers_that_json_does_not_know_are_kept(workshop: Workshop) -> None:
    run = begin(workshop)
    found = log(workshop, run.id, points=(point("nan"), point("inf", name="b"), point("-inf", name="c")))
    assert math.isnan(found.metrics["loss"])
    assert (found.metrics["b"], found.metrics["c"]) == (math.inf, -math.inf)
    history = in_transaction(workshop, show_history, ShowHistory(run=run.id))
    assert [p.value for p in history] == ["inf", "-inf", "nan"]


def test_the_latest_value_is_that_of_the_last_step_however_it_arrives(workshop: Workshop) -> None:
    run = begin(workshop)
    log(workshop, run.id, points=(point(9.0, step=9), point(1.0, step=1)))
    assert log(workshop, run.id, points=(point(5.0, step=5),)).metrics == {"loss": 9.0}


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"points": (point("high"),)}, "'high' is no value"),
        ({"points": (point(1.0, name="../x"),)}, "'../x' is no name"),
        ({"points": (point(1.0, step=2**63),)}, "step"),
        ({"points": (point(1.0, at=datetime(2030, 1, 1)),)}, "time without an offset"),
        ({"points": tuple(point(1.0, step=s) for s in range(1_001))}, "1,000 may be sent"),
        ({"params": {"": "x"}}, "is no name"),
        ({"params": {"a" * 251: "x"}}, "may have 250"),
        ({"params": {"a": "x" * 6_001}}, "may have 6,000"),
        ({"params": {"a": "x\0"}}, "a character of code 0"),
        ({"params": {"a'); drop": "x"}}, "is no name"),
        ({"params": {f"p{n}": "x" for n in range(1_001)}}, "1,000 may be sent"),
        ({"tags": {"a": "x" * 8_001}}, "may have 8,000"),
    ],
)
def test_what_cannot_be_kept_is_refused_and_nothing_with_it(workshop: Workshop, fields: Any, why: str) -> None:
    run = begin(workshop)
    with pytest.raises(InvalidRequest, match=why):
        log(workshop, run.id, **{"tags": {"good": "x"}, **fields})
    assert log(workshop, run.id) == run


def test_a_run_holds_so_many_and_no_more(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    for limit in ("MOST_PARAMS", "MOST_TAGS", "MOST_METRICS"):
        monkeypatch.setattr(names, limit, 2)
    run = begin(workshop)
    two = {"a": "1", "b": "1"}
    log(workshop, run.id, params=two, tags=two, points=(point(1.0, name="a"), point(1.0, name="b")))
    for more in ({"params": {"c": "1"}}, {"tags": {"c": "1"}}, {"points": (point(1.0, name="c"),)}):
        with pytest.raises(LimitExceeded, match="a run may have 2"):
            log(workshop, run.id, **more)


def test_secrets_of_the_project_are_kept_as_their_references(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CANARY", "canary-5512-redis")
    stores = replace(workshop.context.config.stores, online="redis://h?password=env:CANARY")
    hiding = replace(
        workshop, context=replace(workshop.context, config=replace(workshop.context.config, stores=stores))
    )
    where = RunsIn(git=GitState(commit="ab"), diff="+password = 'canary-5512-redis'", environment="a==1\n")
    run = begin(hiding, name="canary-5512-redis", params={"a": "canary-5512-redis"}, runs_in=where)
    log(hiding, run.id, tags={"b": "x canary-5512-redis"})
    done = in_transaction(hiding, end_run, EndRun(run=run.id, status=RunStatus.FAILED, error="at canary-5512-redis"))
    assert "canary" not in str(done)
    assert done.params == {"a": "env:CANARY"}
    assert done.git is not None
    assert b"env:CANARY" in workshop.context.stores.artifacts.get(done.git.diff)


def test_what_a_run_runs_in_is_kept_among_its_files(workshop: Workshop) -> None:
    where = RunsIn(git=GitState(commit="ab", dirty=True), diff="+x", environment="a==1\n", hardware={"cores": "2"})
    run = begin(workshop, runs_in=where)
    assert set(run.artifacts) == {"octavo/environment.txt", "octavo/changes.diff"}
    assert (run.artifacts["octavo/environment.txt"], run.hardware) == (run.environment, {"cores": "2"})


def test_a_run_can_be_a_part_of_another_by_the_end_of_its_id(workshop: Workshop) -> None:
    begin(workshop, id=ID)
    inner = begin(workshop, parent="7a6d40")
    assert inner.parent == ID
    with pytest.raises(NotFound):
        begin(workshop, parent="ffffff")


def test_an_end_of_an_id_that_several_have_is_refused(workshop: Workshop) -> None:
    begin(workshop, id=ID)
    begin(workshop, id=f"1{ID[1:]}")
    with pytest.raises(InvalidRequest, match="several runs end with"):
        in_transaction(workshop, show_run, ShowRun(run="7a6d40"))
    for wrong in ("x", "a%d40", "6d4", "%%%%%%"):
        with pytest.raises(NotFound):
            in_transaction(workshop, show_run, ShowRun(run=wrong))


def test_a_run_ends_and_goes_on(workshop: Workshop) -> None:
    run = begin(workshop)
    with pytest.raises(InvalidRequest, match="is no end"):
        in_transaction(workshop, end_run, EndRun(run=run.id, status=RunStatus.RUNNING))
    failed = in_transaction(workshop, end_run, EndRun(run=run.id, status=RunStatus.FAILED, error="x" * 20_000))
    assert len(failed.error) == names.MOST_ERROR
    again = in_transaction(workshop, update_run, UpdateRun(run=run.id, name="again", status=RunStatus.RUNNING))
    assert (again.status, again.finished_at, again.error, again.name) == (RunStatus.RUNNING, None, "", "again")
    with pytest.raises(InvalidRequest, match="is an end"):
        in_transaction(workshop, update_run, UpdateRun(run=run.id, status=RunStatus.KILLED))


def test_a_training_is_ended_by_whoever_trains(workshop: Workshop) -> None:
    training(workshop)
    for operation, request in ((end_run, EndRun(run=ID)), (update_run, UpdateRun(run=ID, status=RunStatus.REQUESTED))):
        with pytest.raises(Conflict, match="ends with its training"):
            in_transaction(workshop, operation, request)
    assert log(workshop, ID, tags={"note": "x"}).tags == {"note": "x"}


def test_a_run_is_put_away_and_comes_back(workshop: Workshop) -> None:
    run = begin(workshop, name="a")
    begin(workshop, name="b")
    in_transaction(workshop, delete_run, DeleteRun(run=run.id))
    assert (names_of(workshop), names_of(workshop, show="deleted")) == (["b"], ["a"])
    assert names_of(workshop, show="all") == ["b", "a"]
    with pytest.raises(Conflict, match="is deleted; restore it"):
        log(workshop, run.id, tags={"a": "b"})
    in_transaction(workshop, restore_run, RestoreRun(run=run.id))
    assert names_of(workshop) == ["b", "a"]


def test_the_record_of_a_version_stays(workshop: Workshop) -> None:
    training(workshop, status=RunStatus.SUCCEEDED, version=3)
    with pytest.raises(Conflict, match="made version 3"):
        in_transaction(workshop, delete_run, DeleteRun(run=ID))


def test_a_training_under_way_stays(workshop: Workshop) -> None:
    training(workshop)
    with pytest.raises(Conflict, match="wait for its end"):
        in_transaction(workshop, delete_run, DeleteRun(run=ID))


def test_tags_are_taken_away(workshop: Workshop) -> None:
    run = begin(workshop, tags={"a": "1", "b": "2"})
    in_transaction(workshop, untag_run, UntagRun(run=run.id, tags=("a", "never")))
    assert log(workshop, run.id).tags == {"b": "2"}


def test_runs_are_found_by_what_they_logged(workshop: Workshop) -> None:
    for depth in range(4, 9):
        run = begin(workshop, name=f"d{depth}", params={"depth": str(depth)}, experiment="grid")
        log(workshop, run.id, points=(point(1 / depth),))
    begin(workshop, name="other")
    assert names_of(workshop, where="params.depth >= 6 and metrics.loss < 0.16") == ["d8", "d7"]
    assert names_of(workshop, sort="metrics.loss", limit=2) == ["d8", "d7"]
    assert names_of(workshop, experiments=("grid",), where="name in ('d4', 'other')") == ["d4"]
    assert names_of(workshop, where="experiment != 'grid'") == ["other"]


def test_runs_are_read_page_by_page(workshop: Workshop) -> None:
    for number in range(7):
        run = begin(workshop, name=str(number))
        log(workshop, run.id, points=(point(0.1 * (number % 3)),))
    found: list[str] = []
    after = ""
    while True:
        page = in_transaction(workshop, search_runs, SearchRuns(sort="-metrics.loss", limit=2, after=after))
        found += [run.name for run in page.runs]
        after = page.next
        if not after:
            break
    assert found == ["5", "2", "4", "1", "6", "3", "0"]


@pytest.mark.parametrize("after", ["x", "W10=", "WyJ4IiwiIixbXV0=", "é"])
def test_a_page_that_was_made_up_is_refused(workshop: Workshop, after: str) -> None:
    with pytest.raises(InvalidRequest, match="after is"):
        in_transaction(workshop, search_runs, SearchRuns(after=after))


def test_a_page_of_another_question_is_refused(workshop: Workshop) -> None:
    for _ in range(3):
        begin(workshop)
    page = in_transaction(workshop, search_runs, SearchRuns(limit=1))
    with pytest.raises(InvalidRequest, match="another question"):
        in_transaction(workshop, search_runs, SearchRuns(limit=1, sort="name", after=page.next))


def test_how_many_may_be_asked_for_is_bounded(workshop: Workshop) -> None:
    for limit in (0, -1, 50_001):
        with pytest.raises(LimitExceeded, match="limit is"):
            in_transaction(workshop, list_runs, ListRuns(limit=limit))
    with pytest.raises(InvalidRequest, match="show is"):
        in_transaction(workshop, list_runs, ListRuns(show="some"))


def test_experiments_are_numbered_from_the_default_on(workshop: Workshop) -> None:
    begin(workshop)
    begin(workshop, experiment="grid")
    made = in_transaction(workshop, create_experiment, CreateExperiment(name="forest", tags={"a": "b"}))
    assert (made.id, made.tags) == ("2", {"a": "b"})
    found = in_transaction(workshop, list_experiments, ListExperiments())
    assert [(one.id, one.name) for one in found] == [("2", "forest"), ("1", "grid"), ("0", "Default")]
    with pytest.raises(Conflict, match="there already"):
        in_transaction(workshop, create_experiment, CreateExperiment(name="grid"))
    with pytest.raises(InvalidRequest, match="needs a name"):
        in_transaction(workshop, create_experiment, CreateExperiment(name=" "))


def test_an_experiment_is_called_otherwise_with_its_runs(workshop: Workshop) -> None:
    begin(workshop, name="a", experiment="grid")
    named = UpdateExperiment(experiment="grid", name="lattice", tags={"x": "1", "y": "2"})
    in_transaction(workshop, update_experiment, named)
    untagged = in_transaction(workshop, update_experiment, UpdateExperiment(experiment="1", untag=("x",)))
    assert (untagged.name, untagged.tags) == ("lattice", {"y": "2"})
    assert names_of(workshop, experiments=("lattice",)) == ["a"]
    assert in_transaction(workshop, show_experiment, ShowExperiment(experiment="1")).name == "lattice"


def test_an_experiment_is_put_away_with_its_runs_and_comes_back_with_them(workshop: Workshop) -> None:
    for name in ("a", "b"):
        begin(workshop, name=name, experiment="grid")
    gone = in_transaction(workshop, list_runs, ListRuns(where="name = 'a'"))[0]
    in_transaction(workshop, delete_run, DeleteRun(run=gone.id))
    pass_time(workshop, 1)
    in_transaction(workshop, delete_experiment, DeleteExperiment(experiment="grid"))
    assert names_of(workshop) == []
    assert [e.name for e in in_transaction(workshop, list_experiments, ListExperiments(show="deleted"))] == ["grid"]
    for refused in (lambda: begin(workshop, experiment="grid"), lambda: rename(workshop)):
        with pytest.raises(Conflict, match="is deleted"):
            refused()
    in_transaction(workshop, restore_experiment, RestoreExperiment(experiment="grid"))
    assert names_of(workshop) == ["b"]


def rename(workshop: Workshop) -> None:
    in_transaction(workshop, update_experiment, UpdateExperiment(experiment="grid", name="x"))


@pytest.mark.parametrize("name", ["Default", "boosted"])
def test_experiments_that_are_always_needed_stay(workshop: Workshop, name: str) -> None:
    begin(workshop, experiment=name)
    with pytest.raises(Conflict, match="is always there"):
        in_transaction(workshop, delete_experiment, DeleteExperiment(experiment=name))
    with pytest.raises(Conflict, match="keeps its name"):
        in_transaction(workshop, update_experiment, UpdateExperiment(experiment=name, name="other"))
