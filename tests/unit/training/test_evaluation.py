"""Metrics and their intervals."""

import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    brier_score_loss,
    f1_score,
    log_loss,
    mean_absolute_error,
    mean_absolute_percentage_error,
    mean_pinball_loss,
    mean_squared_error,
    precision_score,
    r2_score,
    recall_score,
    roc_auc_score,
)

from octavo.definitions.models import Task
from octavo.errors import InvalidDefinition, InvalidRequest
from octavo.training.evaluation import difference, evaluate, value
from octavo.training.metrics import METRICS, metric

Floats = npt.NDArray[np.float64]
REGRESSION, BINARY = Task.REGRESSION, Task.BINARY


def expected_calibration_error(labels: Floats, predictions: Floats) -> float:
    """Row by row, as the paper has it."""
    total = 0.0
    for low in range(10):
        inside = [i for i, p in enumerate(predictions) if low <= int(p * 10) < low + 1 or (low == 9 and p * 10 >= 10)]
        total += abs(sum(labels[i] - predictions[i] for i in inside)) / len(labels)
    return total


ORACLES = {
    "mae": mean_absolute_error,
    "rmse": lambda y, p: math.sqrt(mean_squared_error(y, p)),
    "r2": r2_score,
    "log_loss": log_loss,
    "brier": brier_score_loss,
    "accuracy": lambda y, p: accuracy_score(y, p >= 0.5),
    "auc": roc_auc_score,
    "average_precision": average_precision_score,
    "precision": lambda y, p: precision_score(y, p >= 0.5, zero_division=0),
    "recall": lambda y, p: recall_score(y, p >= 0.5, zero_division=0),
    "f1": lambda y, p: f1_score(y, p >= 0.5, zero_division=0),
    "ece": lambda y, p: expected_calibration_error(y, p),
    "mape": mean_absolute_percentage_error,
    "pinball_10": lambda y, p: mean_pinball_loss(y, p, alpha=0.1),
    "pinball_50": lambda y, p: mean_pinball_loss(y, p, alpha=0.5),
    "pinball_90": lambda y, p: mean_pinball_loss(y, p, alpha=0.9),
}
numbers = st.floats(-1e6, 1e6, allow_nan=False)
chances = st.floats(0.001, 0.999).map(lambda p: round(p, 3))


@st.composite
def regressions(draw: st.DrawFn) -> tuple[Floats, Floats]:
    pairs = draw(st.lists(st.tuples(numbers, numbers), min_size=2, max_size=120))
    y, p = np.array(pairs).T
    return np.array([*y, y[0] + 1]), np.array([*p, p[0]])


@st.composite
def classifications(draw: st.DrawFn) -> tuple[Floats, Floats]:
    pairs = draw(st.lists(st.tuples(st.booleans(), chances), min_size=2, max_size=120))
    y, p = np.array(pairs, dtype=np.float64).T
    return np.array([0.0, 1.0, *y]), np.array([0.5, 0.5, *p])


def noisy(n: int, *, scale: float = 1.0, seed: int = 0) -> tuple[Floats, Floats]:
    random = np.random.default_rng(seed)
    labels = random.normal(0, 5, n)
    return labels, labels + random.normal(0, scale, n)


def test_every_metric_has_an_oracle() -> None:
    assert set(ORACLES) == set(METRICS)


@pytest.mark.parametrize("name", [name for name in METRICS if METRICS[name].task is REGRESSION])
@settings(deadline=None)
@given(rows=regressions())
def test_metrics_of_numbers_are_those_of_the_field(name: str, rows: tuple[Floats, Floats]) -> None:
    assert value(*rows, metric=METRICS[name]) == pytest.approx(ORACLES[name](*rows), rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("name", [name for name in METRICS if METRICS[name].task is BINARY])
@settings(deadline=None)
@given(rows=classifications())
def test_metrics_of_probabilities_are_those_of_the_field(name: str, rows: tuple[Floats, Floats]) -> None:
    assert value(*rows, metric=METRICS[name]) == pytest.approx(ORACLES[name](*rows), rel=1e-9, abs=1e-9)


@settings(deadline=None)
@given(rows=classifications(), seed=st.integers(0, 99))
def test_the_area_under_the_curve_of_drawn_rows_is_that_of_the_rows_repeated(
    rows: tuple[Floats, Floats], seed: int
) -> None:
    from octavo.training.metrics import Draws

    labels, predictions = rows
    blocks = np.arange(len(labels)) * 3 // len(labels)
    times = np.random.default_rng(seed).integers(0, 4, 3)
    repeated = np.repeat(np.arange(len(labels)), times[blocks])
    drawn = METRICS["auc"].weighted(labels, predictions, Draws(blocks=blocks, weights=times[None].astype(float)))[0]
    if len(set(labels[repeated].tolist())) < 2:
        assert math.isnan(drawn)
    else:
        assert drawn == pytest.approx(roc_auc_score(labels[repeated], predictions[repeated]))


@pytest.mark.parametrize("name", METRICS)
def test_a_value_lies_within_its_interval_and_is_that_of_the_rows_as_they_are(name: str) -> None:
    labels, predictions = noisy(500)
    if METRICS[name].task is BINARY:
        labels, predictions = (labels > 0).astype(float), 1 / (1 + np.exp(-predictions))
    found = evaluate(labels, predictions, metrics=[name], task=METRICS[name].task)[name]
    assert found.low <= found.value <= found.high
    assert found.low < found.high
    assert found.value == pytest.approx(ORACLES[name](labels, predictions))


def test_an_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    truth, inside = math.sqrt(2 / math.pi), 0
    for seed in range(200):
        found = evaluate(*noisy(400, seed=seed), metrics=["mae"], task=REGRESSION)["mae"]
        inside += found.low <= truth <= found.high
    assert 0.88 <= inside / 200 <= 0.99


def test_an_interval_is_wider_where_neighbouring_rows_err_alike() -> None:
    labels = np.zeros(1_000)
    errors = np.random.default_rng(1).normal(0, 1, 1_000)
    alone = evaluate(labels, errors, metrics=["mae"], task=REGRESSION)["mae"]
    together = evaluate(labels, np.repeat(errors[:50], 20), metrics=["mae"], task=REGRESSION)["mae"]
    assert together.high - together.low > 2 * (alone.high - alone.low)


def test_the_same_rows_have_the_same_interval_each_time() -> None:
    first, again = (evaluate(*noisy(100), metrics=["rmse"], task=REGRESSION) for _ in range(2))
    assert first == again


def test_one_row_has_an_interval_of_no_width() -> None:
    found = evaluate(np.array([1.0]), np.array([3.0]), metrics=["mae"], task=REGRESSION)["mae"]
    assert (found.low, found.value, found.high) == (2.0, 2.0, 2.0)


def test_a_difference_is_surer_than_the_two_values_it_is_of() -> None:
    labels, ours = noisy(1_000)
    theirs = ours + np.sign(ours - labels) * 0.1
    apart = difference(labels, ours=ours, theirs=theirs, metric=METRICS["mae"])
    alone = evaluate(labels, ours, metrics=["mae"], task=REGRESSION)["mae"]
    assert apart.value == pytest.approx(-0.1)
    assert apart.high < 0
    assert apart.high - apart.low < (alone.high - alone.low) / 10


def test_a_prediction_does_not_differ_from_itself() -> None:
    labels, ours = noisy(100)
    apart = difference(labels, ours=ours, theirs=ours.copy(), metric=METRICS["rmse"])
    assert (apart.low, apart.value, apart.high) == (0.0, 0.0, 0.0)


def test_certain_and_wrong_costs_much_but_not_everything() -> None:
    assert value(np.array([1.0]), np.array([0.0]), metric=METRICS["log_loss"]) == pytest.approx(34.5, abs=0.1)


@pytest.mark.parametrize(("name", "a", "b"), [("mae", 1.0, 2.0), ("auc", 0.9, 0.8)])
def test_better_is_strict_and_knows_its_direction(name: str, a: float, b: float) -> None:
    judged = METRICS[name]
    assert judged.better(a, b)
    assert not judged.better(b, a)
    assert not judged.better(a, a)
    assert not judged.better(math.nan, b)


@pytest.mark.parametrize(("name", "task"), [("auc", REGRESSION), ("mae", BINARY), ("accuracy_at_k", BINARY)])
def test_a_metric_of_no_such_task_is_refused_with_those_there_are(name: str, task: Task) -> None:
    with pytest.raises(InvalidDefinition, match=f"no metric of a {task} model; there are: "):
        metric(name, task=task)


@pytest.mark.parametrize(
    ("labels", "predictions", "name", "task"),
    [
        ([], [], "mae", REGRESSION),
        ([1.0, 2.0], [1.0], "mae", REGRESSION),
        ([1.0, 1.0], [0.5, 0.6], "auc", BINARY),
        ([1.0, 1.0], [1.0, 2.0], "r2", REGRESSION),
        ([1.0, 2.0], [1.0, math.inf], "mae", REGRESSION),
    ],
)
def test_what_cannot_be_judged_is_refused(labels: list[float], predictions: list[float], name: str, task: Task) -> None:
    with pytest.raises(InvalidRequest):
        evaluate(np.array(labels), np.array(predictions), metrics=[name], task=task)
