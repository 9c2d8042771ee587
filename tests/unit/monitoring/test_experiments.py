"""How the arms of an experiment are compared."""

import json
from datetime import timedelta
from itertools import count
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from tests.stages import DEPLOYMENT, HOUR, MODEL, Stage, set_stage

import octavo as oc
from octavo.errors import Conflict, NotFound
from octavo.monitoring.experiments import ArmResult, ExperimentReport, experiment_of, report_of
from octavo.monitoring.outcomes import SCHEMA as OUTCOMES
from octavo.monitoring.prediction_log import SCHEMA
from octavo.release import experiment_lifecycle as experiments
from octavo.release import lifecycle
from octavo.release.rollout import Evidence

NUMBERS = count()
FASTER = oc.Experiment("faster", arms={"control": 50, "challenger": 50}, length="1d")


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    """A stage on which an experiment runs."""
    stage = set_stage(tmp_path, experiments=[FASTER], unit="origin")
    for version in (1, 2):
        stage.add_version(version)
    release = lifecycle.request(stage.context, DEPLOYMENT, version=1, cause="user")
    for _ in range(3):
        lifecycle.advance(stage.context, release.id, evidence=Evidence(has_live=False))
    found = experiments.start(stage.context, DEPLOYMENT, "faster", versions={}, refusal=lambda *_: "")
    experiments.note_served(stage.context, found.id)
    return stage


def answer(
    stage: Stage,
    group: str,
    *,
    outputs: npt.NDArray[np.float64],
    truths: npt.NDArray[np.float64],
    units: list[str] | None = None,
    arm: str = "experiment",
) -> None:
    """Predictions of one group with their outcomes, each about a unit of its own unless told."""
    tables, now, n = stage.context.stores.tables, stage.clock.now(), len(outputs)
    ids = [f"{group}-{arm}-{next(NUMBERS)}-{place}" for place in range(n)]
    units = ids if units is None else units
    blank = {"deployment": DEPLOYMENT, "model": MODEL, "version": 1, "digest": "", "arm": arm, "entities": "{}",
             "inputs": b"", "status": b"", "ages_s": b"", "latency_us": 1, "caller": "", "trace": "",
             "propensity": 0.5, "group": group, "at": now}  # fmt: skip
    rows = [
        {**blank, "id": one, "request": json.dumps({"origin": unit}), "output": output}
        for one, unit, output in zip(ids, units, outputs.tolist(), strict=True)
    ]
    known = [
        {"id": one, "prediction": one, "value": truth, "known_at": now, "received_at": now, "sequence": place}
        for place, (one, truth) in enumerate(zip(ids, truths.tolist(), strict=True))
    ]
    for table, schema, found in (("predictions", SCHEMA, rows), ("outcomes", OUTCOMES, known)):
        tables.ensure(table, schema)
        done = tables.written(table, "test")
        tables.append(table, pa.Table.from_pylist(found, schema=schema), writer="test", sequence=done + 1)


def report(stage: Stage) -> ExperimentReport:
    stage.wait(HOUR)
    context = stage.context
    return report_of(context, experiment_of(context, DEPLOYMENT, None), model=context.project.model(MODEL))


def arms(stage: Stage) -> dict[str, ArmResult]:
    return {arm.name: arm for arm in report(stage).arms}


def noise(n: int, *, seed: int) -> npt.NDArray[np.float64]:
    return np.random.default_rng(seed).normal(0, 10, n)


def test_arms_are_compared_by_what_came_of_their_answers(stage: Stage) -> None:
    answer(stage, "faster/control", outputs=np.zeros(2_000), truths=noise(2_000, seed=1))
    answer(stage, "faster/challenger", outputs=np.zeros(2_000), truths=noise(2_000, seed=2) - 3)
    found = arms(stage)
    control, challenger = found["control"], found["challenger"]
    assert (control.units, control.predictions, control.outcomes, control.version) == (2_000, 2_000, 2_000, 1)
    assert challenger.outcome_difference is not None
    assert challenger.outcome_difference.low < -3 < challenger.outcome_difference.high < 0
    assert control.outcome_difference is None
    assert challenger.metric is not None
    assert challenger.metric.value == pytest.approx(np.abs(noise(2_000, seed=2) - 3).mean())


def test_many_predictions_of_few_units_are_no_certainty(stage: Stage) -> None:
    levels = noise(60, seed=3)
    units = [f"airport {unit}" for unit in range(60) for _ in range(50)]
    answer(stage, "faster/control", outputs=np.zeros(3_000), truths=np.repeat(levels, 50), units=units)
    found = arms(stage)["control"]
    assert found.units == 60
    assert found.outcome is not None
    half = (found.outcome.high - found.outcome.low) / 2
    assert half == pytest.approx(1.96 * levels.std() / np.sqrt(60), rel=0.3), "as for sixty values, not for 3,000"


def test_predictions_outside_the_experiment_do_not_count(stage: Stage) -> None:
    answer(stage, "faster/control", outputs=np.zeros(100), truths=np.ones(100))
    answer(stage, "", outputs=np.zeros(100), truths=np.zeros(100), arm="live")
    answer(stage, "fasterer/control", outputs=np.zeros(100), truths=np.zeros(100))
    assert arms(stage)["control"].predictions == 100


def test_where_a_version_failed_the_answer_of_the_live_one_counts_for_the_arm(stage: Stage) -> None:
    answer(stage, "faster/challenger", outputs=np.full(40, np.nan), truths=np.ones(40))
    answer(stage, "faster/challenger", outputs=np.zeros(40), truths=np.ones(40), arm="live")
    answer(stage, "faster/challenger", outputs=np.zeros(60), truths=np.ones(60))
    found = arms(stage)["challenger"]
    assert (found.predictions, found.failed, found.outcomes) == (100, 40, 100)


def test_with_few_units_nothing_is_claimed(stage: Stage) -> None:
    answer(stage, "faster/control", outputs=np.zeros(10), truths=np.ones(10))
    found = arms(stage)["control"]
    assert (found.outcomes, found.outcome, found.metric) == (10, None, None)
    assert (arms(stage)["challenger"].predictions, arms(stage)["challenger"].mean_prediction) == (0, None)


def test_arms_whose_numbers_cannot_be_by_chance_are_not_to_be_trusted(stage: Stage) -> None:
    answer(stage, "faster/control", outputs=np.zeros(1_000), truths=np.zeros(1_000))
    answer(stage, "faster/challenger", outputs=np.zeros(960), truths=np.zeros(960))
    assert report(stage).mismatch == ""
    answer(stage, "faster/control", outputs=np.zeros(300), truths=np.zeros(300))
    assert report(stage).mismatch.startswith("arm 'control' has 1,300 of 2,260 units, where about 1,130 were")


def test_a_look_before_the_end_says_what_it_is_worth(stage: Stage) -> None:
    early = report(stage)
    assert not early.is_due
    assert "they hold for one look at 2013-07-02 00:00, when the declared length is over" in early.caution
    stage.wait(timedelta(days=1))
    assert report(stage).is_due


def test_an_experiment_is_judged_up_to_its_end(stage: Stage) -> None:
    stage.wait(HOUR)
    experiments.stop(stage.context, DEPLOYMENT, reason="")
    answer(stage, "faster/control", outputs=np.zeros(10), truths=np.zeros(10))
    assert arms(stage)["control"].predictions == 0


def test_without_an_experiment_there_is_nothing_to_show(tmp_path: Path) -> None:
    stage = set_stage(tmp_path)
    with pytest.raises(Conflict, match="no experiment was started in 'eta' yet"):
        experiment_of(stage.context, DEPLOYMENT, None)
    with pytest.raises(NotFound):
        experiment_of(stage.context, DEPLOYMENT, "unknown")
