"""What every format of models owes: the model comes back from its files, and its compiled form answers as it does.

Each case is a fitted estimator; a format without one fails the first test.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from octavo.definitions.models import Task
from octavo.errors import TrainingFailed
from octavo.registry.compiled import CompiledModel
from octavo.registry.formats.choice import FORMATS, format_of
from octavo.registry.parity import Trial, hard_trials, prove_parity
from octavo.training.estimators import check, predict

Floats = npt.NDArray[np.float64]
WIDTH = 4
RANDOM = np.random.default_rng(3)
FULL = RANDOM.normal(0, 10, (600, WIDTH)).astype(np.float32).astype(np.float64)
FULL[:, 3] = RANDOM.integers(0, 9, 600)
X = np.where(RANDOM.random(FULL.shape) < 0.1, np.nan, FULL)
VALUES = np.nan_to_num(X[:, 0]) * 2 + np.isnan(X[:, 1]) * 9 + np.nan_to_num(X[:, 1]) ** 2 / 10 + FULL[:, 3]
CLASSES = (np.median(VALUES) < VALUES).astype(np.float64)
REGRESSION, BINARY = Task.REGRESSION, Task.BINARY


@dataclass(frozen=True)
class Case:
    """A way to fit an estimator of a library, and the rows that it is fitted to."""

    library: str
    task: Task
    fit: Callable[[Floats, Floats], Any]
    rows: Floats

    @property
    def labels(self) -> Floats:
        return CLASSES if self.task is BINARY else VALUES


def boosted(rows: Floats, labels: Floats, **options: Any) -> Any:
    from lightgbm import LGBMRegressor

    return LGBMRegressor(n_estimators=30, num_leaves=15, n_jobs=1, verbose=-1, **options).fit(rows, labels)


def positive(rows: Floats, labels: Floats, *, objective: str) -> Any:
    return boosted(rows, np.abs(labels) + 1, objective=objective)


def with_categories(rows: Floats, labels: Floats) -> Any:
    from lightgbm import LGBMRegressor

    model = LGBMRegressor(n_estimators=20, min_child_samples=5, n_jobs=1, verbose=-1)
    return model.fit(rows, labels, categorical_feature=[3])


def boosted_classifier(rows: Floats, labels: Floats) -> Any:
    from lightgbm import LGBMClassifier

    return LGBMClassifier(n_estimators=30, n_jobs=1, verbose=-1).fit(rows, labels)


def booster(rows: Floats, labels: Floats, *, objective: str) -> Any:
    import lightgbm

    settings = {"objective": objective, "verbose": -1, "num_threads": 1}
    return lightgbm.train(settings, lightgbm.Dataset(rows, labels), num_boost_round=20)


def stopped_early(rows: Floats, labels: Floats) -> Any:
    import lightgbm

    learned = lightgbm.Dataset(rows[:400], labels[:400])
    judged = lightgbm.Dataset(rows[400:], labels[400:], reference=learned)
    return lightgbm.train(
        {"verbose": -1, "num_threads": 1},
        learned,
        num_boost_round=200,
        valid_sets=[judged],
        callbacks=[lightgbm.early_stopping(3, verbose=False)],
    )


def of_sklearn(rows: Floats, labels: Floats, *, module: str, name: str, **options: Any) -> Any:
    """An estimator of scikit-learn, after steps that scale and, where rows lack values, fill them in if asked to."""
    from importlib import import_module

    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    steps = [SimpleImputer(strategy="median"), StandardScaler()] if options.pop("prepared", False) else []
    estimator = getattr(import_module(f"sklearn.{module}"), name)(**options)
    return (make_pipeline(*steps, estimator) if steps else estimator).fit(rows, labels)


def sklearn(task: Task, module: str, name: str, *, rows: Floats = X, **options: Any) -> Case:
    return Case("sklearn", task, partial(of_sklearn, module=module, name=name, **options), rows)


FOREST: dict[str, Any] = {"n_estimators": 10, "random_state": 0}
HISTOGRAM: dict[str, Any] = {"max_iter": 20, "random_state": 0}
CASES = {
    "lightgbm l2": Case("lightgbm", REGRESSION, boosted, X),
    "lightgbm l1": Case("lightgbm", REGRESSION, partial(boosted, objective="l1"), X),
    "lightgbm quantile": Case("lightgbm", REGRESSION, partial(boosted, objective="quantile", alpha=0.9), X),
    "lightgbm poisson": Case("lightgbm", REGRESSION, partial(positive, objective="poisson"), X),
    "lightgbm tweedie": Case("lightgbm", REGRESSION, partial(positive, objective="tweedie"), X),
    "lightgbm forest": Case(
        "lightgbm", REGRESSION, partial(boosted, boosting_type="rf", subsample=0.5, subsample_freq=1), X
    ),
    "lightgbm dart": Case("lightgbm", REGRESSION, partial(boosted, boosting_type="dart"), X),
    "lightgbm without missing values": Case("lightgbm", REGRESSION, boosted, FULL),
    "lightgbm categories": Case("lightgbm", REGRESSION, with_categories, X),
    "lightgbm stopped early": Case("lightgbm", REGRESSION, stopped_early, X),
    "lightgbm constant": Case("lightgbm", REGRESSION, lambda rows, labels: boosted(rows, 0 * labels + 3), X),
    "lightgbm classifier": Case("lightgbm", BINARY, boosted_classifier, X),
    "lightgbm booster": Case("lightgbm", BINARY, partial(booster, objective="binary"), X),
    "lightgbm cross entropy": Case("lightgbm", BINARY, partial(booster, objective="cross_entropy"), X),
    "sklearn linear": sklearn(REGRESSION, "linear_model", "LinearRegression", rows=FULL),
    "sklearn ridge": sklearn(REGRESSION, "linear_model", "Ridge", prepared=True),
    "sklearn logistic": sklearn(BINARY, "linear_model", "LogisticRegression", prepared=True),
    "sklearn tree": sklearn(REGRESSION, "tree", "DecisionTreeRegressor", random_state=0),
    "sklearn tree classifier": sklearn(BINARY, "tree", "DecisionTreeClassifier", max_depth=5, random_state=0),
    "sklearn forest": sklearn(REGRESSION, "ensemble", "RandomForestRegressor", **FOREST),
    "sklearn forest classifier": sklearn(BINARY, "ensemble", "RandomForestClassifier", **FOREST),
    "sklearn forest without missing values": sklearn(BINARY, "ensemble", "RandomForestClassifier", rows=FULL, **FOREST),
    "sklearn extra trees": sklearn(REGRESSION, "ensemble", "ExtraTreesRegressor", **FOREST),
    "sklearn boosting": sklearn(REGRESSION, "ensemble", "GradientBoostingRegressor", rows=FULL, n_estimators=20),
    "sklearn histogram": sklearn(REGRESSION, "ensemble", "HistGradientBoostingRegressor", **HISTOGRAM),
    "sklearn histogram l1": sklearn(
        REGRESSION, "ensemble", "HistGradientBoostingRegressor", loss="absolute_error", **HISTOGRAM
    ),
    "sklearn histogram classifier": sklearn(BINARY, "ensemble", "HistGradientBoostingClassifier", **HISTOGRAM),
}
TREES_OF_ANY_ROW = ["lightgbm l2", "lightgbm l1", "lightgbm categories", "lightgbm classifier", "sklearn histogram"]


@cache
def fitted(case: str) -> Any:
    return CASES[case].fit(CASES[case].rows, CASES[case].labels)


@cache
def compiled(case: str) -> CompiledModel:
    return CompiledModel(format_of(fitted(case)).to_onnx(fitted(case), n_inputs=WIDTH, task=CASES[case].task))


def native(case: str) -> Callable[[Floats], Floats]:
    return partial(predict, fitted(case), task=CASES[case].task)


def refused(estimator: Any, *, task: Task, match: str) -> None:
    with pytest.raises(TrainingFailed, match=match):
        format_of(estimator).to_onnx(estimator, n_inputs=WIDTH, task=task)


def test_every_format_has_a_case() -> None:
    assert {known.name for known in FORMATS} == {case.library for case in CASES.values()}


@pytest.mark.parametrize("case", CASES)
def test_an_estimator_is_of_its_librarys_format_alone(case: str) -> None:
    check(fitted(case), task=CASES[case].task)
    assert [known.name for known in FORMATS if known.matches(fitted(case))] == [CASES[case].library]


@pytest.mark.parametrize("case", CASES)
def test_the_compiled_model_answers_as_the_native_one_on_easy_and_hard_rows(case: str) -> None:
    rows = CASES[case].rows
    trials = hard_trials(rows, thresholds=format_of(fitted(case)).thresholds(fitted(case)))
    parity = prove_parity(
        [Trial(kind="fitted rows", rows=rows), *trials], native=native(case), compiled=compiled(case).predict
    )
    assert parity.refused == () or rows is FULL


@pytest.mark.parametrize("case", TREES_OF_ANY_ROW)
@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_trees_answer_any_float32_alike(case: str, data: st.DataObject) -> None:
    thresholds = sorted({value for _, value in format_of(fitted(case)).thresholds(fitted(case))})
    values = st.one_of(
        st.floats(width=32, allow_nan=True, allow_infinity=True),
        st.sampled_from([float(np.float32(value)) for value in thresholds if abs(value) < 1e38]),
    )
    row = np.array([data.draw(st.lists(values, min_size=WIDTH, max_size=WIDTH))])
    assert compiled(case).predict(row) == pytest.approx(native(case)(row), rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("case", CASES)
def test_the_model_comes_back_from_its_files(case: str) -> None:
    known = format_of(fitted(case))
    again = known.load(known.save(fitted(case)))
    if again is None:
        assert known.save(fitted(case)) == {}
    else:
        assert again(CASES[case].rows) == pytest.approx(native(case)(CASES[case].rows), rel=1e-12)


@pytest.mark.parametrize("case", CASES)
def test_the_files_of_a_model_hold_no_pickle(case: str) -> None:
    for data in format_of(fitted(case)).save(fitted(case)).values():
        data.decode("utf-8")


@pytest.mark.parametrize("case", CASES)
def test_the_compiled_model_has_one_matrix_as_input_and_one_number_per_row_as_output(case: str) -> None:
    data = format_of(fitted(case)).to_onnx(fitted(case), n_inputs=WIDTH, task=CASES[case].task)
    graph = onnx.load_from_string(data).graph
    onnx.checker.check_model(data)
    assert [d.dim_value for d in graph.input[0].type.tensor_type.shape.dim] == [0, WIDTH]
    assert (len(graph.input), len(graph.output)) == (1, 1)
    for rows in (1, 7):
        assert compiled(case).predict(CASES[case].rows[:rows]).shape == (rows,)


@pytest.mark.parametrize("case", CASES)
def test_compiling_again_gives_the_same_bytes(case: str) -> None:
    first, again = (
        format_of(fitted(case)).to_onnx(fitted(case), n_inputs=WIDTH, task=CASES[case].task) for _ in range(2)
    )
    assert first == again


def test_an_unknown_estimator_is_refused_with_the_known_ones() -> None:
    with pytest.raises(TrainingFailed, match=r"a builtins\.object cannot be packed.*one of: lightgbm, sklearn"):
        format_of(object())


def test_lightgbm_of_linear_trees_is_refused() -> None:
    refused(boosted(X, VALUES, linear_tree=True), task=REGRESSION, match="train with linear_tree=False")


def test_lightgbm_that_reads_zeros_as_missing_is_refused() -> None:
    refused(boosted(FULL, VALUES, zero_as_missing=True), task=REGRESSION, match="train with zero_as_missing=False")


def test_lightgbm_with_a_transform_of_its_label_is_refused() -> None:
    refused(boosted(X, VALUES, reg_sqrt=True), task=REGRESSION, match="use a plain regression or binary one")


def test_lightgbm_of_several_classes_is_refused() -> None:
    refused(boosted_classifier(X, np.arange(600.0) % 3), task=BINARY, match="the label has two")


def test_sklearn_that_takes_columns_as_categories_is_refused() -> None:
    options = {"module": "ensemble", "name": "HistGradientBoostingRegressor", "categorical_features": [3]}
    refused(of_sklearn(X, VALUES, **options, **HISTOGRAM), task=REGRESSION, match="categorical_features")


def test_sklearn_that_skl2onnx_does_not_know_is_refused() -> None:
    dummy = of_sklearn(X, VALUES, module="dummy", name="DummyRegressor")
    refused(dummy, task=REGRESSION, match="DummyRegressor cannot be compiled to ONNX")
