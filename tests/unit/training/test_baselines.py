"""Guesses that need no learning."""

from typing import Any

import numpy as np
import pytest
from tests.workshop import boosted, declare

from octavo.definitions.datasets import Dataset
from octavo.definitions.models import Model
from octavo.training.baselines import evaluate_baselines

LATEST = "takings__spent_latest"


def dataset(latest: list[float], labels: list[float]) -> Dataset:
    matrix = np.zeros((len(labels), 4))
    matrix[:, 2] = latest
    times = np.datetime64("2030-01-01", "us") + np.arange(len(labels)) * np.timedelta64(1, "h")
    columns = ("takings__spent_mean_24h", "takings__events_count_24h", LATEST, "items")
    return Dataset(columns=columns, X=matrix, y=np.array(labels), times=times)


def judged(model: Model, *, train: Dataset, holdout: Dataset, metric: str) -> dict[str, float]:
    found = evaluate_baselines(model, train=train, holdout=holdout, metrics=(metric,))
    return {name: metrics[metric].value for name, metrics in found.items()}


def declared(**changes: Any) -> Model:
    model = declare(boosted, **changes)
    assert model.input_names[2] == LATEST
    return model


def test_the_constant_is_the_median_for_the_absolute_error_and_the_mean_for_others() -> None:
    train, holdout = dataset([0, 0, 0], [0, 0, 9]), dataset([0, 0], [0, 3])
    assert judged(declared(), train=train, holdout=holdout, metric="mae")["constant"] == 1.5
    assert judged(declared(), train=train, holdout=holdout, metric="rmse")["constant"] == pytest.approx(4.5**0.5)


def test_a_declared_input_guesses_by_its_value_and_where_it_is_missing_by_the_constant() -> None:
    train, holdout = dataset([0, 0, 0], [5, 5, 5]), dataset([1, np.nan], [2, 7])
    assert judged(declared(), train=train, holdout=holdout, metric="mae")[LATEST] == pytest.approx((1 + 2) / 2)


def test_a_model_without_a_declared_input_is_measured_by_the_constant_alone() -> None:
    train = dataset([0], [1])
    assert set(judged(declared(baseline=None), train=train, holdout=train, metric="mae")) == {"constant"}


def test_for_a_binary_label_the_input_guesses_the_share_on_its_side_of_the_bound() -> None:
    train = dataset([30, 30, 30, 30, 1, 1, 1, 1, np.nan], [1, 1, 1, 0, 0, 0, 0, 1, 1])
    holdout = dataset([40, 0, np.nan], [1, 0, 1])
    found = judged(declared(above=20.0), train=train, holdout=holdout, metric="brier")
    assert found[LATEST] == pytest.approx((0.25**2 + 0.25**2 + (1 - 5 / 9) ** 2) / 3)
    assert found["constant"] == pytest.approx(((1 - 5 / 9) ** 2 * 2 + (5 / 9) ** 2) / 3)


def test_a_side_that_no_training_row_is_on_is_guessed_by_the_constant() -> None:
    train, holdout = dataset([1, 1], [0, 1]), dataset([99], [1])
    found = judged(declared(above=20.0), train=train, holdout=holdout, metric="brier")
    assert found[LATEST] == found["constant"] == 0.25
