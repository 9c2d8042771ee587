"""Each format from the training function to an answer: trained, packed, fetched by a predictor and asked over HTTP."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.libraries import needed
from tests.serving.bundles import PROJECT
from tests.serving.predictors import PATH, Bench, make_bench
from tests.workshop import declare, open_workshop

import octavo as oc
from octavo.definitions.models import Model
from octavo.registry.bundles import decode_manifest
from octavo.registry.packing import pack
from octavo.release.manifests import Arm
from octavo.stores.ports import Artifacts
from octavo.training.estimators import predict
from octavo.training.fit import TrainedModel, train


def lightgbm(train: oc.Dataset) -> Any:
    from lightgbm import LGBMRegressor

    return LGBMRegressor(n_estimators=20, n_jobs=1, verbose=-1).fit(train.X, train.y)


def xgboost(train: oc.Dataset) -> Any:
    from xgboost import XGBRegressor

    return XGBRegressor(n_estimators=20, n_jobs=1).fit(train.X, train.y)


def catboost(train: oc.Dataset) -> Any:
    from catboost import CatBoostRegressor

    model = CatBoostRegressor(iterations=20, thread_count=1, allow_writing_files=False, verbose=False)
    return model.fit(train.X, train.y)


def sklearn(train: oc.Dataset) -> Any:
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(SimpleImputer(), StandardScaler(), Ridge()).fit(train.X, train.y)


def onnx(train: oc.Dataset) -> Any:
    from skl2onnx import to_onnx

    return to_onnx(sklearn(train), train.X[:1].astype(np.float32), target_opset=18)


def pytorch(train: oc.Dataset) -> Any:
    torch = needed("torch")

    class Filled(torch.nn.Module):
        def forward(self, rows: Any) -> Any:
            return torch.nan_to_num(rows)

    torch.manual_seed(0)
    layers = [torch.nn.Linear(train.X.shape[1], 8), torch.nn.ReLU(), torch.nn.Linear(8, 1)]
    return torch.nn.Sequential(Filled(), *layers)


def boosted_chances(train: oc.Dataset) -> Any:
    from xgboost import XGBClassifier

    return XGBClassifier(n_estimators=20, n_jobs=1).fit(train.X, train.y)


def catboost_chances(train: oc.Dataset) -> Any:
    from catboost import CatBoostClassifier

    model = CatBoostClassifier(iterations=20, thread_count=1, allow_writing_files=False, verbose=False)
    return model.fit(train.X, train.y)


def forest_chances(train: oc.Dataset) -> Any:
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline

    return make_pipeline(SimpleImputer(), RandomForestClassifier(20, random_state=0)).fit(train.X, train.y)


def copy_bundle(artifacts: Artifacts, digest: str, *, into: Artifacts) -> None:
    """Carry a bundle from the artifacts of one project to those of another."""
    manifest = artifacts.get(digest)
    for file in decode_manifest(manifest, digest=digest).files.values():
        into.put(artifacts.get(file.digest))
    into.put(manifest)


def answered(bench: Bench, row: dict[str, Any]) -> tuple[list[float], float]:
    """The inputs that the predictor looked up, missing ones as NaN, and its answer."""
    reply = bench.caller.post(f"{PATH}?values=1", {"rows": [row]})
    assert reply.status == 200, reply.body
    [prediction] = reply.json["predictions"]
    return [np.nan if value is None else value for value in prediction["values"].values()], prediction["value"]


def served(model: Model, folder: Path) -> tuple[TrainedModel, Bench]:
    """A model trained and packed in one place, and live in another."""
    workshop, bench = open_workshop(folder, model), make_bench(folder / "predictor")
    trained = train(workshop.context, model, as_of=workshop.now)
    context = replace(workshop.context, project=replace(workshop.context.project, name=PROJECT))
    bundle = pack(context, trained).digest
    copy_bundle(workshop.context.stores.artifacts, bundle, into=bench.project.artifacts)
    bench.publish(Arm(role="live", model=model.name, version=1, digest=bundle, percent=100))
    return trained, bench


@pytest.mark.parametrize("function", [lightgbm, xgboost, catboost, sklearn, onnx, pytorch])
def test_a_model_of_each_format_is_trained_packed_and_served(
    function: Callable[[oc.Dataset], Any], tmp_path: Path
) -> None:
    trained, bench = served(declare(function), tmp_path)
    for items in (7.0, -1e6):
        inputs, answer = answered(bench, {"shop": "north", "items": items})
        assert len(inputs) == len(trained.model.input_names)
        assert answer == pytest.approx(
            predict(trained.estimator, np.array([inputs]), task=trained.model.task)[0], rel=1e-4
        )


@pytest.mark.parametrize("function", [boosted_chances, catboost_chances, forest_chances])
def test_a_classifier_is_served_as_the_probability_of_class_1(
    function: Callable[[oc.Dataset], Any], tmp_path: Path
) -> None:
    trained, bench = served(declare(function, above=20.0, baseline=None), tmp_path)
    for items in (2.0, 11.0):
        inputs, answer = answered(bench, {"shop": "north", "items": items})
        assert answer == pytest.approx(trained.estimator.predict_proba(np.array([inputs]))[0, 1], abs=1e-4)
