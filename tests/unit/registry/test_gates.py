"""Gates: what passes, and that the evidence says why in numbers."""

from datetime import UTC, datetime, timedelta

import numpy as np
import numpy.typing as npt
import pytest
from tests.workshop import boosted, declare

import octavo as oc
from octavo.definitions.datasets import Dataset
from octavo.definitions.models import Gate
from octavo.features.datasets.making import MadeDataset
from octavo.features.datasets.recipes import recipe_of_labels
from octavo.features.datasets.training_sets import TrainingSet
from octavo.registry.champions import Champion
from octavo.registry.gates import judge
from octavo.registry.signing import Signature
from octavo.registry.versions import GateResult, ModelVersion
from octavo.training.assessment import assess, metrics_of
from octavo.training.fit import TrainedModel
from octavo.training.runs import Run, RunStatus

Floats = npt.NDArray[np.float64]
NOW = datetime(2030, 1, 1, tzinfo=UTC)
LABELS = np.tile([0.0, 1.0, 2.0, 3.0], 100)
TIMES = np.datetime64("2030-01-01", "us") + np.arange(len(LABELS)) * np.timedelta64(1, "m")


def off_by(error: float) -> Floats:
    return LABELS + error


def version(**metrics: float) -> ModelVersion:
    return ModelVersion(
        model="m",
        version=3,
        digest="",
        signature=Signature(key_id="", value=""),
        run="",
        report="",
        created_at=NOW,
        trained_until=NOW - timedelta(days=1),
        metrics=metrics,
    )


class LastColumn:
    """An estimator that answers what stands in the last column."""

    def predict(self, rows: Floats) -> Floats:
        return rows[:, -1]


def verdict(gate: Gate, predictions: Floats, *, champion: Champion | None = None) -> GateResult:
    """How a gate judges predictions where the constant is off by 1 and the declared baseline by 2."""
    model = declare(boosted, gates=[gate])
    matrix = np.column_stack([LABELS, LABELS, off_by(2.0), predictions])
    rows = Dataset(columns=model.input_names, X=matrix, y=LABELS, times=TIMES)
    data = TrainingSet(
        train=rows,
        holdout=rows,
        as_of=NOW,
        holdout_from=NOW,
        unripe=0,
        stood_in={},
        made=MadeDataset(
            digest="sha256:0", rows=len(rows), columns=(), tables={}, recipe=recipe_of_labels(model, as_of=NOW)
        ),
    )
    report, answers = assess(model, data, estimator=LastColumn(), metrics=metrics_of(model))
    run = Run(id="r", model=model.name, status=RunStatus.SUCCEEDED, trigger="user", as_of=NOW, started_at=NOW)
    trained = TrainedModel(
        run=run, model=model, estimator=LastColumn(), training_set=data, predictions=answers, report=report
    )
    return judge(trained, predictions=predictions, champion=champion)[0]


@pytest.mark.parametrize(("bound", "passed"), [(0.5, True), (0.49, False)])
def test_a_bound_may_be_reached_and_not_crossed(bound: float, passed: bool) -> None:
    result = verdict(oc.at_most("mae", bound), off_by(0.5))
    assert result == GateResult(
        gate=f"at_most(mae, {bound:g})", passed=passed, evidence=f"mae is 0.5 (0.5 to 0.5); the bound is {bound:g}"
    )


@pytest.mark.parametrize(("bound", "passed"), [(0.8, True), (0.81, False)])
def test_a_lower_bound_is_for_what_should_be_high(bound: float, passed: bool) -> None:
    assert verdict(oc.at_least("r2", bound), off_by(0.5)).passed is passed


@pytest.mark.parametrize(("error", "passed"), [(0.9, True), (1.0, False), (1.5, False), (3.0, False)])
def test_every_baseline_must_be_beaten(error: float, passed: bool) -> None:
    result = verdict(oc.better_than_baseline("mae"), off_by(error))
    assert result.passed is passed
    assert result.evidence.endswith("baselines: constant 1, takings__spent_latest 2")


def test_without_a_live_version_there_is_nothing_to_beat() -> None:
    result = verdict(oc.better_than_champion("mae"), off_by(9.0))
    assert result.passed
    assert result.evidence == "mae is 9 (9 to 9); no version is live yet"


@pytest.mark.parametrize(("theirs", "passed"), [(0.6, True), (0.5, False), (0.4, False)])
def test_the_live_version_must_be_beaten_on_the_same_rows(theirs: float, passed: bool) -> None:
    champion = Champion(version=version(), predictions=off_by(theirs))
    result = verdict(oc.better_than_champion("mae"), off_by(0.5), champion=champion)
    assert result.passed is passed
    assert f"version 3 has {theirs:.4g} on the same 400 rows" in result.evidence


def test_higher_is_better_where_a_metric_says_so() -> None:
    champion = Champion(version=version(), predictions=off_by(0.5))
    assert verdict(oc.better_than_champion("r2"), off_by(0.4), champion=champion).passed
    assert not verdict(oc.better_than_champion("r2"), off_by(0.6), champion=champion).passed


def test_the_evidence_tells_a_sure_difference_from_one_that_may_be_chance() -> None:
    noise = np.random.default_rng(0).normal(0, 1, len(LABELS))
    sure = Champion(version=version(), predictions=off_by(0.0) + noise * 3)
    unsure = Champion(version=version(), predictions=off_by(0.0) + np.roll(noise, 1))
    gate, ours = oc.better_than_champion("mae"), off_by(0.0) + noise
    assert "chance" not in verdict(gate, ours, champion=sure).evidence
    assert verdict(gate, ours, champion=unsure).evidence.endswith("which may be chance")


def test_the_evidence_says_how_many_rows_the_live_version_may_have_learned_from() -> None:
    champion = Champion(version=version(), predictions=off_by(1.0), learned=120)
    result = verdict(oc.better_than_champion("mae"), off_by(0.5), champion=champion)
    assert "the same 400 rows, of which it may have learned from 120, a difference of -0.5" in result.evidence


@pytest.mark.parametrize(("record", "passed"), [(0.6, True), (0.4, False)])
def test_a_live_version_that_cannot_answer_the_rows_is_met_by_its_record(record: float, passed: bool) -> None:
    champion = Champion(version=version(mae=record), predictions=None, why="version 3 takes x, which these rows lack")
    result = verdict(oc.better_than_champion("mae"), off_by(0.5), champion=champion)
    assert result.passed is passed
    assert f"version 3 takes x, which these rows lack; on its own held-out rows it had {record}" in result.evidence


def test_a_live_version_that_was_never_judged_so_is_no_hindrance() -> None:
    champion = Champion(version=version(log_loss=0.1), predictions=None, why="version 3 is a binary model")
    result = verdict(oc.better_than_champion("mae"), off_by(0.5), champion=champion)
    assert result.passed
    assert "version 3 is a binary model, and it was never judged by mae" in result.evidence
