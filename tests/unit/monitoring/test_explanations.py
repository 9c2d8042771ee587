"""The reasons of recorded predictions are those that a caller was told."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from tests.plants import memory_stores
from tests.serving.bundles import CALIBRATED, CODE, PLAN_WITH_ANSWER, ROW, publish_bundle
from tests.serving.predictors import PATH, Bench, make_bench
from tests.serving.projects import arm

from octavo.errors import IntegrityError, InvalidRequest, NotFound
from octavo.monitoring.explanations import explain_prediction
from octavo.monitoring.prediction_log import SCHEMA, TABLE, ship_predictions
from octavo.stores.ports import Stores

WEIGHTS = [0.0, 0.0, 0.0, 2.0, -1.0]


def shipped(bench: Bench) -> Stores:
    """Stores whose table holds what a predictor recorded."""
    stores = replace(memory_stores(), artifacts=bench.project.artifacts)
    while ship_predictions(bench.log, stores.tables):
        pass
    return stores


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    made = make_bench(tmp_path)
    made.publish(arm(publish_bundle(made.project.artifacts, weights=WEIGHTS)))
    return made


def test_they_are_those_that_the_caller_was_told(bench: Bench) -> None:
    row = {**ROW, "distance": 321.0, "seats": 12}
    [told] = bench.caller.post(f"{PATH}?explain=true", {"rows": [row]}).json["predictions"]
    found = explain_prediction(shipped(bench), told["id"])
    assert (found.base, found.output) == (told["base"], told["value"])
    assert [(one.input, one.contribution) for one in found.reasons] == [
        (one["input"], one["contribution"]) for one in told["reasons"]
    ]


def test_what_is_missing_has_no_value_and_a_contribution(bench: Bench) -> None:
    [made] = bench.predict({**ROW, "seats": None})["predictions"]
    found = explain_prediction(shipped(bench), made["id"])
    assert [one.value for one in found.reasons if one.input == "seats"] == [None]


def test_what_a_failure_was_cannot_be_explained(bench: Bench) -> None:
    failing = publish_bundle(bench.project.artifacts, weights=[0.0, 0.0, 0.0, 3e38, 0.0])
    bench.publish(arm(failing), sequence=2)
    assert bench.caller.post(PATH, {"rows": [ROW]}).status == 500
    [record] = bench.records
    with pytest.raises(InvalidRequest, match="failed, so that there is nothing to explain"):
        explain_prediction(shipped(bench), record.id)


def test_an_unknown_prediction_is_not_found(bench: Bench) -> None:
    with pytest.raises(NotFound):
        explain_prediction(shipped(bench), "0190-none")


@pytest.mark.parametrize("changed", [{"output": 1e6}, {"inputs": b"\0" * 8}])
def test_a_record_that_its_bundle_does_not_reproduce_is_told_so(bench: Bench, changed: dict[str, Any]) -> None:
    bench.predict(ROW)
    stores = shipped(bench)
    [row] = stores.tables.query(f"SELECT * FROM {TABLE}", tables={TABLE: TABLE}).to_pylist()
    wrong = pa.Table.from_pylist([{**row, **changed, "id": "0190-wrong"}], schema=SCHEMA)
    stores.tables.append(TABLE, wrong, writer="test", sequence=1)
    with pytest.raises(IntegrityError, match=r"does not reproduce|values were recorded"):
        explain_prediction(stores, "0190-wrong")


def test_without_its_bundle_it_is_told_what_to_do(bench: Bench) -> None:
    [made] = bench.predict(ROW)["predictions"]
    stores = replace(shipped(bench), artifacts=memory_stores().artifacts)
    with pytest.raises(IntegrityError, match="restore the artifacts from a backup"):
        explain_prediction(stores, made["id"])


def test_they_are_about_what_the_model_said_before_what_comes_after_it(bench: Bench) -> None:
    made = publish_bundle(
        bench.project.artifacts, plan=PLAN_WITH_ANSWER, code=CODE + CALIBRATED, weights=[0.0, 0.0, 0.0, 1.0, -1.0]
    )
    bench.publish(arm(made), sequence=2)
    row = {**ROW, "distance": 500.0, "seats": 100}
    [told] = bench.caller.post(f"{PATH}?explain=true", {"rows": [row]}).json["predictions"]
    found = explain_prediction(shipped(bench), told["id"])
    assert (found.before, found.output) == (told["before"], told["value"]) == (pytest.approx(400.0), 450.0)
    assert found.base + sum(one.contribution for one in found.reasons) == pytest.approx(400.0)
