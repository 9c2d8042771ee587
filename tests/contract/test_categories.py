"""What every format owes that takes categories: words are answered alike by the estimator and by every form of it.

Words that training did not have, and none at all, are words like any other.
"""

from collections.abc import Callable
from functools import cache, partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from octavo.definitions.models import Task
from octavo.errors import TrainingFailed
from octavo.registry.compiled import CompiledModel
from octavo.registry.formats.choice import format_of
from octavo.registry.parity import Trial, hard_trials, prove_parity
from octavo.training.estimators import predict
from octavo.training.frames import Words

Floats = npt.NDArray[np.float64]
REGRESSION, BINARY = Task.REGRESSION, Task.BINARY
WORDS = Words(
    columns=("carrier", "distance", "origin", "seats"),
    categories={"carrier": tuple(f"carrier {n:02d}" for n in range(20)), "origin": ("EWR", "JFK", "LGA")},
)
RANDOM = np.random.default_rng(8)
ROWS = np.column_stack(
    [RANDOM.integers(0, 20, 800), RANDOM.normal(1_000, 300, 800), RANDOM.integers(0, 3, 800), RANDOM.normal(0, 1, 800)]
)
ROWS = ROWS.astype(np.float32).astype(np.float64)
ROWS[RANDOM.random(800) < 0.1, 1] = np.nan
VALUES = np.sin(ROWS[:, 0]) * 4 + np.nan_to_num(ROWS[:, 1]) / 500 + (ROWS[:, 2] == 1) * 3 + ROWS[:, 3]
CLASSES = (np.median(VALUES) < VALUES).astype(np.float64)
LACKING = ROWS.copy()
LACKING[::9, 0] = np.nan
FAR = (ROWS + np.array([0, 100_000, 0, 0])).astype(np.float32).astype(np.float64)


def of_lightgbm(rows: Any, labels: Floats) -> Any:
    from lightgbm import LGBMRegressor

    return LGBMRegressor(n_estimators=20, min_child_samples=5, n_jobs=1, verbose=-1).fit(rows, labels)


def of_xgboost(rows: Any, labels: Floats, **options: Any) -> Any:
    from xgboost import XGBRegressor

    return XGBRegressor(n_estimators=20, enable_categorical=True, n_jobs=1, **options).fit(rows, labels)


def of_catboost(rows: Any, labels: Floats) -> Any:
    from catboost import CatBoostRegressor

    settings = {"iterations": 20, "depth": 4, "thread_count": 1, "allow_writing_files": False, "verbose": False}
    return CatBoostRegressor(**settings, cat_features=list(WORDS.categories)).fit(rows, labels)


def prepared(rows: Any, labels: Floats, *, encoder: str, last: tuple[str, str], **options: Any) -> Any:
    """An estimator of scikit-learn behind imputed and scaled numbers and encoded words."""
    from importlib import import_module

    from sklearn import preprocessing
    from sklearn.compose import make_column_selector, make_column_transformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline

    numbers = make_pipeline(SimpleImputer(), preprocessing.StandardScaler())
    encode = getattr(preprocessing, encoder)(**options)
    columns = make_column_transformer(
        (encode, make_column_selector(dtype_include="category")),
        (numbers, make_column_selector(dtype_include="number")),
    )
    module, name = last
    estimator = getattr(import_module(f"sklearn.{module}"), name)
    settings = {"random_state": 0} if module in ("ensemble", "neural_network") else {}
    return make_pipeline(columns, estimator(**settings)).fit(rows, labels)


def histogram(rows: Any, labels: Floats) -> Any:
    from sklearn.ensemble import HistGradientBoostingRegressor

    return HistGradientBoostingRegressor(max_iter=20, random_state=0).fit(rows, labels)


HOT = {"encoder": "OneHotEncoder", "handle_unknown": "ignore"}
ORDINAL = {"encoder": "OrdinalEncoder", "handle_unknown": "use_encoded_value", "unknown_value": -1}
LINEAR, LOGISTIC = ("linear_model", "Ridge"), ("linear_model", "LogisticRegression")
COMPILED: dict[str, tuple[Task, Floats, Callable[..., Any]]] = {
    "lightgbm": (REGRESSION, ROWS, of_lightgbm),
    "lightgbm lacking words": (REGRESSION, LACKING, of_lightgbm),
    "xgboost": (REGRESSION, ROWS, of_xgboost),
    "xgboost lacking words": (REGRESSION, LACKING, of_xgboost),
    "xgboost of single words": (REGRESSION, ROWS, partial(of_xgboost, max_cat_to_onehot=100)),
    "linear of indicators": (REGRESSION, ROWS, partial(prepared, last=LINEAR, **HOT)),
    "linear lacking words": (REGRESSION, LACKING, partial(prepared, last=LINEAR, **HOT)),
    "linear of numbers far from zero": (REGRESSION, FAR, partial(prepared, last=LINEAR, **HOT)),
    "linear of rare words": (
        REGRESSION,
        ROWS,
        partial(
            prepared,
            last=LINEAR,
            encoder="OneHotEncoder",
            handle_unknown="infrequent_if_exist",
            min_frequency=38,
        ),
    ),
    "linear of targets": (REGRESSION, ROWS, partial(prepared, last=LINEAR, encoder="TargetEncoder")),
    "logistic": (BINARY, ROWS, partial(prepared, last=LOGISTIC, **HOT)),
    "forest of indicators": (REGRESSION, ROWS, partial(prepared, last=("tree", "DecisionTreeRegressor"), **HOT)),
    "forest of numbers": (BINARY, ROWS, partial(prepared, last=("tree", "DecisionTreeClassifier"), **ORDINAL)),
    "histogram": (REGRESSION, ROWS, histogram),
    "histogram lacking words": (REGRESSION, LACKING, histogram),
    "support vectors": (REGRESSION, ROWS, partial(prepared, last=("svm", "SVR"), **HOT)),
}
NATIVE = {**COMPILED, "catboost": (REGRESSION, ROWS, of_catboost)}


@cache
def fitted(case: str) -> Any:
    task, rows, fit = NATIVE[case]
    frame = WORDS.frame(rows, unseen_is_missing=False)
    return fit(frame, CLASSES if task is BINARY else VALUES)


@cache
def compiled(case: str) -> CompiledModel:
    estimator = fitted(case)
    return CompiledModel(format_of(estimator).to_onnx(estimator, n_inputs=4, task=NATIVE[case][0], words=WORDS))


def native(case: str) -> Callable[[Floats], Floats]:
    return partial(predict, fitted(case), task=NATIVE[case][0], words=WORDS)


def trials(case: str) -> list[Trial]:
    sizes = {place: len(known) for place, known in WORDS.by_place.items()}
    thresholds = format_of(fitted(case)).thresholds(fitted(case))
    return [
        Trial(kind="fitted rows", rows=NATIVE[case][1]),
        *hard_trials(ROWS, thresholds=thresholds, categories=sizes),
    ]


@pytest.mark.parametrize("case", COMPILED)
def test_the_compiled_model_answers_as_the_native_one_on_easy_and_hard_rows(case: str) -> None:
    parity = prove_parity(trials(case), native=native(case), compiled=compiled(case).predict)
    assert parity.refused == ()


@pytest.mark.parametrize("case", NATIVE)
def test_the_model_from_its_files_answers_as_the_estimator_on_easy_and_hard_rows(case: str) -> None:
    known = format_of(fitted(case))
    again = known.load(known.save(fitted(case)), words=WORDS)
    prove_parity(trials(case), native=native(case), compiled=again)
    assert again(ROWS.astype(np.float32)[:1]) == pytest.approx(native(case)(ROWS[:1]), rel=1e-5)


@pytest.mark.parametrize("case", COMPILED)
@settings(max_examples=40, deadline=None)
@given(
    rows=st.lists(
        st.tuples(
            st.sampled_from([np.nan, *range(-1, 20)]),
            st.floats(-5_000, 5_000, width=32) | st.just(np.nan),
            st.sampled_from([np.nan, *range(-1, 3)]),
            st.floats(-5, 5, width=32),
        ),
        min_size=1,
        max_size=20,
    )
)
def test_any_rows_are_answered_alike(case: str, rows: list[tuple[float, ...]]) -> None:
    matrix = np.array(rows, dtype=np.float64)
    assert compiled(case).predict(matrix) == pytest.approx(native(case)(matrix), rel=1e-4, abs=1e-4)


def test_a_word_that_the_estimator_refuses_is_answered_by_no_number() -> None:
    strict = prepared(WORDS.frame(ROWS, unseen_is_missing=False), VALUES, encoder="OneHotEncoder", last=LINEAR)
    onnx = format_of(strict).to_onnx(strict, n_inputs=4, task=REGRESSION, words=WORDS)
    parity = prove_parity(
        trials("linear of indicators"),
        native=partial(predict, strict, task=REGRESSION, words=WORDS),
        compiled=CompiledModel(onnx).predict,
    )
    assert {"a category never seen", "a category missing"} <= set(parity.refused)
    assert np.isnan(CompiledModel(onnx).predict([[-1, 900, 0, 0], [np.nan, 900, 0, 0]])).all()


def test_catboost_over_words_is_not_compiled() -> None:
    with pytest.raises(TrainingFailed, match="CatBoost with categorical features"):
        format_of(fitted("catboost")).to_onnx(fitted("catboost"), n_inputs=4, task=REGRESSION, words=WORDS)


def test_steps_that_mix_columns_are_not_compiled() -> None:
    from sklearn.decomposition import TruncatedSVD
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    frame = WORDS.frame(ROWS, unseen_is_missing=False)
    mixing = make_pipeline(OneHotEncoder(handle_unknown="ignore"), TruncatedSVD(2), Ridge()).fit(frame, VALUES)
    with pytest.raises(TrainingFailed, match="do not treat each column by itself"):
        format_of(mixing).to_onnx(mixing, n_inputs=4, task=REGRESSION, words=WORDS)


def test_lightgbm_that_was_given_other_words_is_refused() -> None:
    frame = WORDS.frame(ROWS, unseen_is_missing=False)
    frame["origin"] = frame["origin"].cat.reorder_categories(["LGA", "JFK", "EWR"])
    other = of_lightgbm(frame, VALUES)
    with pytest.raises(TrainingFailed, match="other categories than those of X"):
        format_of(other).to_onnx(other, n_inputs=4, task=REGRESSION, words=WORDS)
