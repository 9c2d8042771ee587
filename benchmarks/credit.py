"""A made-up lender: the data and the models that predictors and their peers are compared by.

An application has 20 numbers (half of them normal, half log-normal) and three categories (8 regions, 5 channels, 12
trades); whether it is repaid depends on a few of the numbers, on products of them, and on region and trade. The seed is
fixed, so every run sees the same applications. Requests are 5,000 applications that differ, since trees answer a row
that comes again from the processor's caches.

The models are trained and packed by Octavo, and what the peers serve is the estimator that the training returned.
"""

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

import octavo as oc
from octavo.definitions.models import Model
from octavo.definitions.project import Project, collect
from octavo.features.events.payloads import TIME

NUMBERS = tuple(f"n{place:02}" for place in range(20))
CATEGORIES = {
    "region": ("centre", "coast", "east", "hills", "islands", "north", "south", "west"),
    "channel": ("branch", "broker", "phone", "shop", "web"),
    "trade": tuple(f"trade_{place:02}" for place in range(12)),
}
FIELDS = (*NUMBERS, *CATEGORIES)
TREES = 500
DAYS = 40
START = 1_700_000_000_000_000
SECOND, DAY = 1_000_000, 86_400_000_000

applications = oc.Source(
    "applications",
    event_time="decided",
    id=["number"],
    schema={"number": oc.Int64, "applied": oc.Timestamp, "decided": oc.Timestamp, "repaid": oc.Float64}
    | dict.fromkeys(NUMBERS, oc.Float64)
    | dict.fromkeys(CATEGORIES, oc.String),
)


def linear(train: oc.Dataset) -> Any:
    """Numbers scaled, categories one-hot, a logistic regression: the model of most requests that are made anywhere."""
    from sklearn.compose import make_column_transformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    encoders = make_column_transformer(
        (StandardScaler(), list(NUMBERS)), (OneHotEncoder(handle_unknown="ignore"), list(CATEGORIES))
    )
    return make_pipeline(encoders, LogisticRegression(max_iter=500)).fit(train.X, train.y)


def catboost_numbers(train: oc.Dataset) -> Any:
    """CatBoost, numbers only."""
    from catboost import CatBoostClassifier

    return CatBoostClassifier(
        iterations=TREES, depth=6, random_seed=1, thread_count=2, verbose=0, allow_writing_files=False
    ).fit(train.X, train.y)


def catboost_categories(train: oc.Dataset) -> Any:
    """CatBoost with the three categories."""
    from catboost import CatBoostClassifier

    return CatBoostClassifier(
        iterations=TREES,
        depth=6,
        random_seed=1,
        thread_count=2,
        verbose=0,
        allow_writing_files=False,
        cat_features=list(CATEGORIES),
    ).fit(train.X, train.y)


def lightgbm(train: oc.Dataset) -> Any:
    """LightGBM, numbers only."""
    from lightgbm import LGBMClassifier

    return LGBMClassifier(n_estimators=TREES, random_state=1, n_jobs=1, verbose=-1).fit(train.X, train.y)


def xgboost(train: oc.Dataset) -> Any:
    """XGBoost, numbers only."""
    from xgboost import XGBClassifier

    return XGBClassifier(n_estimators=TREES, max_depth=6, random_state=1, n_jobs=1).fit(train.X, train.y)


TRAININGS: dict[str, tuple[Callable[[oc.Dataset], Any], tuple[str, ...]]] = {
    "linear": (linear, FIELDS),
    "catboost_numbers": (catboost_numbers, NUMBERS),
    "catboost_categories": (catboost_categories, FIELDS),
    "lightgbm": (lightgbm, NUMBERS),
    "xgboost": (xgboost, NUMBERS),
}
"""By the names of the models: how each is trained, and what it takes."""


def model_of(name: str) -> Model:
    """One of the models, as a user declares it."""
    train, fields = TRAININGS[name]
    declare = oc.model(
        features=[oc.request(field, oc.Category if field in CATEGORIES else oc.Float64) for field in fields],
        label=oc.Label(applications, "repaid", at="applied", above=0.5),
        metrics=["log_loss"],
        holdout="8d",
    )
    return declare(train)


def project_of(*models: Model) -> Project:
    module = ModuleType("credit")
    vars(module).update({model.name: model for model in models}, applications=applications)
    return collect(module, name="credit", code={"project.py": '"""A lender."""\n'})


def applications_table(rows: int, *, seed: int = 1) -> pa.Table:
    """Applications with what became of them, spread over `DAYS` days."""
    random = np.random.default_rng(seed)
    columns = _columns(rows, random)
    applied = START + np.sort(random.integers(0, DAYS * DAY, rows))
    return pa.table(
        {
            "number": np.arange(rows),
            "applied": pa.array(applied, TIME),
            "decided": pa.array(applied + SECOND, TIME),
            "repaid": (random.random(rows) < _chance(columns)).astype(np.float64),
            **columns,
        }
    )


def requests(rows: int = 5_000, *, seed: int = 2) -> pa.Table:
    """Applications that are asked about; none of them was trained on."""
    return pa.table(_columns(rows, np.random.default_rng(seed)))


def _columns(rows: int, random: np.random.Generator) -> dict[str, Any]:
    half = len(NUMBERS) // 2
    numbers = np.hstack([random.normal(0, 1, (rows, half)), random.lognormal(1, 1, (rows, half))]).round(4)
    return dict(zip(NUMBERS, numbers.T, strict=True)) | {
        name: np.array(words, object)[random.integers(0, len(words), rows)] for name, words in CATEGORIES.items()
    }


def _chance(columns: dict[str, Any]) -> npt.NDArray[np.float64]:
    """The probability that an application is repaid."""
    weights = {name: np.linspace(-1, 1, len(words)) for name, words in CATEGORIES.items()}
    places = {name: np.searchsorted(np.array(words), columns[name].astype(str)) for name, words in CATEGORIES.items()}
    score = columns["n00"] - columns["n01"] + columns["n02"] * columns["n03"] + np.log(columns["n10"]) - 1
    score = score + np.abs(columns["n04"]) * (columns["n11"] > 3) + weights["region"][places["region"]]
    score = score + 2 * weights["trade"][places["trade"]] * (columns["n05"] > 0)
    chance: npt.NDArray[np.float64] = 1 / (1 + np.exp(-score))
    return chance
