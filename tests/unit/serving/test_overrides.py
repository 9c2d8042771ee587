"""Features that a request brings along go before those that are stored."""

from dataclasses import replace
from types import ModuleType

import numpy as np
import pytest
from tests.serving.bundles import FIELDS, ORIGIN, PLAN_OF_TESTS, ROW, publish_bundle
from tests.serving.predictors import PATH, Bench, Unplugged
from tests.serving.projects import arm

import octavo as oc
from octavo.definitions.models import Model
from octavo.definitions.plans import PlannedField, plan_lookup
from octavo.definitions.types import DType
from octavo.errors import InvalidDefinition
from octavo.features.values import FeatureStatus

MEAN = ORIGIN.inputs[0]
PLAN = replace(
    PLAN_OF_TESTS,
    fields=(*FIELDS, PlannedField(name=MEAN, dtype=DType.FLOAT64, required=False)),
    overrides=(MEAN,),
)
WEIGHTS = [1.0, 10.0, 0.0, 0.0, 0.0]


def serve(bench: Bench, **changes: object) -> None:
    bench.delays(3.0, 5.0)
    bench.publish(arm(publish_bundle(bench.project.artifacts, plan=PLAN, weights=WEIGHTS)), **changes)


def test_what_is_sent_goes_before_what_is_stored_and_is_marked(bench: Bench) -> None:
    serve(bench)
    stored, sent, null = bench.predict(ROW, {**ROW, MEAN: 40.0}, {**ROW, MEAN: None})["predictions"]
    assert (stored["value"], sent["value"], null["value"]) == (24.0, 60.0, 24.0)
    assert sent["features"] == {MEAN: "sent"}
    assert "features" not in stored
    assert "features" not in null
    record = bench.records[1]
    assert record.status[0] == FeatureStatus.SENT
    assert np.frombuffer(record.inputs, "<f4")[0] == 40.0
    assert record.request[MEAN] == 40.0


def test_it_needs_no_store(bench: Bench) -> None:
    serve(bench)
    assert isinstance(bench.online, Unplugged)
    bench.online.is_gone = True
    answer = bench.predict({**ROW, MEAN: 40.0})
    assert answer["degraded"]
    assert answer["predictions"][0]["features"] == {MEAN: "sent", ORIGIN.inputs[1]: "unread"}


def test_a_deployment_that_rejects_without_features_takes_them_from_the_request(bench: Bench) -> None:
    plan = replace(
        PLAN,
        fields=(*PLAN.fields, PlannedField(name=ORIGIN.inputs[1], dtype=DType.FLOAT64, required=False)),
        overrides=ORIGIN.inputs,
    )
    bench.publish(arm(publish_bundle(bench.project.artifacts, plan=plan, weights=WEIGHTS)), on_unread="reject")
    assert isinstance(bench.online, Unplugged)
    bench.online.is_gone = True
    assert bench.caller.post(PATH, {"rows": [{**ROW, MEAN: 40.0}]}).status == 503
    [prediction] = bench.predict({**ROW, MEAN: 40.0, ORIGIN.inputs[1]: 2.0})["predictions"]
    assert prediction["value"] == 60.0


def test_a_number_is_demanded(bench: Bench) -> None:
    serve(bench)
    reply = bench.caller.post(PATH, {"rows": [{**ROW, MEAN: "forty"}]})
    assert reply.status == 422
    assert reply.json["field"] == f"rows[0].{MEAN}"


def test_only_features_of_views_may_be_brought_along() -> None:
    trips = oc.Source("trips", event_time="at", schema={"at": oc.Timestamp, "depot": oc.String, "hours": oc.Float64})
    view = oc.FeatureView(
        "depots", entity=oc.Entity("depot", key="depot"), source=trips, features=[oc.mean("hours", over="1h")]
    )

    def declared(*overrides: str) -> Model:
        @oc.model(features=[view], label=oc.Label(trips, "hours", at="at"), metrics=["mae"], overrides=overrides)
        def hours(train: object) -> ModuleType: ...

        return hours

    plan = plan_lookup(declared("depots__hours_mean_1h"))
    assert plan.overrides == ("depots__hours_mean_1h",)
    assert plan.fields[-1] == PlannedField(name="depots__hours_mean_1h", dtype=DType.FLOAT64, required=False)
    with pytest.raises(InvalidDefinition, match="overrides name weight"):
        declared("weight")
