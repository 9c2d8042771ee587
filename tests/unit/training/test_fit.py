"""Training: what it makes, and that every way to fail is recorded and says what to do."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.workshop import Workshop, boosted, declare, open_workshop

import octavo as oc
from octavo.definitions.models import Task
from octavo.errors import InvalidDefinition, TrainingFailed
from octavo.features.datasets.training_sets import build_training_set
from octavo.training.fit import TRAINED, TrainedModel, code_digest, train
from octavo.training.runs import Run, RunStatus


def guess(train: oc.Dataset) -> Any:
    """Three for each item."""
    return Guess()


def undecided(train: oc.Dataset) -> Any:
    """As likely as not."""
    return Guess(slope=0.0, start=0.5)


class Guess:
    def __init__(self, *, slope: float = 3.0, start: float = 0.0) -> None:
        self.slope, self.start = slope, start

    def predict(self, rows: Any) -> Any:
        return np.nan_to_num(rows[:, -1]) * self.slope + self.start


def raising(train: oc.Dataset) -> Any:
    raise KeyError("spent")


def of_octavo(train: oc.Dataset) -> Any:
    raise TrainingFailed("too few rows for me")


def interrupted(train: oc.Dataset) -> Any:
    raise KeyboardInterrupt


def forgetful(train: oc.Dataset) -> Any:
    boosted(train)


def unfitted(train: oc.Dataset) -> Any:
    from sklearn.linear_model import LinearRegression

    return LinearRegression()


def classifying(train: oc.Dataset) -> Any:
    from sklearn.dummy import DummyClassifier

    return DummyClassifier().fit(train.X, train.y > 0)


def spoiling(train: oc.Dataset) -> Any:
    """Writes into what it was given."""
    train.X[:] = 0.0
    train.y[:] = 1e6
    return Guess()


def workshop_of(folder: Path, function: Callable[[oc.Dataset], Any], **changes: Any) -> Workshop:
    return open_workshop(folder, declare(function, **changes))


def trained_in(workshop: Workshop, **more: Any) -> TrainedModel:
    return train(workshop.context, workshop.model, as_of=workshop.now, **more)


def runs(workshop: Workshop) -> list[Run]:
    with workshop.context.stores.metadata.transaction() as tx:
        return tx.find(Run)


def test_a_training_ends_with_a_report_on_rows_that_it_has_not_seen(tmp_path: Path) -> None:
    workshop = workshop_of(tmp_path, guess)
    trained = trained_in(workshop)
    data = trained.training_set
    assert trained.predictions.tolist() == (np.nan_to_num(data.holdout.X[:, -1]) * 3).tolist()
    assert trained.report.metrics["mae"].value == pytest.approx(np.abs(trained.predictions - data.holdout.y).mean())
    assert trained.report.training.end < data.holdout_from.astimezone() <= trained.report.holdout.start
    assert trained.report.importance["items"] == pytest.approx(1.0)
    assert set(trained.report.profiles) == set(workshop.model.input_names)


def test_its_run_is_recorded_with_what_it_used_and_what_came_of_it(tmp_path: Path) -> None:
    workshop = workshop_of(tmp_path, guess)
    trained = trained_in(workshop, trigger="drift: weather")
    [run] = runs(workshop)
    assert run == trained.run
    assert (run.status, run.trigger, run.as_of) == (RunStatus.SUCCEEDED, "drift: weather", workshop.now)
    assert run.rows == len(trained.training_set.train) + len(trained.training_set.holdout)
    assert run.dataset == trained.training_set.digest
    assert run.code == code_digest(workshop.context.project.code)
    assert run.metrics == {"mae": trained.report.metrics["mae"].value}
    assert run.seconds > 0
    assert run.error == ""


def test_a_run_that_was_requested_keeps_its_id_and_trigger(tmp_path: Path) -> None:
    workshop = workshop_of(tmp_path, guess)
    asked = Run(
        id="asked",
        model="guess",
        status=RunStatus.REQUESTED,
        trigger="cron",
        as_of=workshop.now,
        started_at=workshop.now,
    )
    run = trained_in(workshop, run=asked).run
    assert (run.id, run.trigger, run.status) == ("asked", "cron", RunStatus.SUCCEEDED)
    assert runs(workshop) == [run]


def test_a_binary_model_is_judged_by_its_probabilities(tmp_path: Path) -> None:
    def likely(train: oc.Dataset) -> Any:
        from lightgbm import LGBMClassifier

        return LGBMClassifier(n_estimators=5, n_jobs=1, verbose=-1).fit(train.X, train.y)

    report = trained_in(workshop_of(tmp_path, likely, above=20.0, metrics=["log_loss", "auc"])).report
    assert report.task is Task.BINARY
    assert report.metrics["log_loss"].value < report.baselines["constant"]["log_loss"].value
    assert report.metrics["auc"].value > 0.8


def test_metrics_that_only_gates_name_are_judged_too(tmp_path: Path) -> None:
    workshop = workshop_of(tmp_path, guess, gates=[oc.at_least("r2", 0.1)])
    assert list(trained_in(workshop).report.metrics) == ["mae", "r2"]


def test_nothing_that_became_known_later_is_used(tmp_path: Path) -> None:
    workshop = workshop_of(tmp_path, guess)
    early = workshop.now.replace(day=12)
    report = train(workshop.context, workshop.model, as_of=early).report
    assert report.holdout.end < early
    assert report.as_of == early


def test_a_function_that_spoils_what_it_was_given_spoils_neither_report_nor_baselines(tmp_path: Path) -> None:
    workshop = workshop_of(tmp_path, spoiling)
    trained = trained_in(workshop)
    data = build_training_set(workshop.context.stores.tables, workshop.model, as_of=workshop.now)
    assert np.array_equal(trained.training_set.train.X, data.train.X, equal_nan=True)
    assert trained.report.baselines["constant"]["mae"].value < 20
    assert trained.report.label.high == pytest.approx(data.train.y.max())


def test_progress_rises_to_where_registration_begins(tmp_path: Path) -> None:
    workshop = workshop_of(tmp_path, guess)
    steps: list[float] = []
    context = replace(workshop.context, progress=lambda fraction, message: steps.append(fraction))
    train(context, workshop.model, as_of=workshop.now)
    assert steps == sorted(steps)
    assert steps[-1] == TRAINED


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (raising, r"the training function 'raising' raised KeyError: 'spent'[\s\S]*test_fit\.py[\s\S]*in raising"),
        (of_octavo, "^too few rows for me$"),
        (forgetful, "returned None; return the fitted estimator"),
        (unfitted, "the estimator raised NotFittedError"),
        (classifying, "is a classifier, but the label is a number"),
    ],
)
def test_a_function_that_fails_is_recorded_with_the_reason(
    tmp_path: Path, function: Callable[[oc.Dataset], Any], words: str
) -> None:
    workshop = workshop_of(tmp_path, function)
    with pytest.raises(TrainingFailed, match=words) as failure:
        trained_in(workshop)
    [run] = runs(workshop)
    assert (run.status, run.error) == (RunStatus.FAILED, failure.value.message)
    assert run.finished_at == workshop.now


def test_an_interruption_is_recorded_too(tmp_path: Path) -> None:
    workshop = workshop_of(tmp_path, interrupted)
    with pytest.raises(KeyboardInterrupt):
        trained_in(workshop)
    assert [(run.status, run.error) for run in runs(workshop)] == [(RunStatus.KILLED, "KeyboardInterrupt")]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"holdout": "30d"}, r"has 0 rows to train on.*declare a shorter holdout"),
        ({"holdout": "1s"}, r"and 0 to hold out.*declare a longer holdout"),
        ({"above": 1e9, "metrics": ["auc"]}, "cannot be evaluated: auc is undefined"),
    ],
)
def test_rows_that_do_not_suffice_are_named_with_what_to_do(
    tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    workshop = workshop_of(tmp_path, undecided, **changes)
    with pytest.raises(TrainingFailed, match=words):
        trained_in(workshop)
    assert [run.status for run in runs(workshop)] == [RunStatus.FAILED]


@pytest.mark.parametrize(
    ("metrics", "words"), [(["auc"], "no metric of a regression model"), ([], "declares no metric")]
)
def test_a_model_without_a_metric_that_fits_is_refused(tmp_path: Path, metrics: list[str], words: str) -> None:
    workshop = workshop_of(tmp_path, guess, metrics=metrics)
    with pytest.raises(InvalidDefinition, match=words):
        trained_in(workshop)
    assert [run.status for run in runs(workshop)] == [RunStatus.FAILED]


def test_without_any_event_it_says_how_to_send_some(tmp_path: Path) -> None:
    workshop = open_workshop(tmp_path, declare(guess), events=0)
    with pytest.raises(TrainingFailed, match="octavo ingest"):
        trained_in(workshop)


def test_the_digest_of_code_depends_on_names_and_content() -> None:
    digests = {code_digest(code) for code in ({"a": "b"}, {"ab": ""}, {"a": "", "b": ""}, {"a": "c"}, {})}
    assert len(digests) == 5
    assert code_digest({"a": "1", "b": "2"}) == code_digest({"b": "2", "a": "1"})
