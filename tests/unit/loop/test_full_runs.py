"""Trainings as full runs: what they ran in, what they logged and wrote, whichever way they ended."""

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.workshop import Workshop, boosted, declare, in_transaction, open_workshop

import octavo as oc
from octavo.errors import TrainingFailed, Unavailable
from octavo.loop import training_logs
from octavo.loop.operations import TrainModel, train
from octavo.loop.training_logs import keep_log_file, log_file
from octavo.loop.trainings import new_run, record_interrupted, train_version
from octavo.stores.memory import MemoryArtifacts
from octavo.training.runs import Run, RunStatus
from octavo.training.tracking.operations import LoggedPoint, ShowHistory, show_history


def talkative(train: oc.Dataset) -> Any:
    """Logs to its own run, prints, and has a run of its own."""
    run = oc.active_run()
    assert run is not None
    for step in range(3):
        run.log_metric("loss", 1 / (step + 1))
    run.log_metric("mae", 99.0)
    run.log_param("trees", 20)
    run.log_text("notes.txt", "grown")
    with oc.run("a part") as part:
        part.log_metric("score", 1.0)
    print("growing trees")
    logging.getLogger("shop").warning("slowly")
    return boosted(train)


def failing(train: oc.Dataset) -> Any:
    """Logs, and fails."""
    run = oc.active_run()
    assert run is not None
    run.log_metric("loss", 7.0)
    print("about to fail")
    raise ValueError("no trees today")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workshop, Run]:
    workshop = open_workshop(tmp_path_factory.mktemp("talk"), declare(talkative, gates=[oc.at_most("mae", 100)]))
    return workshop, train(TrainModel(model="talkative"), workshop.context).run


def text(workshop: Workshop, run: Run, name: str) -> str:
    return workshop.context.stores.artifacts.get(run.artifacts[name]).decode()


def run_of(workshop: Workshop, run_id: str) -> Run:
    with workshop.context.stores.metadata.transaction() as tx:
        run = tx.get(Run, run_id)
    assert run is not None
    return run


def history(workshop: Workshop, run: Run, metric: str) -> list[LoggedPoint]:
    return list(in_transaction(workshop, show_history, ShowHistory(run=run.id, metric=metric)))


def test_a_training_records_what_it_ran_in(trained: tuple[Workshop, Run]) -> None:
    workshop, run = trained
    assert (run.status, run.experiment, run.version, run.by) == (RunStatus.SUCCEEDED, "talkative", 1, "system")
    assert "lightgbm==" in text(workshop, run, "octavo/environment.txt")
    assert "Spending in shops" in text(workshop, run, "octavo/code.json")
    assert run.hardware["cores"]
    assert run.dataset.startswith("sha256:")


def test_what_a_models_function_logs_joins_the_record_of_its_training(trained: tuple[Workshop, Run]) -> None:
    workshop, run = trained
    assert [point.value for point in history(workshop, run, "loss")] == [1.0, 0.5, pytest.approx(1 / 3)]
    assert (run.params["trees"], text(workshop, run, "notes.txt")) == ("20", "grown")


def test_what_it_is_judged_by_comes_last_whatever_was_logged_under_that_name(trained: tuple[Workshop, Run]) -> None:
    workshop, run = trained
    points = history(workshop, run, "mae")
    assert [(point.step, point.value) for point in points] == [(0, 99.0), (1, run.metrics["mae"])]
    assert run.metrics["mae"] < 99


def test_a_run_within_a_training_is_a_part_of_it(trained: tuple[Workshop, Run]) -> None:
    workshop, run = trained
    with workshop.context.stores.metadata.transaction() as tx:
        [part] = tx.find(Run, parent=run.id, name="a part")
    assert (part.experiment, part.metrics, part.status) == ("talkative", {"score": 1.0}, RunStatus.SUCCEEDED)


def test_what_it_printed_and_logged_is_kept(trained: tuple[Workshop, Run]) -> None:
    workshop, run = trained
    assert run.log == run.artifacts["octavo/log.txt"]
    written = text(workshop, run, "octavo/log.txt")
    assert "growing trees" in written
    assert "WARNING shop: slowly" in written


def test_outside_of_a_training_there_is_no_active_run() -> None:
    assert oc.active_run() is None


def test_a_training_that_fails_keeps_what_it_logged(tmp_path: Path) -> None:
    workshop = open_workshop(tmp_path, declare(failing))
    with pytest.raises(TrainingFailed):
        train(TrainModel(model="failing"), workshop.context)
    with workshop.context.stores.metadata.transaction() as tx:
        [run] = tx.find(Run)
    assert (run.status, run.metrics["loss"]) == (RunStatus.FAILED, 7.0)
    assert "no trees today" in run.error
    assert "about to fail" in text(workshop, run, "octavo/log.txt")
    assert run.environment


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    return open_workshop(tmp_path, declare(boosted), events=0)


def running(workshop: Workshop) -> Run:
    run = replace(new_run(workshop.context, "boosted", trigger="user"), status=RunStatus.RUNNING)
    with workshop.context.stores.metadata.transaction() as tx:
        tx.add(run)
    return run


def write_log(workshop: Workshop, run: Run, data: bytes) -> Path:
    file = log_file(workshop.context.config.home, run.id)
    file.parent.mkdir(parents=True)
    file.write_bytes(data)
    return file


def test_what_a_process_wrote_before_it_was_killed_is_kept(workshop: Workshop) -> None:
    run = running(workshop)
    file = write_log(workshop, run, b"tree 7 of 20\n")
    record_interrupted(workshop.context, run, error="ended by signal 9")
    found = run_of(workshop, run.id)
    assert (found.status, text(workshop, found, "octavo/log.txt")) == (RunStatus.FAILED, "tree 7 of 20\n")
    assert not file.exists()
    keep_log_file(workshop.context, run.id)
    assert run_of(workshop, run.id) == found


def test_a_log_that_cannot_be_kept_now_stays_where_it_is(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    run = running(workshop)
    file = write_log(workshop, run, b"tree 7 of 20\n")

    def gone(store: MemoryArtifacts, data: bytes) -> str:
        raise Unavailable("the artifacts cannot be reached")

    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(MemoryArtifacts, "put", gone)
        record_interrupted(workshop.context, run, error="ended by signal 9")
    assert (run_of(workshop, run.id).status, file.read_bytes()) == (RunStatus.FAILED, b"tree 7 of 20\n")


def test_of_a_long_log_its_beginning_and_its_end_are_kept(workshop: Workshop) -> None:
    run = running(workshop)
    size = training_logs.MOST_LOG_BYTES * 2
    write_log(workshop, run, b"first\n" + b"x" * size + b"\nlast words")
    keep_log_file(workshop.context, run.id)
    written = text(workshop, run_of(workshop, run.id), "octavo/log.txt")
    assert written.startswith("first\n")
    assert written.endswith("last words")
    assert len(written) < training_logs.MOST_LOG_BYTES + 100
    assert "bytes are left out" in written


def test_a_secret_does_not_get_into_a_log(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CANARY", "canary-log-8812")
    config = workshop.context.config
    config = replace(config, stores=replace(config.stores, online="redis://h?password=env:CANARY"))
    run = running(workshop)
    write_log(workshop, run, b"connecting with canary-log-8812\n")
    keep_log_file(replace(workshop.context, config=config), run.id)
    assert text(workshop, run_of(workshop, run.id), "octavo/log.txt") == "connecting with env:CANARY\n"


def test_a_training_of_an_experiment_that_was_deleted_brings_it_back(tmp_path: Path) -> None:
    from octavo.training.tracking.experiments import Experiment, add

    workshop = open_workshop(tmp_path, declare(boosted))
    with workshop.context.stores.metadata.transaction() as tx:
        made = add(tx, "boosted", tags={}, now=workshop.now)
        tx.replace(made, replace(made, deleted_at=workshop.now))
    train_version(workshop.context, new_run(workshop.context, "boosted", trigger="user"))
    with workshop.context.stores.metadata.transaction() as tx:
        assert [one.deleted_at for one in tx.find(Experiment)] == [None]
