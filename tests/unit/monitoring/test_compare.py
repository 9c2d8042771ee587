"""What another version would have answered."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from tests.serving.bundles import bundle_files
from tests.unit.monitoring.scenes import ETA, NOISE, START, WEIGHTS, Scene, answer, draw

import octavo as oc
from octavo.definitions.plans import PlannedFunction, plan_lookup
from octavo.errors import Conflict, IntegrityError, InvalidRequest, NotFound
from octavo.monitoring import compare as module
from octavo.monitoring.compare import Comparison, compare


def compared(scene: Scene, version: int, *, deployment: oc.Deployment = ETA) -> Comparison:
    return compare(scene.context, deployment, version=version, since=START, until=scene.clock.now())


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(home=tmp_path)


def test_a_version_that_is_off_by_ten_would_have_erred_by_ten(scene: Scene) -> None:
    live, other = scene.live(1), scene.register(2, bias=10.0)
    scene.mature(scene.predict(live, draw(scene.random, 500)))
    found = compared(scene, other.version)
    assert (found.rows, found.skipped, found.metric, found.higher_is_better) == (500, 0, "mae", False)
    assert found.error_live is not None
    assert found.error_other is not None
    assert found.difference is not None
    assert found.error_live.value == pytest.approx(NOISE * (2 / np.pi) ** 0.5, rel=0.15)
    assert found.error_other.value == pytest.approx(10, rel=0.05)
    assert found.difference.high < 0


def test_the_version_that_answered_answers_the_same_again(scene: Scene) -> None:
    live = scene.live()
    scene.mature(scene.predict(live, draw(scene.random, 300)))
    found = compared(scene, 1)
    assert found.difference is not None
    assert abs(found.difference.value) < 1e-4


def test_what_was_answered_by_different_versions_is_taken_together(scene: Scene) -> None:
    first, second = scene.live(1), scene.register(2)
    matrix = draw(scene.random, 200)
    scene.mature(scene.predict(first, matrix), noise=0)
    scene.tell(
        {
            p: float(v)
            for p, v in zip(scene.predict(second, matrix, outputs=answer(matrix) + 4), answer(matrix), strict=True)
        }
    )
    found = compared(scene, 1)
    assert found.error_live is not None
    assert (found.rows, found.error_live.value) == (400, pytest.approx(2.0, abs=0.01))


def test_a_binary_label_is_judged_as_such(scene: Scene) -> None:
    late = scene.context.project.deployment("late")
    version = scene.live(model="is_late", deployment="late")
    scene.mature(scene.predict(version, draw(scene.random, 400), deployment="late"))
    found = compared(scene, 1, deployment=late)
    assert found.error_other is not None
    assert (found.metric, found.higher_is_better) == ("auc", True)
    assert found.error_other.value > 0.9


def test_without_outcomes_there_is_nothing_to_compare(scene: Scene) -> None:
    version = scene.live()
    assert compared(scene, 1).rows == 0
    scene.predict(version, draw(scene.random, 10))
    found = compared(scene, 1)
    assert (found.rows, found.error_live, found.error_other, found.difference) == (0, None, None, None)


def test_predictions_made_from_other_inputs_are_passed_over(scene: Scene) -> None:
    version = scene.live()
    scene.mature(scene.predict(version, draw(scene.random, 100)))
    scene.mature(scene.predict(version, draw(scene.random, 30), digest="sha256:" + "0" * 64))
    found = compared(scene, 1)
    assert (found.rows, found.skipped) == (100, 30)


def test_rows_for_which_a_version_gives_no_number_are_passed_over(scene: Scene) -> None:
    matrix = draw(scene.random, 20)
    matrix[:5, 0] = np.inf
    scene.mature(scene.predict(scene.live(), matrix, outputs=np.zeros(20)))
    found = compared(scene, 1)
    assert (found.rows, found.skipped) == (15, 5)


def test_predictions_that_failed_have_nothing_to_compare(scene: Scene) -> None:
    ids = scene.predict(scene.live(), draw(scene.random, 20), outputs=np.full(20, np.nan))
    scene.tell(dict.fromkeys(ids, 1.0))
    assert compared(scene, 1).rows == 0


def test_of_very_many_answers_a_sample_is_replayed(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_ROWS", 100)
    scene.mature(scene.predict(scene.live(), draw(scene.random, 1_000)))
    assert 50 < compared(scene, 1).rows < 200


def test_a_version_whose_bundle_is_gone_is_a_clear_error(scene: Scene) -> None:
    version = scene.live()
    scene.mature(scene.predict(version, draw(scene.random, 10)))
    scene.artifacts._bytes.pop(version.digest)
    with pytest.raises(IntegrityError, match="gone from the artifacts"):
        compared(scene, 1)


def test_an_unknown_version_an_empty_period_and_another_task_are_refused(scene: Scene) -> None:
    scene.live()
    with pytest.raises(NotFound, match="version of model"):
        compared(scene, 7)
    with pytest.raises(InvalidRequest, match="ends before it begins"):
        compare(scene.context, ETA, version=1, since=START, until=START - timedelta(1))
    label = replace(ETA.model.label, above=10.0)
    changed = oc.Deployment("eta", model=replace(ETA.model, label=label, metrics=("auc",)))
    with pytest.raises(Conflict, match="cannot be judged"):
        compared(scene, 1, deployment=changed)


def test_a_version_with_a_function_after_its_model_would_have_answered_by_it(scene: Scene) -> None:
    code = """
import octavo as oc


@oc.after_model
def raised(prediction, distance):
    return prediction + 10.0 + 0.0 * distance
"""
    plan = plan_lookup(scene.context.project.model("arrival_delay"))
    planned = replace(plan, answer=PlannedFunction(name="raised", inputs=("prediction", "distance")))
    live, other = scene.live(1), scene.register(2, files=bundle_files(plan=planned, weights=list(WEIGHTS), code=code))
    scene.mature(scene.predict(live, draw(scene.random, 300)), noise=0)
    found = compared(scene, other.version)
    assert (found.rows, found.error_other and found.error_other.value) == (300, pytest.approx(10.0, abs=1e-3))
