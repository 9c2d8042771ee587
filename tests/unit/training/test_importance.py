"""Permutation importance."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from octavo.training.importance import permutation_importance
from octavo.training.metrics import METRICS

Floats = npt.NDArray[np.float64]
MATRIX = np.random.default_rng(0).normal(0, 1, (5_000, 3))


def importance(outputs: Callable[[Floats], Floats], labels: Floats, *, metric: str = "mae") -> dict[str, float]:
    return permutation_importance(outputs, MATRIX, labels=labels, columns="abc", metric=METRICS[metric]).shares


def weighted(rows: Floats) -> Floats:
    return rows @ [4.0, 1.0, 0.0]


def test_shares_rank_the_inputs_and_sum_to_one() -> None:
    found = importance(weighted, weighted(MATRIX))
    assert found["a"] > found["b"] > found["c"] == 0.0
    assert sum(found.values()) == pytest.approx(1.0)


def test_it_is_the_same_each_time() -> None:
    assert importance(weighted, weighted(MATRIX)) == importance(weighted, weighted(MATRIX))


def test_a_metric_that_should_be_high_ranks_alike() -> None:
    found = importance(weighted, weighted(MATRIX), metric="r2")
    assert found["a"] > found["b"] > found["c"] == 0.0


def test_if_no_input_matters_all_count_equally() -> None:
    found = importance(lambda rows: np.zeros(len(rows)), weighted(MATRIX))
    assert found == pytest.approx({"a": 1 / 3, "b": 1 / 3, "c": 1 / 3})


def test_an_input_that_only_misleads_is_worth_nothing() -> None:
    found = importance(lambda rows: weighted(rows) - rows[:, 2] * 3, weighted(MATRIX))
    assert found["c"] == pytest.approx(0.0, abs=1e-12)


def test_a_metric_that_is_undefined_gives_no_share() -> None:
    assert sum(importance(weighted, np.ones(len(MATRIX)), metric="r2").values()) == pytest.approx(1.0)


def test_the_matrix_stays_as_it_was() -> None:
    before = MATRIX.copy()
    importance(weighted, weighted(MATRIX))
    assert np.array_equal(MATRIX, before)


def test_a_single_row_will_do() -> None:
    found = permutation_importance(weighted, MATRIX[:1], labels=np.zeros(1), columns="abc", metric=METRICS["mae"])
    assert found.shares == pytest.approx({"a": 1 / 3, "b": 1 / 3, "c": 1 / 3})


def test_losses_are_in_the_metrics_unit_with_their_intervals() -> None:
    found = permutation_importance(weighted, MATRIX, labels=weighted(MATRIX), columns="abc", metric=METRICS["mae"])
    lost = found.losses["a"]
    assert 0 < lost.low < lost.value < lost.high
    assert lost.value == pytest.approx(4 * 2 / np.sqrt(np.pi), rel=0.1)  # the mean distance of two normal values
    assert (found.losses["c"].low, found.losses["c"].value, found.losses["c"].high) == (0.0, 0.0, 0.0)


def test_losses_are_above_zero_where_a_metric_should_be_high() -> None:
    found = permutation_importance(weighted, MATRIX, labels=weighted(MATRIX), columns="abc", metric=METRICS["r2"])
    assert found.losses["a"].low > 0
