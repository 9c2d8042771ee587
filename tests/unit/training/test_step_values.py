"""What steps give each other: as data, whole, and the same document for the same value."""

import math
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

import octavo as oc
from octavo.errors import IntegrityError, TrainingFailed
from octavo.stores.names import digest_of
from octavo.training.steps.values import (
    blobs_of,
    decode_node,
    decode_value,
    digest_of_node,
    encode_node,
    encode_value,
)

ROWS = np.random.default_rng(5).normal(size=(80, 3))
TRUTH = (ROWS[:, 0] + ROWS[:, 1] > 0).astype(float)
SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(max_size=20) | st.datetimes()
    | st.datetimes(timezones=st.just(UTC)) | st.timedeltas() | st.dates()
)  # fmt: skip
ARRAYS = arrays.arrays(arrays.scalar_dtypes(), arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3))


def there_and_back(value: Any) -> Any:
    kept: dict[str, bytes] = {}

    def keep(data: bytes) -> str:
        kept[digest_of(data)] = data
        return digest_of(data)

    node = decode_node(encode_node(encode_value(value, keep=keep, where="this")))
    assert set(blobs_of(node)) == set(kept)
    return decode_value(node, fetch=kept.__getitem__)


def same(a: Any, b: Any) -> bool:
    if type(a) is not type(b):
        return False
    if isinstance(a, np.ndarray | np.generic):
        return a.dtype == b.dtype and a.tobytes() == b.tobytes() and a.shape == b.shape
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return same(list(a.items()), list(b.items()))
    return a == b or (isinstance(a, float) and math.isnan(a) and math.isnan(b))


@given(
    st.recursive(SCALARS | ARRAYS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner))
)
def test_plain_values_and_arrays_come_back_as_they_were(value: Any) -> None:
    assert same(there_and_back(value), value)


@given(SCALARS, SCALARS)
def test_values_have_the_same_document_exactly_if_they_are_the_same(a: Any, b: Any) -> None:
    digests = [digest_of_node(encode_value(value, keep=digest_of, where="this")) for value in (a, b)]
    assert (digests[0] == digests[1]) == (same(a, b) and repr(a) == repr(b))


def test_a_dataset_with_categories_comes_back() -> None:
    frame = pd.DataFrame({"a": [1.0, np.nan], "b": pd.Categorical(["y", None], categories=["x", "y"])})
    moments = np.array([1, 2], "datetime64[us]")
    given = oc.Dataset(columns=("a", "b"), X=frame, y=np.ones(2), times=moments, categories={"b": ("x", "y")})  # type: ignore[arg-type]  # as a training function is given it
    back = there_and_back(given)
    pd.testing.assert_frame_equal(back.X, frame)
    assert (back.columns, back.categories, back.times.tolist()) == (given.columns, given.categories, moments.tolist())


def test_tables_frames_and_sparse_matrices_come_back() -> None:
    from scipy import sparse

    table = pa.table({"a": [1, None], "b": ["x", "y"]})
    frame = pd.DataFrame({"a": [1.5, 2.5]}, index=pd.Index(["p", "q"], name="of"))
    matrix = sparse.csr_matrix(np.eye(3))
    back = there_and_back([table, frame, matrix, date(2030, 1, 1), datetime(2030, 1, 1, tzinfo=UTC), timedelta(days=1)])
    assert back[0].equals(table)
    pd.testing.assert_frame_equal(back[1], frame)
    assert type(back[2]) is type(matrix)
    assert (back[2] != matrix).nnz == 0


def estimators() -> list[Any]:
    from catboost import CatBoostClassifier
    from lightgbm import LGBMClassifier, LGBMRegressor
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from xgboost import XGBClassifier, XGBRegressor

    return [
        LGBMClassifier(n_estimators=3, n_jobs=1, verbose=-1),
        LGBMRegressor(n_estimators=3, n_jobs=1, verbose=-1),
        XGBClassifier(n_estimators=3, n_jobs=1),
        XGBRegressor(n_estimators=3, n_jobs=1),
        CatBoostClassifier(iterations=3, verbose=0, allow_writing_files=False),
        make_pipeline(StandardScaler(), LogisticRegression()),
        HistGradientBoostingClassifier(max_iter=3),
    ]


@pytest.mark.parametrize("estimator", estimators(), ids=lambda one: type(one).__name__)
def test_a_fitted_estimator_answers_as_before(estimator: Any) -> None:
    answers = "predict_proba" if hasattr(estimator, "predict_proba") else "predict"
    fitted = estimator.fit(ROWS, TRUTH)
    back = there_and_back(fitted)
    assert type(back) is type(fitted)
    assert np.array_equal(getattr(back, answers)(ROWS), getattr(fitted, answers)(ROWS))


def test_a_booster_comes_back_too() -> None:
    import lightgbm

    booster = lightgbm.train({"verbose": -1, "num_threads": 1}, lightgbm.Dataset(ROWS, TRUTH), num_boost_round=3)
    assert there_and_back(booster).model_to_string() == booster.model_to_string()


def test_an_onnx_model_comes_back() -> None:
    import onnx

    model = onnx.ModelProto(producer_name="kitchen")
    assert there_and_back(model) == model


def test_what_is_code_or_of_unknown_kind_is_refused() -> None:
    from sklearn.preprocessing import FunctionTransformer

    for value, words in [
        (print, "holds a builtin_function_or_method"),
        (np.array([object()]), "Python objects"),
        (FunctionTransformer(estimators), "which is code"),
        ({1, 2}, "holds a set"),
        (pd.DataFrame({"a": [object()]}), "a frame that Arrow does not take"),
    ]:
        with pytest.raises(TrainingFailed, match=words):
            there_and_back(value)


def test_what_holds_itself_is_refused() -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(TrainingFailed, match="50 deep"):
        there_and_back(endless)


@pytest.mark.parametrize(
    "node", [{"is": "pickle", "blob": "x"}, {"of": []}, {"is": "array", "blob": "x"}, {"is": "int"}]
)
def test_a_document_that_was_made_up_is_refused(node: Any) -> None:
    with pytest.raises(IntegrityError):
        decode_value(node, fetch=lambda digest: b"\x80\x04.")


def test_no_array_is_ever_unpickled() -> None:
    import io
    import pickle

    data = io.BytesIO()
    np.save(data, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    assert pickle.loads(pickle.dumps(1)) == 1
    with pytest.raises(IntegrityError, match="allow_pickle"):
        decode_value({"is": "array", "blob": "x"}, fetch=lambda digest: data.getvalue())
