"""What every format of models owes: the model comes back from its files, and its compiled form answers as it does."""

from functools import partial
from typing import Any

import numpy as np
import pytest

from octavo.definitions.models import Task
from octavo.errors import TrainingFailed
from octavo.registry.compiled import CompiledModel
from octavo.registry.formats.choice import FORMATS, format_of
from octavo.registry.parity import adversarial_rows, check_parity
from octavo.training.estimators import predict

RANDOM = np.random.default_rng(3)
X = (
    np.where(RANDOM.random((600, 4)) < 0.1, np.nan, RANDOM.normal(0, 10, (600, 4)))
    .astype(np.float32)
    .astype(np.float64)
)
VALUES = np.nan_to_num(X[:, 0]) * 2 + np.nan_to_num(X[:, 1]) ** 2 / 10 + RANDOM.normal(0, 1, 600)
CLASSES = (np.median(VALUES) < VALUES).astype(np.float64)
FULL = np.nan_to_num(X)


def _lightgbm(**settings: Any) -> Any:
    from lightgbm import LGBMRegressor

    return LGBMRegressor(n_estimators=30, num_leaves=15, n_jobs=1, verbose=-1, **settings).fit(X, np.abs(VALUES))


def _lightgbm_classifier() -> Any:
    from lightgbm import LGBMClassifier

    return LGBMClassifier(n_estimators=30, n_jobs=1, verbose=-1).fit(X, CLASSES)


def _lightgbm_booster() -> Any:
    import lightgbm

    return lightgbm.train({"objective": "binary", "verbose": -1}, lightgbm.Dataset(X, CLASSES), num_boost_round=20)


def _lightgbm_categories() -> Any:
    from lightgbm import LGBMRegressor

    coded = X.copy()
    coded[:, 3] = RANDOM.integers(0, 9, len(X))
    return LGBMRegressor(n_estimators=20, n_jobs=1, verbose=-1).fit(coded, VALUES, categorical_feature=[3])


def _linear() -> Any:
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(SimpleImputer(), StandardScaler(), Ridge()).fit(X, VALUES)


def _logistic() -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression().fit(FULL, CLASSES)


def _forest() -> Any:
    from sklearn.ensemble import RandomForestClassifier

    return RandomForestClassifier(n_estimators=10, random_state=0).fit(FULL, CLASSES)


def _histogram() -> Any:
    from sklearn.ensemble import HistGradientBoostingRegressor

    return HistGradientBoostingRegressor(max_iter=20, random_state=0).fit(X, VALUES)


CASES = {
    "lightgbm l2": (_lightgbm, "lightgbm", Task.REGRESSION, X),
    "lightgbm l1": (partial(_lightgbm, objective="l1"), "lightgbm", Task.REGRESSION, X),
    "lightgbm poisson": (partial(_lightgbm, objective="poisson"), "lightgbm", Task.REGRESSION, X),
    "lightgbm forest": (
        partial(_lightgbm, boosting_type="rf", subsample=0.5, subsample_freq=1),
        "lightgbm",
        Task.REGRESSION,
        X,
    ),
    "lightgbm categories": (_lightgbm_categories, "lightgbm", Task.REGRESSION, X),
    "lightgbm classifier": (_lightgbm_classifier, "lightgbm", Task.BINARY, X),
    "lightgbm booster": (_lightgbm_booster, "lightgbm", Task.BINARY, X),
    "sklearn pipeline": (_linear, "sklearn", Task.REGRESSION, X),
    "sklearn logistic": (_logistic, "sklearn", Task.BINARY, FULL),
    "sklearn forest": (_forest, "sklearn", Task.BINARY, FULL),
    "sklearn histogram": (_histogram, "sklearn", Task.REGRESSION, X),
}


def test_every_format_has_a_case() -> None:
    assert {known.name for known in FORMATS} == {library for _, library, _, _ in CASES.values()}


@pytest.mark.parametrize("case", CASES)
def test_the_compiled_model_answers_as_the_native_one(case: str) -> None:
    fit, library, task, rows = CASES[case]
    estimator = fit()
    known = format_of(estimator)
    assert known.name == library
    compiled = CompiledModel(known.to_onnx(estimator, n_inputs=4, task=task))
    check_parity(rows, native=partial(predict, estimator, task=task), compiled=compiled.predict)


@pytest.mark.parametrize("case", [case for case in CASES if case.startswith("lightgbm")])
def test_the_compiled_trees_answer_the_hardest_rows_as_the_native_ones(case: str) -> None:
    fit, _, task, _ = CASES[case]
    estimator = fit()
    known = format_of(estimator)
    hard = adversarial_rows(X, thresholds=known.thresholds(estimator))
    compiled = CompiledModel(known.to_onnx(estimator, n_inputs=4, task=task))
    check_parity(hard, native=partial(predict, estimator, task=task), compiled=compiled.predict)


@pytest.mark.parametrize("case", CASES)
def test_the_model_comes_back_from_its_files(case: str) -> None:
    fit, _, task, rows = CASES[case]
    estimator = fit()
    known = format_of(estimator)
    again = known.load(known.save(estimator))
    if again is not None:
        check_parity(rows, native=partial(predict, estimator, task=task), compiled=again)


def test_compiling_the_same_model_gives_the_same_bytes() -> None:
    estimator = _lightgbm()
    first, again = (format_of(estimator).to_onnx(estimator, n_inputs=4, task=Task.REGRESSION) for _ in range(2))
    assert first == again


def test_an_unknown_estimator_is_refused_with_the_known_ones() -> None:
    with pytest.raises(TrainingFailed, match="one of: lightgbm, sklearn"):
        format_of(object())


def test_linear_trees_and_several_classes_are_refused() -> None:
    from lightgbm import LGBMClassifier

    with pytest.raises(TrainingFailed, match="linear_tree"):
        estimator = _lightgbm(linear_tree=True)
        format_of(estimator).to_onnx(estimator, n_inputs=4, task=Task.REGRESSION)
    several = LGBMClassifier(n_estimators=3, verbose=-1).fit(X, np.arange(600) % 3)
    with pytest.raises(TrainingFailed, match="several classes"):
        format_of(several).to_onnx(several, n_inputs=4, task=Task.BINARY)
