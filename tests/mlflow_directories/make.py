"""Writes the directories beside it by MLflow's own `save_model`; README.md says when and with what it was run."""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import torch
from catboost import CatBoostRegressor
from lightgbm import LGBMRegressor
from skl2onnx import to_onnx
from sklearn.impute import SimpleImputer
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from xgboost import XGBRegressor

HERE = Path(__file__).parent
COLUMNS = ["takings__spent_mean_24h", "takings__events_count_24h", "takings__spent_latest", "items"]
NEEDLESS = ("conda.yaml", "python_env.yaml", "requirements.txt", "input_example.json", "serving_input_example.json")


def cases() -> tuple[pd.DataFrame, pd.Series]:
    """Visits to a shop as `tests.workshop` makes them up: what is spent goes by the items."""
    random = np.random.default_rng(3)
    items = random.integers(1, 12, 400).astype(float)
    spent = items * 3 + random.normal(0, 2, 400)
    around = [random.normal(18, 2, 400), random.integers(5, 40, 400).astype(float), random.normal(18, 9, 400)]
    return pd.DataFrame(dict(zip(COLUMNS, [*around, items], strict=True))), pd.Series(spent, name="spent")


def pipeline() -> Any:
    return make_pipeline(SimpleImputer(), StandardScaler(), Ridge())


def network(rows: pd.DataFrame, labels: pd.Series) -> torch.nn.Module:
    """A module that answers by a line, so that it needs no training of its own."""
    line = pipeline().fit(rows, labels)
    scaler, ridge = line[1], line[2]
    layer = torch.nn.Linear(len(COLUMNS), 1)
    weights = ridge.coef_ / scaler.scale_
    with torch.no_grad():
        layer.weight.copy_(torch.tensor(weights)[None])
        layer.bias.copy_(torch.tensor(ridge.intercept_ - scaler.mean_ @ weights)[None])
    return torch.nn.Sequential(WithoutNan(), layer)


class WithoutNan(torch.nn.Module):
    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        return torch.nan_to_num(rows)


def save(name: str, write: Callable[[Path], None]) -> None:
    folder = HERE / name
    shutil.rmtree(folder, ignore_errors=True)
    write(folder)
    for needless in NEEDLESS:
        (folder / needless).unlink(missing_ok=True)


def main() -> None:
    X, y = cases()
    signature = mlflow.models.infer_signature(X, y)
    matrix = X.to_numpy(np.float32)
    line, graph = pipeline().fit(X, y), to_onnx(pipeline().fit(X.to_numpy(), y), matrix[:1], target_opset=18)
    lightgbm = LGBMRegressor(n_estimators=5, num_leaves=4, verbose=-1).fit(X, y)
    xgboost = XGBRegressor(n_estimators=5, max_depth=2).fit(X, y)
    catboost = CatBoostRegressor(iterations=5, depth=2, allow_writing_files=False, verbose=False).fit(X, y)
    common = {"signature": signature, "pip_requirements": []}
    skops = {"serialization_format": "skops", "skops_trusted_types": ["numpy.dtype"]}
    save("sklearn", lambda path: mlflow.sklearn.save_model(line, path, **skops, **common))
    save("pickled", lambda path: mlflow.sklearn.save_model(line, path, serialization_format="cloudpickle", **common))
    save("lightgbm", lambda path: mlflow.lightgbm.save_model(lightgbm, path, **common))
    save("booster", lambda path: mlflow.lightgbm.save_model(lightgbm.booster_, path, **common))
    save("xgboost", lambda path: mlflow.xgboost.save_model(xgboost, path, model_format="ubj", **common))
    save("catboost", lambda path: mlflow.catboost.save_model(catboost, path, **common))
    save("onnx", lambda path: mlflow.onnx.save_model(graph, path, **common))
    save(
        "pytorch",
        lambda path: mlflow.pytorch.save_model(
            network(X, y),
            path,
            serialization_format="pt2",
            input_example=matrix[:2],
            signature=mlflow.models.infer_signature(matrix, np.zeros((2, 1), np.float32)),
            pip_requirements=[],
        ),
    )


if __name__ == "__main__":
    sys.exit(main())
