"""Linear models as sums owe what scikit-learn's whole pipeline answers, whatever stands before the last step."""

import json
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import preprocessing
from sklearn.base import is_classifier
from sklearn.compose import make_column_transformer
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import (
    ElasticNet,
    Lasso,
    LinearRegression,
    LogisticRegression,
    PoissonRegressor,
    Ridge,
    SGDClassifier,
    SGDRegressor,
)
from sklearn.pipeline import make_pipeline
from sklearn.svm import LinearSVR

from octavo.errors import IntegrityError, TrainingFailed
from octavo.registry.formats import linear
from octavo.registry.formats.linear import Category, Linear, Link, Number, read_linear, write_linear
from octavo.registry.formats.sklearn import ScikitLearn
from octavo.training.frames import Words

pytestmark = pytest.mark.filterwarnings("ignore:Found unknown categories")
RANDOM = np.random.default_rng(3)
N_ROWS, SHOPS, TOWNS = 300, ("east", "north", "south"), tuple(f"town {n}" for n in range(12))
WORDS = Words(columns=("a", "shop", "b", "town"), categories={"shop": SHOPS, "town": TOWNS})
PLACES = RANDOM.integers(0, (len(SHOPS), len(TOWNS)), (N_ROWS, 2)).astype(float)
NUMBERS = RANDOM.normal(0, 10, (N_ROWS, 2))
ARE_LACKING = RANDOM.random((N_ROWS, 2)) < 0.1
LABELS = NUMBERS[:, 0] - 2 * NUMBERS[:, 1] + 5 * PLACES[:, 0] + np.sin(PLACES[:, 1]) + RANDOM.normal(0, 5, N_ROWS)

SCALERS: tuple[Any, ...] = (
    "passthrough",
    preprocessing.StandardScaler(),
    preprocessing.MinMaxScaler(),
    preprocessing.MaxAbsScaler(),
    preprocessing.RobustScaler(),
)
IMPUTERS: tuple[Any, ...] = (
    None,
    SimpleImputer(),
    SimpleImputer(strategy="median"),
    SimpleImputer(strategy="constant", fill_value=-7.5),
    SimpleImputer(add_indicator=True),
)
ENCODERS: tuple[Any, ...] = (
    preprocessing.OneHotEncoder(),
    preprocessing.OneHotEncoder(handle_unknown="ignore"),
    preprocessing.OneHotEncoder(handle_unknown="ignore", drop="first", sparse_output=False),
    preprocessing.OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=26),
    preprocessing.OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-2),
    preprocessing.TargetEncoder(),
)
REGRESSORS: tuple[Any, ...] = (
    LinearRegression(),
    Ridge(),
    Lasso(alpha=0.1),
    ElasticNet(alpha=0.1),
    SGDRegressor(max_iter=3, tol=None, random_state=0),
    LinearSVR(max_iter=3, tol=1e9, random_state=0),
)
CLASSIFIERS: tuple[Any, ...] = (
    LogisticRegression(max_iter=2_000),
    SGDClassifier("log_loss", max_iter=3, tol=None, random_state=0),
)
NUMBER = st.floats(-1e6, 1e6, width=32) | st.just(np.nan)
ROWS = st.lists(
    st.tuples(
        NUMBER,
        st.sampled_from([np.nan, *range(-1, len(SHOPS))]),
        NUMBER,
        st.sampled_from([np.nan, *range(-1, len(TOWNS))]),
    ),
    min_size=1,
    max_size=12,
)


def fitted(scaler: Any, imputer: Any, encoder: Any, last: Any, *, offset: float = 0.0, lacking: bool = False) -> Any:
    """A pipeline over numbers, and over words unless there is no encoder."""
    numbers = NUMBERS + offset if imputer is None else np.where(ARE_LACKING, np.nan, NUMBERS + offset)
    places = np.where(ARE_LACKING, np.nan, PLACES) if lacking else PLACES
    prepared = scaler if imputer is None else make_pipeline(imputer, scaler)
    labels = np.median(LABELS) < LABELS if is_classifier(last) else LABELS
    if encoder is None:
        return make_pipeline(prepared, last).fit(numbers, labels)
    matrix = np.column_stack([numbers[:, 0], places[:, 0], numbers[:, 1], places[:, 1]])
    columns = make_column_transformer((encoder, ["shop", "town"]), (prepared, ["a", "b"]))
    return make_pipeline(columns, last).fit(WORDS.frame(matrix, unseen_is_missing=False), labels)


def answers(estimator: Any, matrix: npt.NDArray[np.float32], words: Words | None) -> npt.NDArray[np.float64]:
    """What a pipeline answers; NaN for the rows that it refuses."""
    rows = matrix.astype(np.float64)
    given = rows if words is None else words.frame(rows, unseen_is_missing=False)
    try:
        return np.asarray(
            estimator.predict_proba(given)[:, 1] if is_classifier(estimator) else estimator.predict(given)
        )
    except ValueError:
        alone = [answers(estimator, row[None], words) for row in matrix] if len(matrix) > 1 else [np.array([np.nan])]
        return np.concatenate(alone)


@settings(max_examples=30, deadline=None)
@given(
    scaler=st.sampled_from(SCALERS),
    imputer=st.sampled_from(IMPUTERS),
    encoder=st.sampled_from((None, *ENCODERS)),
    last=st.sampled_from(REGRESSORS + CLASSIFIERS),
    offset=st.sampled_from([0.0, 1e3, 1.7e9]),
    lacking=st.booleans(),
    rows=ROWS,
)
def test_a_sum_answers_as_the_pipeline(
    scaler: Any, imputer: Any, encoder: Any, last: Any, offset: float, lacking: bool, rows: list[tuple[float, ...]]
) -> None:
    is_steady = scaler in SCALERS[1:3]  # unscaled, what SGD learns of numbers far from zero is beyond any number
    estimator = fitted(scaler, imputer, encoder, last, offset=offset if is_steady else 0.0, lacking=lacking)
    words = None if encoder is None else WORDS
    matrix = np.array(rows, np.float32) if words else np.array(rows, np.float32)[:, [0, 2]]
    outputs = read_linear(ScikitLearn().to_loops(estimator, n_inputs=matrix.shape[1], words=words))
    assert outputs(matrix) == pytest.approx(answers(estimator, matrix, words), rel=1e-6, abs=1e-6, nan_ok=True)


def test_columns_that_are_mixed_in_a_line_are_a_sum_too() -> None:
    estimator = make_pipeline(preprocessing.StandardScaler(), PCA(1), Ridge()).fit(NUMBERS, LABELS)
    outputs = read_linear(ScikitLearn().to_loops(estimator, n_inputs=2))
    rows = NUMBERS.astype(np.float32)
    assert outputs(rows) == pytest.approx(estimator.predict(rows.astype(np.float64)))


@pytest.mark.parametrize(
    ("estimator", "why"),
    [
        (RandomForestRegressor(3), "is no linear model"),
        (make_pipeline(preprocessing.KBinsDiscretizer(quantile_method="averaged_inverted_cdf"), Ridge()), "is no line"),
        (make_pipeline(preprocessing.PolynomialFeatures(2), Ridge()), "is no line of column 1"),
        (make_pipeline(preprocessing.MinMaxScaler(clip=True), Ridge()), "is no line of column 1"),
        (PoissonRegressor(), "is no line of column 1"),
    ],
)
def test_what_is_no_sum_is_refused(estimator: Any, why: str) -> None:
    estimator.fit(NUMBERS, np.abs(LABELS))
    with pytest.raises(TrainingFailed, match=why):
        ScikitLearn().to_loops(estimator, n_inputs=2)


MODEL = Linear(
    link=Link.LOGISTIC,
    start=0.5,
    columns=(
        Number(weight=2.0, missing=-1.0),
        Category(words=(0.25, None), unseen=0.125, missing=None),
        Number(weight=0.0, missing=None),
    ),
)


def identity() -> Callable[[npt.NDArray[Any]], npt.NDArray[np.float64]]:
    return read_linear(write_linear(Linear(link=Link.IDENTITY, start=MODEL.start, columns=MODEL.columns)))


def test_a_file_says_the_same_when_it_is_read() -> None:
    rows = np.array([[1, 0, 7], [np.nan, -1, 0], [1, 1, 0], [1, np.nan, 0], [1, 0, np.nan]], np.float32)
    assert identity()(rows) == pytest.approx([2.75, -0.375, np.nan, np.nan, np.nan], nan_ok=True)
    assert read_linear(write_linear(MODEL))(rows[:1]) == pytest.approx([1 / (1 + np.exp(-2.75))])
    assert write_linear(MODEL) == write_linear(MODEL)


@pytest.mark.parametrize("place", [-1, -7, 2, 1e30, -1e30])
def test_a_place_beyond_the_words_is_a_word_that_was_never_seen(place: float) -> None:
    assert identity()(np.array([[1, place, 0]], np.float32)) == pytest.approx([2.625])


@pytest.mark.parametrize(
    "rows",
    [
        np.ones((0, 3), np.float32),
        np.zeros((5, 3), np.float64),
        np.asfortranarray(np.zeros((5, 3), np.float32)),
        np.frombuffer(bytes(60), np.float32).reshape(5, 3),
        np.frombuffer(memoryview(bytes(61))[1:], np.float32).reshape(5, 3),
    ],
    ids=["none", "of doubles", "column by column", "of bytes", "of bytes at odd places"],
)
def test_rows_are_taken_in_any_shape(rows: npt.NDArray[Any]) -> None:
    outputs = identity()
    known = len(linear._answer.signatures)
    assert outputs(rows).tolist() == [0.75] * len(rows)
    assert len(linear._answer.signatures) == known  # or the first to ask so would wait for a compiler


def test_a_matrix_of_another_width_is_refused() -> None:
    with pytest.raises(IntegrityError, match="the linear model takes 3 columns, not 2"):
        identity()(np.zeros((1, 2), np.float32))


def changed(**fields: Any) -> bytes:
    return json.dumps(json.loads(write_linear(MODEL)) | fields).encode()


def of_column(**fields: Any) -> bytes:
    return changed(columns=[fields])


HOSTILE: Mapping[str, bytes] = {
    "nothing": b"",
    "cut": write_linear(MODEL)[:-5],
    "no text": b"\xff\xfe",
    "an archive": b"PK\x05\x06" + b"\0" * 18,
    "deep": b"[" * 100_000,
    "a start of NaN": changed(start=float("nan")),
    "a start that is missing": changed(start=None),
    "a weight beyond all numbers": of_column(type="number", weight=0, missing=0).replace(b"0,", b"1e999,"),
    "a weight of 1,000 digits": of_column(type="number", weight=10**1_000, missing=0),
    "a weight that is infinite": of_column(type="number", weight=float("inf"), missing=0),
    "a weight that is missing": of_column(type="number", weight=None, missing=0),
    "several weights": of_column(type="number", weight=[1, 2], missing=0),
    "words in words": of_column(type="category", words=[[1]], unseen=0, missing=0),
    "words that are words": of_column(type="category", words=["1"], unseen=0, missing=0),
    "another column": of_column(type="tree", words=[1], unseen=0, missing=0),
    "a column of both kinds": of_column(type="number", weight=1, missing=0, words=[1]),
    "columns of no shape": changed(columns=3),
    "another link": changed(link="__import__"),
    "a field of no meaning": changed(code="import os"),
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE)
def test_a_file_that_is_no_such_is_refused(data: bytes) -> None:
    with pytest.raises(IntegrityError, match=r"the file of a linear model cannot be read: .*; pack it again"):
        read_linear(data)
