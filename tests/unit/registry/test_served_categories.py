"""Categories from the training function to an answer: words in a request, places in the matrix, words again."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.serving.predictors import Bench
from tests.unit.registry.test_served_formats import answered, served
from tests.workshop import declare, open_workshop

import octavo as oc
from octavo.errors import InvalidDefinition, TrainingFailed
from octavo.registry.bundles import Bundle, fetch_bundle
from octavo.registry.forms import Form, FormChoice, Forms, decode_forms
from octavo.registry.packing import pack
from octavo.registry.served import open_served
from octavo.training.estimators import predict
from octavo.training.fit import TrainedModel, train
from octavo.training.frames import words_of

FEATURES = [oc.request("items", oc.Float64), oc.request("shop", oc.Category, required=False)]
NATIVE_ALONE = Forms(forms=(FormChoice(form=Form.NATIVE, from_rows=1),))
SHOPS = ("east", "north", "south")


def lightgbm(train: oc.Dataset) -> Any:
    from lightgbm import LGBMRegressor

    return LGBMRegressor(n_estimators=20, n_jobs=1, verbose=-1).fit(train.X, train.y)


def xgboost(train: oc.Dataset) -> Any:
    from xgboost import XGBRegressor

    return XGBRegressor(n_estimators=20, enable_categorical=True, n_jobs=1).fit(train.X, train.y)


def catboost(train: oc.Dataset) -> Any:
    from catboost import CatBoostRegressor

    model = CatBoostRegressor(iterations=20, thread_count=1, allow_writing_files=False, verbose=False)
    return model.fit(train.X, train.y, cat_features=["shop"])


def sklearn(train: oc.Dataset) -> Any:
    from sklearn.compose import make_column_transformer
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    columns = make_column_transformer((OneHotEncoder(handle_unknown="ignore"), ["shop"]), (StandardScaler(), ["items"]))
    return make_pipeline(columns, Ridge()).fit(train.X, train.y)


def of_items(train: oc.Dataset) -> Any:
    """Whatever the shop: what the columns are is looked at, not what is learned of them."""
    assert train.X.dtypes.astype(str).to_dict() == {"items": "float64", "shop": "category"}
    assert tuple(train.X["shop"].cat.categories) == train.categories["shop"] == SHOPS
    return lightgbm(train)


def declared(function: Callable[[oc.Dataset], Any], **changes: Any) -> Any:
    return declare(function, **({"features": FEATURES, "baseline": None} | changes))


def expected(trained: TrainedModel, *, items: float, place: float) -> float:
    words = words_of(("items", "shop"), trained.training_set.train.categories)
    return float(predict(trained.estimator, np.array([[items, place]]), task=trained.model.task, words=words)[0])


def asked(bench: Bench, **row: Any) -> float:
    return answered(bench, row)[1]


@pytest.mark.parametrize("function", [lightgbm, xgboost, catboost, sklearn])
def test_words_are_answered_as_the_estimator_answers_them(
    function: Callable[[oc.Dataset], Any], tmp_path: Path
) -> None:
    trained, bench = served(declared(function), tmp_path)
    for word, place in (("north", 1.0), ("south", 2.0), ("unheard of", -1.0), (None, np.nan)):
        assert asked(bench, items=4.0, shop=word) == pytest.approx(expected(trained, items=4.0, place=place), rel=1e-4)


def test_a_training_function_is_given_a_frame_with_the_words(tmp_path: Path) -> None:
    workshop = open_workshop(tmp_path, declared(of_items))
    trained = train(workshop.context, workshop.model, as_of=workshop.now)
    assert trained.training_set.train.X.dtype == np.float64
    assert trained.report.profiles["shop"].words == ("any other", *SHOPS)


def test_the_vocabulary_travels_in_the_plan(tmp_path: Path) -> None:
    workshop = open_workshop(tmp_path, declared(lightgbm))
    packed = pack(workshop.context, train(workshop.context, workshop.model, as_of=workshop.now))
    bundle = fetch_bundle(workshop.context.stores.artifacts, packed.digest, into=tmp_path / "bundles")
    assert bundle.plan.inputs == ("items", "shop")
    assert bundle.plan.categories == {"shop": SHOPS}


def test_what_is_expected_is_the_vocabulary(tmp_path: Path) -> None:
    shop = oc.request("shop", oc.Category, expect=oc.expect(categories=["south", "west"], outside=1.0))
    workshop = open_workshop(tmp_path, declared(lightgbm, features=[FEATURES[0], shop]))
    train_set = train(workshop.context, workshop.model, as_of=workshop.now).training_set.train
    assert train_set.categories == {"shop": ("south", "west")}
    assert set(np.unique(train_set.X[:, 1])) == {-1.0, 0.0}


def catboost_packed(folder: Path) -> Bundle:
    workshop = open_workshop(folder, declared(catboost))
    packed = pack(workshop.context, train(workshop.context, workshop.model, as_of=workshop.now))
    return fetch_bundle(workshop.context.stores.artifacts, packed.digest, into=folder / "bundles")


def test_catboost_over_words_is_served_though_it_cannot_be_compiled(tmp_path: Path) -> None:
    bundle = catboost_packed(tmp_path)
    forms = decode_forms(bundle.read("serving.json"))
    assert Form.COMPILED not in forms.used
    assert forms.uncompiled == "CatBoost with categorical features cannot be compiled"
    assert {one.form for one in forms.measured} == {Form.NATIVE, Form.TREES}


def test_trees_answer_where_catboost_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = catboost_packed(tmp_path)
    monkeypatch.setitem(sys.modules, "catboost", None)
    monkeypatch.setattr("octavo.registry.served.decode_forms", lambda _: NATIVE_ALONE)
    served = open_served(bundle.manifest, bundle.plan, read=bundle.read)
    assert served.forms.used == (Form.TREES,)
    bundle.golden.check(served.predict(bundle.golden.rows), model="trees")


def test_a_category_is_a_string_of_the_labels_source() -> None:
    with pytest.raises(InvalidDefinition, match=r"'items' is a category, which source 'visits' must hold as a String"):
        declared(lightgbm, features=[oc.request("items", oc.Category)])


def test_a_column_of_a_source_is_no_category() -> None:
    with pytest.raises(InvalidDefinition, match=r"declare the column as oc\.String"):
        oc.Source("sales", event_time="at", schema={"at": oc.Timestamp, "shop": oc.Category})


def test_too_many_words_are_refused_with_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("octavo.features.categories.MOST_CATEGORIES", 2)
    workshop = open_workshop(tmp_path, declared(lightgbm))
    with pytest.raises(TrainingFailed, match=r"has 3 words in the training rows, of at most 2; name those that matter"):
        train(workshop.context, workshop.model, as_of=workshop.now)
