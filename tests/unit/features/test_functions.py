from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import octavo as oc
from octavo.definitions.features import OnDemand
from octavo.errors import NotFound, PredictionFailed
from octavo.features.functions import compute

Array = npt.NDArray[Any]
COLUMNS = {"a": np.array([1, 2, 3]), "b": np.array([0.5, np.nan, 2.0])}


@oc.on_demand
def product(a: Array, b: Array) -> Array:
    return a * b


@oc.on_demand
def is_large(b: Array) -> Array:
    return b > 1


@oc.on_demand
def inverse(b: Array) -> Array:
    return np.array([np.inf, -np.inf, 1.0])


@oc.on_demand
def too_short(a: Array) -> Array:
    return a[:2]


@oc.on_demand
def one_number(a: Array) -> float:
    return 7.0


@oc.on_demand
def words(a: Array) -> Array:
    return np.array(["x", "y", "z"])


@oc.on_demand
def objects(a: Array) -> Array:
    return np.array([1, None, 2])


@oc.on_demand
def two_columns(a: Array) -> Array:
    return np.stack([a, a], axis=1)


@oc.on_demand
def raising(a: Array) -> Array:
    raise KeyError("no such carrier")


@oc.on_demand
def refusing(a: Array) -> Array:
    raise NotFound("carrier", "ZZ")


def test_a_function_is_given_its_columns_and_answers_float64() -> None:
    answer = compute([product, is_large], COLUMNS, n_rows=3)
    np.testing.assert_array_equal(answer["product"], [0.5, np.nan, 6.0])
    np.testing.assert_array_equal(answer["is_large"], [0.0, 0.0, 1.0])
    assert {values.dtype for values in answer.values()} == {np.dtype(np.float64)}


def test_what_is_not_finite_is_missing() -> None:
    np.testing.assert_array_equal(compute([inverse], COLUMNS, n_rows=3)["inverse"], [np.nan, np.nan, 1.0])


@pytest.mark.parametrize("function", [too_short, one_number, words, objects, two_columns], ids=lambda f: f.name)
def test_anything_but_one_number_per_row_is_refused(function: OnDemand) -> None:
    with pytest.raises(PredictionFailed, match=rf"{function.name!r} returned .* must return one number per row"):
        compute([function], COLUMNS, n_rows=3)


def test_what_a_function_raises_is_told_with_its_name() -> None:
    with pytest.raises(PredictionFailed, match=r"'raising' raised KeyError: 'no such carrier'"):
        compute([raising], COLUMNS, n_rows=3)


def test_a_refusal_of_our_own_passes_unchanged() -> None:
    with pytest.raises(NotFound, match="no carrier named 'ZZ'"):
        compute([refusing], COLUMNS, n_rows=3)


def test_no_rows_are_fine() -> None:
    empty = {name: column[:0] for name, column in COLUMNS.items()}
    assert compute([product], empty, n_rows=0)["product"].shape == (0,)
