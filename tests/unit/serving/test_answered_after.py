"""Versions with a function after the model: what is answered, recorded and explained, and what failures cost."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.serving.bundles import CALIBRATED, CODE, PLAN_OF_TESTS, PLAN_WITH_ANSWER, ROW, publish_bundle
from tests.serving.predictors import PATH, Bench
from tests.serving.projects import arm

from octavo.definitions.fallbacks import Fallback
from octavo.definitions.plans import LookupPlan, PlannedFunction
from octavo.errors import IntegrityError
from octavo.registry.bundles import fetch_bundle
from octavo.serving.models import LoadedModel, load_model
from octavo.stores.memory import MemoryArtifacts

WEIGHTS = [0.0, 0.0, 0.0, 1.0, -1.0]
PICKY = CODE + CALIBRATED.replace(
    "    return",
    """    if (distance == 13.0).any():
        raise KeyError("unlucky")
    if (distance == 14.0).any():
        return distance[:, None]
    if (distance == 15.0).any():
        return distance * float("nan")
    return""",
)


def bundle(bench: Bench, *, plan: LookupPlan = PLAN_WITH_ANSWER, code: str = CODE + CALIBRATED, **changes: Any) -> str:
    return publish_bundle(bench.project.artifacts, plan=plan, code=code, **{"weights": WEIGHTS, **changes})


def loaded(folder: Path, **changes: Any) -> LoadedModel:
    artifacts = MemoryArtifacts()
    changes = {"plan": PLAN_WITH_ANSWER, "code": CODE + CALIBRATED, **changes}
    return load_model(fetch_bundle(artifacts, publish_bundle(artifacts, **changes), into=folder))


def test_the_answer_is_what_the_function_makes_of_the_output(bench: Bench) -> None:
    bench.publish(arm(bundle(bench)))
    answer = bench.predict(
        {**ROW, "distance": 500.0, "seats": 100},
        {**ROW, "distance": 10.0, "seats": 100},
        {**ROW, "distance": 5_000.0, "seats": None},
    )
    assert [one["value"] for one in answer["predictions"]] == [450.0, 0.0, 1_000.0]


def test_what_is_recorded_is_the_answer(bench: Bench) -> None:
    bench.publish(arm(bundle(bench)))
    [told] = bench.predict({**ROW, "distance": 500.0, "seats": 100})["predictions"]
    [record] = bench.records
    assert (record.id, record.output) == (told["id"], told["value"])
    assert np.frombuffer(record.inputs, "<f4")[3] == 500.0


def test_many_rows_are_answered_by_parts_as_one(bench: Bench) -> None:
    bench.publish(arm(bundle(bench)))
    rows = [{**ROW, "distance": float(number), "seats": 0} for number in range(700)]
    values = [one["value"] for one in bench.predict(*rows)["predictions"]]
    np.testing.assert_allclose(values, np.clip(np.arange(700) * 1.1, 0, 1_000))


def test_such_a_version_is_not_answered_together_with_others(bench: Bench) -> None:
    plain = replace(PLAN_OF_TESTS, functions=(), inputs=(*PLAN_OF_TESTS.inputs[:2], "distance", "seats"))
    bench.publish(arm(bundle(bench, plan=plain, weights=WEIGHTS[1:])))
    assert bench.watcher.lineups["eta"].sole is not None
    planned = replace(plain, answer=PLAN_WITH_ANSWER.answer)
    bench.publish(arm(bundle(bench, plan=planned, weights=WEIGHTS[1:])), sequence=2)
    assert bench.watcher.lineups["eta"].sole is None
    assert bench.predict({**ROW, "distance": 500.0, "seats": 100})["predictions"][0]["value"] == 450.0


@pytest.mark.parametrize("distance", [13.0, 14.0, 15.0])
def test_what_it_fails_on_is_a_failure_of_the_version(bench: Bench, distance: float) -> None:
    bench.publish(arm(bundle(bench, code=PICKY)))
    reply = bench.caller.post(PATH, {"rows": [{**ROW, "distance": distance}]})
    assert (reply.status, reply.json["code"]) == (500, "prediction_failed")
    [record] = bench.records
    assert not np.isfinite(record.output)
    assert bench.predict({**ROW, "distance": 16.0, "seats": 0})["predictions"][0]["value"] == pytest.approx(17.6)


@pytest.mark.parametrize("distance", [13.0, 14.0, 15.0])
def test_a_canary_that_fails_so_is_stood_in_for(bench: Bench, distance: float) -> None:
    canary = arm(bundle(bench, code=PICKY), role="canary", version=2, percent=100)
    bench.publish(arm(bundle(bench), percent=0), canary)
    [told] = bench.predict({**ROW, "distance": distance, "seats": 0})["predictions"]
    assert (told["version"], told["value"]) == (1, pytest.approx(1.1 * distance))


def test_rows_on_which_the_model_itself_fails_are_not_shown_to_it(bench: Bench) -> None:
    lenient = CALIBRATED.replace("    return", "    assert (prediction < 2e38).all()\n    return")
    bench.publish(arm(bundle(bench, code=CODE + lenient, weights=[0.0, 0.0, 0.0, 3e37, 0.0], answers=[1_000.0])))
    reply = bench.caller.post(PATH, {"rows": [{**ROW, "distance": 1.0}, {**ROW, "distance": 500.0}]})
    assert (reply.status, reply.json["detail"][:8]) == (500, "rows[1]:")


def test_the_constant_of_a_deployment_is_the_answer_itself(bench: Bench) -> None:
    bench.publish(arm(bundle(bench)), on_unread=Fallback(7.0))
    bench.online.is_gone = True  # type: ignore[attr-defined]  # of a store that may be
    [told] = bench.predict(ROW)["predictions"]
    assert told["value"] == 7.0


def test_reasons_are_about_what_the_model_said(bench: Bench) -> None:
    bench.publish(arm(bundle(bench)))
    reply = bench.caller.post(f"{PATH}?explain=true", {"rows": [{**ROW, "distance": 500.0, "seats": 100}]})
    [told] = reply.json["predictions"]
    contributions = sum(one["contribution"] for one in told["reasons"])
    assert told["base"] + contributions == pytest.approx(told["before"]) == pytest.approx(400.0)
    assert told["value"] == 450.0


def test_a_version_without_one_tells_of_none(bench: Bench) -> None:
    bench.publish(arm(bundle(bench, plan=PLAN_OF_TESTS)))
    [told] = bench.caller.post(f"{PATH}?explain=1", {"rows": [ROW]}).json["predictions"]
    assert "before" not in told


def test_code_that_does_not_do_what_it_did_must_not_answer(tmp_path: Path) -> None:
    with pytest.raises(IntegrityError, match=r"answers 5\.1 for golden row 0 instead of 5\.2"):
        loaded(tmp_path, answers=[5.2])


def test_a_bundle_that_does_not_say_what_it_must_answer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(IntegrityError, match="1 answers for 2 golden rows"):
        loaded(tmp_path, answers=[5.1, 5.1])


def test_code_that_fails_on_the_golden_rows_is_refused(tmp_path: Path) -> None:
    code = CODE + CALIBRATED.replace("    return", "    raise KeyError('nothing')\n    return")
    with pytest.raises(IntegrityError, match="fails on its golden rows: 'calibrated', which comes after the model"):
        loaded(tmp_path, code=code, answers=[5.1])


def test_code_that_lacks_it_or_has_another_is_refused(tmp_path: Path) -> None:
    with pytest.raises(IntegrityError, match="lacks 'calibrated', which comes after the model"):
        loaded(tmp_path / "a", code=CODE, answers=[5.1])
    other = replace(PLAN_WITH_ANSWER, answer=PlannedFunction(name="calibrated", inputs=("prediction", "seats")))
    with pytest.raises(IntegrityError, match=r"has calibrated\(prediction, distance\), and the plan"):
        loaded(tmp_path / "b", plan=other, answers=[5.1])
