"""Recorded predictions, read back."""

import math
from datetime import timedelta

import msgspec
import numpy as np
import pytest
from tests.unit.monitoring.scenes import INPUTS, START, Scene, draw

from octavo.errors import InvalidRequest, NotFound
from octavo.monitoring.predictions import PredictionDetails, PredictionSummary, list_predictions, show_prediction


def page(
    scene: Scene, *, limit: int = 50, entity: str | None = None, before: str | None = None
) -> tuple[PredictionSummary, ...]:
    return list_predictions(scene.stores, scene.context.project, "eta", limit=limit, entity=entity, before=before)


def show(scene: Scene, prediction: str) -> PredictionDetails:
    return show_prediction(scene.stores, scene.context.project, prediction)


def test_predictions_are_listed_newest_first_page_by_page_without_a_gap() -> None:
    scene = Scene()
    ids = scene.predict(scene.register(), draw(scene.random, 25), over=timedelta(0))
    found: list[str] = []
    while part := page(scene, limit=10, before=found[-1] if found else None):
        found += [summary.id for summary in part]
    assert found == sorted(ids, reverse=True)


def test_those_about_one_entity_are_found() -> None:
    scene = Scene()
    scene.predict(scene.register(), draw(scene.random, 9))
    found = page(scene, entity="origin=EWR")
    assert [summary.entities for summary in found] == [{"origin": "EWR"}] * 3
    assert page(scene, entity="carrier=UA") == ()


def test_an_entity_is_named_by_its_column_and_key() -> None:
    for wrong in ("EWR", "=EWR", "a b=c", "$.x=1"):
        with pytest.raises(InvalidRequest, match="names no entity"):
            page(Scene(), entity=wrong)


def test_a_prediction_is_listed_with_the_label_that_came_of_it() -> None:
    scene = Scene()
    version = scene.register(model="is_late")
    first, second = scene.predict(version, draw(scene.random, 2))
    scene.tell({first: 12.0})
    assert {summary.id: summary.label for summary in page(scene)} == {first: 1.0, second: None}


def test_shadows_and_failed_canaries_are_not_listed() -> None:
    scene = Scene()
    version = scene.register()
    records = scene.records(version, draw(scene.random, 1))
    failed = [msgspec.structs.replace(r, arm="canary", version=2, output=math.nan) for r in records]
    shadow = [msgspec.structs.replace(r, arm="shadow", version=3) for r in records]
    scene.publish([*failed, *records, *shadow])
    scene.ship()
    assert [(summary.version, summary.arm) for summary in page(scene)] == [(1, "live")]
    details = show(scene, records[0].id)
    assert (details.summary.version, details.summary.arm) == (1, "live")
    assert [(answer.version, answer.output) for answer in details.shadows] == [(3, records[0].output)]


def test_a_prediction_is_shown_with_all_its_inputs() -> None:
    scene = Scene()
    matrix = np.array([[1.5, 4.0, np.nan, 500.0]])
    [prediction] = scene.predict(scene.register(), matrix)
    details = show(scene, prediction)
    assert [i.name for i in details.inputs] == list(INPUTS)
    assert [i.value for i in details.inputs] == [1.5, 4.0, None, 500.0]
    assert [i.status for i in details.inputs] == ["present", "present", "missing", "present"]
    assert {i.age_s for i in details.inputs} == {60.0}
    assert (details.summary.at, details.request, details.caller) == (START, {"distance": 500.0}, "test")
    assert (details.inputs_problem, details.outcomes, details.shadows) == ("", (), ())


def test_its_outcomes_are_shown_in_the_order_in_which_they_became_known_each_once() -> None:
    scene = Scene()
    [prediction] = scene.predict(scene.register(), draw(scene.random, 1))
    scene.tell({prediction: 7.0}, known_at=START + timedelta(minutes=30))
    for _ in range(2):
        scene.tell({prediction: 5.0}, known_at=START + timedelta(minutes=10))
    details = show(scene, prediction)
    assert [outcome.value for outcome in details.outcomes] == [5.0, 7.0]
    assert details.summary.label == 7.0


def test_a_prediction_whose_bundle_is_gone_is_shown_without_its_inputs() -> None:
    scene = Scene()
    version = scene.register()
    [prediction] = scene.predict(version, draw(scene.random, 1))
    scene.artifacts._bytes.pop(version.digest)
    details = show(scene, prediction)
    assert details.inputs == ()
    assert "gone from the artifacts" in details.inputs_problem
    assert details.summary.output is not None


def test_a_prediction_that_failed_says_so() -> None:
    scene = Scene()
    version = scene.register()
    nothing = {"inputs": b"", "status": b"", "ages_s": b""}
    [prediction] = scene.predict(version, draw(scene.random, 1), outputs=np.array([math.nan]), **nothing)
    details = show(scene, prediction)
    assert details.summary.output is None
    assert "failed" in details.inputs_problem


def test_a_model_that_is_no_longer_declared_leaves_the_outcome_as_it_is() -> None:
    scene = Scene()
    [prediction] = scene.predict(scene.register(), draw(scene.random, 1), model="forgotten")
    scene.tell({prediction: 12.0})
    assert show(scene, prediction).summary.label == 12.0


def test_an_unknown_prediction_is_not_found() -> None:
    scene = Scene()
    scene.predict(scene.register(), draw(scene.random, 1))
    with pytest.raises(NotFound):
        show(scene, "nothing")
