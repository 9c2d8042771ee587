"""A model with a function after it, from its training to its bundle: what is judged is what will be answered."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.workshop import Workshop, boosted, declare, in_transaction, open_workshop, project_of

import octavo as oc
from octavo.cli.models import _facts
from octavo.definitions.answers import AfterModel
from octavo.definitions.models import Model
from octavo.errors import PredictionFailed, TrainingFailed
from octavo.registry.bundles import Bundle, fetch_bundle
from octavo.registry.card_documents import decode_card
from octavo.registry.champions import bring_in
from octavo.registry.operations import ShowModel, ShowVersion, show_model, show_version
from octavo.registry.packing import Packed, pack
from octavo.registry.registration import register
from octavo.registry.served import open_served
from octavo.serving.models import load_model
from octavo.training.evaluation import evaluate
from octavo.training.fit import TrainedModel, train

CODE = '''"""Spending in shops."""
import numpy as np
import octavo as oc


@oc.after_model
def stocked(prediction, items):
    return np.floor(prediction) + np.where(items > 6, 100.0, 0.0)
'''


def function_of(code: str) -> AfterModel:
    names: dict[str, Any] = {}
    plain = code.replace("@oc.after_model\n", "")
    exec(compile(plain, "project.py", "exec"), names)
    return AfterModel(name="stocked", inputs=("prediction", "items"), function=names["stocked"], source_code=code)


def workshop_of(folder: Path, *, code: str = CODE, **changes: Any) -> Workshop:
    """A workshop whose project has the function, in the code that travels too."""
    folder.mkdir(exist_ok=True)
    model = declare(boosted, answer=function_of(code), **changes)
    made = open_workshop(folder, model)
    project = replace(project_of(model), code={"project.py": code})
    return replace(made, context=replace(made.context, project=project))


def trained_in(workshop: Workshop) -> TrainedModel:
    return train(workshop.context, workshop.model, as_of=workshop.now)


def opened(workshop: Workshop, packed: Packed) -> Bundle:
    return fetch_bundle(workshop.context.stores.artifacts, packed.digest, into=workshop.context.config.home / "bundles")


def by_hand(outputs: Any, rows: Any) -> Any:
    """What the function makes of outputs, its only input being the last column."""
    return np.floor(outputs) + np.where(rows[:, -1] > 6, 100.0, 0.0)


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    return workshop_of(tmp_path_factory.mktemp("shops"))


@pytest.fixture(scope="module")
def trained(workshop: Workshop) -> TrainedModel:
    return trained_in(workshop)


@pytest.fixture(scope="module")
def packed(workshop: Workshop, trained: TrainedModel) -> Packed:
    return pack(workshop.context, trained)


def test_what_is_judged_is_the_answer(workshop: Workshop, trained: TrainedModel) -> None:
    rows = trained.training_set.holdout
    expected = by_hand(trained.estimator.predict(rows.X), rows.X)
    np.testing.assert_array_equal(trained.predictions, expected)
    judged = evaluate(rows.y, expected, metrics=("mae",), task=workshop.model.task)
    assert trained.report.metrics == judged
    assert trained.report.details is not None
    [items] = [one for one in trained.report.details.dependence if one.input == "items"]
    steps = np.diff([point.mean for point in sorted(items.points, key=lambda point: point.value or 0.0)])
    assert steps.max() > 90, "the step that the function makes is seen"


def test_the_bundle_holds_what_golden_rows_are_answered(workshop: Workshop, packed: Packed) -> None:
    bundle = opened(workshop, packed)
    golden = bundle.golden
    assert golden.answers is not None
    np.testing.assert_array_equal(golden.answers, by_hand(golden.expected[: golden.n_real], golden.reference))
    np.testing.assert_allclose(golden.expected, boosted_outputs(bundle), rtol=1e-4)
    assert bundle.plan.answered_by == "stocked(prediction, items)"
    load_model(bundle)  # asks it for them


def boosted_outputs(bundle: Bundle) -> Any:
    """What the model in a bundle says of its golden rows, without what comes after it."""
    return open_served(bundle.manifest, bundle.plan, read=bundle.read).predict(bundle.golden.rows)


def test_versions_are_compared_by_their_answers(trained: TrainedModel, packed: Packed) -> None:
    apart = np.abs(packed.predictions - trained.predictions)  # a form may fall to the other side of a whole number
    assert (np.isclose(apart, 0) | np.isclose(apart, 1)).all()
    assert np.isclose(apart, 0).mean() > 0.98


def test_a_champion_answers_with_its_own_function(tmp_path: Path) -> None:
    workshop = workshop_of(tmp_path / "shops")
    register(workshop.context, trained_in(workshop), champion=None)
    details = _version(workshop)
    rows = trained_in(workshop).training_set.holdout
    champion = bring_in(workshop.context.stores.artifacts, details.version, rows, task=workshop.model.task)
    assert champion.predictions is not None
    assert (champion.predictions >= 100).sum() == (rows.X[:, -1] > 6).sum()
    assert (champion.predictions == np.floor(champion.predictions)).all()


def test_a_champion_whose_function_fails_is_not_compared(tmp_path: Path) -> None:
    code = CODE.replace("    return", "    if len(items) == 3: raise KeyError('three')\n    return")
    workshop = workshop_of(tmp_path / "shops", code=code)
    register(workshop.context, trained_in(workshop), champion=None)
    rows = trained_in(workshop).training_set.holdout
    three = replace(rows, X=rows.X[:3], y=rows.y[:3], times=rows.times[:3])
    version = _version(workshop).version
    champion = bring_in(workshop.context.stores.artifacts, version, three, task=workshop.model.task)
    assert champion.predictions is None
    assert "'stocked', which comes after the model, raised KeyError: 'three'" in champion.why


def test_it_is_told_wherever_a_model_is_shown(tmp_path: Path) -> None:
    workshop = workshop_of(tmp_path / "shops")
    register(workshop.context, trained_in(workshop), champion=None)
    details, model = _version(workshop), in_transaction(workshop, show_model, ShowModel(model="boosted"))
    assert details.answer == model.answer == "stocked(prediction, items)"
    assert ("answered by", details.answer) in list(_facts(details))
    assert "- Answered by: `stocked(prediction, items)`" in details.card
    bundle = fetch_bundle(workshop.context.stores.artifacts, details.version.digest, into=tmp_path / "bundles")
    assert decode_card(bundle.read("card.json")).answer == details.answer


def test_of_a_model_without_one_nothing_is_told(tmp_path: Path) -> None:
    workshop = open_workshop(tmp_path, declare(boosted))
    register(workshop.context, trained_in(workshop), champion=None)
    details = _version(workshop)
    assert details.answer == ""
    assert "Answered by" not in details.card
    bundle = fetch_bundle(workshop.context.stores.artifacts, details.version.digest, into=tmp_path / "bundles")
    assert bundle.golden.answers is None
    assert b"answer" not in bundle.read("plan.json") + bundle.read("golden.json")


@pytest.mark.parametrize(
    ("answers", "above", "error", "why"),
    [
        ("np.where(items > 6, np.nan, 1.0)", None, TrainingFailed, "gave NaN or infinity for .* rows"),
        ("prediction + 1.0", 20.0, TrainingFailed, "which are no probabilities"),
        ("prediction[:2]", None, PredictionFailed, r"returned float64 of shape \(2,\)"),
        ("{}[0]", None, PredictionFailed, "'stocked', which comes after the model, raised KeyError"),
    ],
)
def test_answers_that_cannot_be_judged_fail_the_training(
    tmp_path: Path, answers: str, above: float | None, error: type[Exception], why: str
) -> None:
    code = CODE[: CODE.index("    return")] + f"    return {answers}\n"
    changes: Mapping[str, Any] = {} if above is None else {"above": above}
    model: Model = declare(much if above else boosted, answer=function_of(code), **changes)
    with pytest.raises(error, match=why):
        trained_in(open_workshop(tmp_path, model))


def much(train: oc.Dataset) -> Any:
    """A few trees that tell whether it is much."""
    from lightgbm import LGBMClassifier

    return LGBMClassifier(n_estimators=10, num_leaves=7, n_jobs=1, verbose=-1).fit(train.X, train.y)


def _version(workshop: Workshop) -> Any:
    return show_version(ShowVersion(model=workshop.model.name, version=1), workshop.context)
